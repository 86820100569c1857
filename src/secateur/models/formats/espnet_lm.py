"""ESPnet2 language models: the folder of one's training, or a packed folder that has one beside its ASR model."""

from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.models.formats import Description
from secateur.models.formats.espnet import CONFIG, META, best_weights, find, is_there, read_yaml, there, token_list

SECTION = "language_models"
SHOWN = {"called": "ESPnet2 language model", "files": "meta.yaml, or config.yaml and a .pth file", "order": 21}
KINDS = ("transformer", "seq_rnn")


def recognise(folder: Path) -> bool:
    """Whether a configuration of a language model of ESPnet is there."""
    return is_there(config_file, folder)


def describe(folder: Path) -> Description:
    """What the configuration says."""
    file = config_file(folder)
    assert file is not None, "recognised"
    config = read_yaml(file)
    kind, conf = config.get("lm") or "seq_rnn", config.get("lm_conf") or {}
    if kind not in KINDS:
        raise SecateurError(f"{file}: lm is {kind!r}; read here: {', '.join(KINDS)}")
    named = (read_yaml(folder / META).get("files") or {}).get("lm_file") if (folder / META).is_file() else None
    weights, notes = (
        (there(find(folder, folder / META, named, "files.lm_file")), []) if named else best_weights(file.parent)
    )
    model = {
        "type": "espnet_lm",
        "dim": conf.get("att_unit", conf.get("unit", 650)),
        "heads": conf.get("head", 1),
        "ffn": conf.get("unit", 650),
        "layers": conf.get("layer", conf.get("nlayers", 4)),
        "espnet": {"lm": kind, "lm_conf": conf},
    }
    return Description(model, token_list(folder, file, config), {}, [file, weights], notes=notes)


def load(folder: Path) -> Any:
    """The language model, rebuilt of ESPnet's classes."""
    from secateur.models.build import build_model
    from secateur.models.formats.weights import fill, read_weights
    from secateur.models.load import Loaded

    found = describe(folder)
    config, file = found.files
    try:
        model = build_model(found.model, found.tokens)
    except (TypeError, ValueError, AssertionError) as error:
        raise SecateurError(f"{config}: ESPnet cannot build its language model: {error}") from error
    fill(model, read_weights(file), file)
    return Loaded(model.eval(), dict(found.model), list(found.tokens))


def config_file(folder: Path) -> Path | None:
    """The configuration of the language model in a folder; None if it has none."""
    if (folder / META).is_file():
        named = (read_yaml(folder / META).get("yaml_files") or {}).get("lm_train_config")
        return find(folder, folder / META, named, "yaml_files.lm_train_config") if named else None
    file = folder / CONFIG
    found = read_yaml(file) if file.is_file() else {}
    return file if "lm" in found and "encoder" not in found else None
