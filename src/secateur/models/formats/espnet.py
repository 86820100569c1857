"""ESPnet2 folders, as its model zoo packs them: meta.yaml, config.yaml, *.pth, token list, bpe.model, statistics.

Read are encoders of type Transformer, Conformer and E-Branchformer with CTC, with an attention decoder too, or with a
transducer's; ESPnet's default front end, and global or utterance normalisation. All else is said.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from secateur.core.errors import SecateurError
from secateur.core.foreign import pointer
from secateur.models.formats import Description

SECTION = "models"
SHOWN = {"called": "ESPnet2 model", "files": "meta.yaml, or config.yaml and a .pth file", "order": 20}
META, CONFIG = "meta.yaml", "config.yaml"
BEST = ("valid.acc.ave*.pth", "valid.cer*.ave*.pth", "valid.loss.ave*.pth", "*.pth")
"""Which file of weights is taken where meta.yaml does not say, the first first."""
ENCODERS = {"transformer": "transformer", "conformer": "conformer", "e_branchformer": "conformer"}
"""Encoders by ESPnet's name, and which of this project's kinds of layers they are sized like."""
INPUTS = ("conv2d", "conv2d1", "conv2d2", "conv2d6", "conv2d8", "linear")
FRONT_END = {
    "fs": 16000, "n_fft": 512, "win_length": None, "hop_length": 128, "window": "hann", "center": True,
    "normalized": False, "n_mels": 80, "fmin": None, "fmax": None, "htk": False,
}  # fmt: skip
"""The options of ESPnet's front end and their defaults; `onesided` is always true there."""
MEL_FILTERS, MEAN, STD = "frontend.logmel.melmat", "normalize.mean", "normalize.std"
CLOSE = 1e-6
KEPT = ("encoder", "encoder_conf", "decoder", "decoder_conf", "joint_net_conf", "ctc_conf", "model_conf")


def recognise(folder: Path) -> bool:
    """Whether a configuration of an ASR model of ESPnet is there."""
    return is_there(config_file, folder)


def is_there(look: Callable[[Path], Path | None], folder: Path) -> bool:
    """Whether `look` finds a configuration in a folder, or one that is wrong: then `describe` says what."""
    try:
        return look(folder) is not None
    except SecateurError:
        return True


def describe(folder: Path) -> Description:
    """What the configuration says."""
    file = config_file(folder)
    assert file is not None, "recognised"
    config = read_yaml(file)
    _check(file, config)
    front_end = _front_end(file, config)
    tokens = token_list(folder, file, config)
    pieces = None
    if config.get("token_type", "bpe") == "bpe":
        if not config.get("bpemodel"):
            raise SecateurError(f"{file}: writes word pieces, and has no bpemodel; name that file in it")
        pieces = find(folder, file, config["bpemodel"], "bpemodel")
    weights, notes = _weights(folder, file)
    files = [file, weights, *([pieces] if pieces else [])]
    encoder, decoder = config.get("encoder_conf", {}), config.get("decoder_conf", {})
    transducer = config.get("decoder") == "transducer"
    inner = config.get("model_conf", {}).get("interctc_weight", 0.0)
    model: dict[str, Any] = {
        "type": "espnet_transducer" if transducer else "espnet_asr",
        "features": front_end["n_mels"],
        "input": "conv2d",
        "stack": 1,
        "frames_per_second": front_end["fs"] / front_end["hop_length"],
        "encoder": {
            "type": ENCODERS[config["encoder"]],
            "layers": encoder.get("num_blocks", 12 if config["encoder"] == "e_branchformer" else 6),
            "dim": encoder.get("output_size", 256),
            "heads": encoder.get("attention_heads", 4),
            "ffn": encoder.get("linear_units", 2048),
        },
        "intermediate_ctc": {"layers": list(encoder.get("interctc_layer_idx") or []), "weight": inner},
        "stochastic_depth": 0.0,
        "front_end": front_end,
        "espnet": {key: config[key] for key in KEPT if config.get(key) is not None},
    }
    if model["espnet"].get("model_conf", {}).get("ctc_weight") == 1.0 and not transducer:
        model["espnet"].pop("decoder", None)  # ESPnet's model drops it, too
    elif decoder and not transducer:
        heads, ffn, layers = (decoder.get(key, other) for key, other in DECODER.items())
        model["decoder"] = {"layers": layers, "heads": heads, "ffn": ffn}
    return Description(model, tokens, front_end, files, pieces, rate=front_end["fs"], notes=notes)


DECODER = {"attention_heads": 4, "linear_units": 2048, "num_blocks": 6}


def load(folder: Path) -> Any:
    """The model, rebuilt of ESPnet's classes."""
    import torch

    from secateur.models.build import build_model
    from secateur.models.formats.weights import fill, read_weights
    from secateur.models.load import Loaded

    found = describe(folder)
    file = found.files[1]
    tensors = read_weights(file)
    _check_filters(file, tensors.pop(MEL_FILTERS, None), found.features)
    mean, std = tensors.pop(MEAN, None), tensors.pop(STD, None)
    try:
        model = build_model(found.model, found.tokens)
    except (TypeError, ValueError, AssertionError) as error:
        raise SecateurError(f"{found.files[0]}: ESPnet cannot build its model: {error}") from error
    if found.features["utterance_mvn"] is None and not found.features["raw"]:
        if mean is None or std is None:
            raise SecateurError(f"{file}: has no normalize.mean and normalize.std, which global_mvn needs")
        options = read_yaml(found.files[0]).get("normalize_conf", {})
        tensors["frontend.mean"] = mean.float() if options.get("norm_means", True) else torch.zeros_like(mean.float())
        tensors["frontend.std"] = std.float() if options.get("norm_vars", True) else torch.ones_like(std.float())
    else:
        tensors |= {name: value for name, value in model.state_dict().items() if name.startswith("frontend.")}
    fill(model, tensors, file)
    return Loaded(model.eval(), dict(found.model), list(found.tokens))


def _check_filters(file: Path, filters: Any, front_end: Mapping[str, Any]) -> None:
    """Raise SecateurError if the mel filters in a checkpoint are not those that features will be made with."""
    if filters is None:
        return
    import torch

    from secateur.speech.front_ends.stft import MEL, mel_filters

    ours = mel_filters(*(front_end[key] for key in MEL))
    if filters.shape != ours.shape or not torch.allclose(filters, torch.from_numpy(ours), atol=CLOSE):
        raise SecateurError(
            f"{file}: {MEL_FILTERS} are not the mel filters of frontend_conf in its config.yaml; mend the one that is "
            "wrong"
        )


def _check(file: Path, config: Mapping[str, Any]) -> None:
    """Raise SecateurError for an architecture that is not read here, naming the key."""
    allowed = {
        "encoder": tuple(ENCODERS),
        "decoder": ("transformer", "transducer", None),
        "frontend": ("default",),
        "normalize": ("global_mvn", "utterance_mvn", None),
        "preencoder": (None,),
        "postencoder": (None,),
        "model": ("espnet", None),
        "input_size": (None,),
        "token_type": ("bpe", "char"),
    }
    for key, values in allowed.items():
        found = config.get(key, "rnn" if key == "encoder" else values[0])
        if found not in values:
            named = ", ".join("none" if value is None else value for value in values)
            raise SecateurError(f"{file}: {key} is {found!r}; read here: {named}")
    layer = config.get("encoder_conf", {}).get("input_layer", "conv2d")
    if layer not in INPUTS:
        raise SecateurError(f"{file}: encoder_conf.input_layer is {layer!r}; read here: {', '.join(INPUTS)}")


def _front_end(file: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the front end with ESPnet's defaults filled in."""
    given = dict(config.get("frontend_conf") or {})
    given.pop("onesided", None)
    given.pop("apply_stft", None)
    enhancement = given.pop("frontend_conf", None) or {}
    if enhancement.get("use_wpe") or enhancement.get("use_beamformer"):
        raise SecateurError(f"{file}: frontend_conf enhances speech of several channels, which is not done here")
    if strange := given.keys() - FRONT_END.keys():
        raise SecateurError(f"{file}: frontend_conf.{min(strange)} is not an option of ESPnet's default front end")
    fs = given.get("fs", 16000)
    given["fs"] = int(float(fs[:-1]) * 1000) if isinstance(fs, str) and fs.endswith("k") else int(fs)
    normalised = config.get("normalize", "global_mvn")
    mvn = None
    if normalised == "utterance_mvn":
        mvn = {"norm_means": True, "norm_vars": False, "eps": 1e-20} | dict(config.get("normalize_conf") or {})
    return {"front_end": "stft", **FRONT_END, **given, "utterance_mvn": mvn, "raw": normalised is None}


def config_file(folder: Path) -> Path | None:
    """The configuration of the ASR model in a folder, where meta.yaml says, or config.yaml; None if it has none."""
    if (folder / META).is_file():
        named = (read_yaml(folder / META).get("yaml_files") or {}).get("asr_train_config")
        return find(folder, folder / META, named, "yaml_files.asr_train_config") if named else None
    file = folder / CONFIG
    return file if file.is_file() and {"encoder", "token_list"} <= read_yaml(file).keys() else None


def _weights(folder: Path, config: Path) -> tuple[Path, list[str]]:
    """The file of weights, and what to say of it."""
    if (folder / META).is_file():
        named = (read_yaml(folder / META).get("files") or {}).get("asr_model_file")
        if named:
            return there(find(folder, folder / META, named, "files.asr_model_file")), []
    return best_weights(config.parent)


def best_weights(folder: Path) -> tuple[Path, list[str]]:
    """The file of weights in a folder of a training, and a note where there were several to choose from."""
    for pattern in BEST:
        if found := sorted(folder.glob(pattern)):
            note = [f"of {len(found)} files like {pattern}, {found[0].name} is taken"] if len(found) > 1 else []
            return there(found[0]), note
    raise SecateurError(f"{folder}: has {CONFIG}, but no file of weights; copy valid.acc.ave.pth, or its like, there")


def there(file: Path) -> Path:
    """The file itself. Raises SecateurError for a pointer of Git LFS in its place."""
    if problem := pointer(file):
        raise problem
    return file


def find(folder: Path, file: Path, named: str, key: str) -> Path:
    """The file that `key` of a configuration `file` names, wherever the folder was when that was written.

    ESPnet's paths are relative to where it was trained, or absolute there. Raises SecateurError if it is not there.
    """
    parts = Path(named).parts
    for place in _places(folder, file):
        for start in range(len(parts)):
            tail = os.path.join(*parts[start:])
            if not os.path.isabs(tail) and (place / tail).is_file():
                return place / tail
    raise SecateurError(f"{file}: {key} is {named}, which is not in {folder}; copy it there, or mend the path")


def _places(folder: Path, file: Path) -> Iterator[Path]:
    """Where to look: the folder, that of the file, and what is above it, as in an ESPnet recipe (exp/NAME)."""
    yield from dict.fromkeys((folder, file.parent, *list(file.parent.resolve().parents)[:2]))


def token_list(folder: Path, file: Path, config: Mapping[str, Any]) -> list[str]:
    """The token list, which the configuration holds or names."""
    found = config.get("token_list")
    if isinstance(found, str):
        found = find(folder, file, found, "token_list").read_text(encoding="utf-8").splitlines()
    if not isinstance(found, list) or not found:
        raise SecateurError(f"{file}: token_list is {type(found).__name__}; it must be a list, or the name of a file")
    return [str(token).rstrip() for token in found]


def read_yaml(file: Path) -> dict[str, Any]:
    """A configuration. Raises SecateurError if it is not YAML, or no mapping, or asks for Python objects."""
    if problem := pointer(file):
        raise problem
    try:
        found = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SecateurError(f"{file}: not YAML that can be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise SecateurError(f"{file}: not a configuration, but a {type(found).__name__}")
    return found


def export(loaded: Any, source: Path, folder: Path) -> None:
    """Write a model that came from `source`, masked or with fewer layers, as a folder that ESPnet loads.

    Raises SecateurError for one without some of its heads: ESPnet's layers have the same number of heads each.
    """
    import shutil

    import torch
    from espnet2.utils.yaml_no_alias_safe_dump import yaml_no_alias_safe_dump

    from secateur.core.files import write_text, written_aside
    from secateur.models.formats.weights import check_form, read_weights

    check_form(loaded, folder)
    found = describe(source)
    file, weights = found.files[:2]
    config = read_yaml(file)
    for kept in {*_beside(source, file, config), *_packed(source)} - {file, weights}:
        target = folder / _relative(source, kept)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, target)
    text = yaml_no_alias_safe_dump(_shallower(config, loaded), indent=4, sort_keys=False)
    write_text(folder / _relative(source, file), text)
    theirs, ours = read_weights(weights), loaded.model.state_dict()
    tensors = {name: value for name, value in theirs.items() if name == MEL_FILTERS or name.startswith("normalize.")}
    tensors |= {name: value.cpu() for name, value in ours.items() if not name.startswith("frontend.")}
    with written_aside(folder / _relative(source, weights)) as aside:
        torch.save(tensors, aside)


def _shallower(config: dict[str, Any], loaded: Any) -> dict[str, Any]:
    """The configuration with the layers and regularisers that the model has now."""
    from secateur.models.surgery.layers import has_decoder, layer_numbers
    from secateur.models.types import DECODER

    kept, encoder = layer_numbers(loaded.model), dict(config.get("encoder_conf") or {})
    encoder |= {"num_blocks": len(kept), "interctc_layer_idx": list(loaded.model.encoder.interctc_layer_idx)}
    if isinstance(rates := encoder.get("stochastic_depth_rate"), list):
        encoder["stochastic_depth_rate"] = [rates[number - 1] for number in kept]
    weight = loaded.model.interctc_weight if encoder["interctc_layer_idx"] else 0.0
    model = dict(config.get("model_conf") or {}) | {"interctc_weight": weight}
    found = {**config, "encoder_conf": encoder, "model_conf": model}
    if has_decoder(loaded.model):
        left = len(layer_numbers(loaded.model, DECODER))
        found["decoder_conf"] = dict(config.get("decoder_conf") or {}) | {"num_blocks": left}
    return found


def _beside(source: Path, file: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """The files that a configuration names."""
    named = {"bpemodel": config.get("bpemodel"), "token_list": config.get("token_list")}
    named["normalize_conf.stats_file"] = (config.get("normalize_conf") or {}).get("stats_file")
    for key, name in named.items():
        if isinstance(name, str):
            yield find(source, file, name, key)


def _packed(source: Path) -> Iterator[Path]:
    """meta.yaml and the files that it names, of which a language model has some; nothing where there is none."""
    if not (meta := source / META).is_file():
        return
    yield meta
    found = read_yaml(meta)
    for key in ("files", "yaml_files"):
        for name, named in (found.get(key) or {}).items():
            yield find(source, meta, named, f"{key}.{name}")


def _relative(source: Path, file: Path) -> Path:
    """Where a file of the folder goes in the new one; what lies outside of it goes to its top."""
    return file.relative_to(source) if file.is_relative_to(source) else Path(file.name)
