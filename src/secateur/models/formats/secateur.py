"""Checkpoints of this project: `pretrained/NAME`, or a model in the results of another study."""

from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.core.foreign import pointer
from secateur.models import types
from secateur.models.formats import Description

SHOWN = {"called": "one of this project", "files": "model.json, model.safetensors", "order": 10}
DESCRIPTION, WEIGHTS, SPARSE = "model.json", "model.safetensors", "sparse.safetensors"
PIECES, WHISPERS = "bpe.model", "tokenizer.json"
RECORD = "run.json"


def recognise(folder: Path) -> bool:
    """Whether there is a description of ours."""
    return (folder / DESCRIPTION).is_file()


def describe(folder: Path) -> Description:
    """What `model.json` says."""
    file = folder / DESCRIPTION
    found = read_json(file)
    if not isinstance(found, dict) or not {"config", "tokens"} <= found.keys():
        raise SecateurError(f"{file}: not the description of a model of this project; it needs `config` and `tokens`")
    config, tokens = found["config"], found["tokens"]
    if not isinstance(config, dict) or config.get("type") not in types.TYPES.all():
        kind = config.get("type") if isinstance(config, dict) else config
        raise SecateurError(
            f"{file}: a model of type {kind!r}, which cannot be pruned here; expected one of "
            f"{', '.join(types.of('models'))}"
        )
    masks = found.get("masks") or []
    notes = ["it was pruned before: its zeros are weights here, and may grow back"] if masks else []
    if len(masks) > 1:
        raise SecateurError(
            f"{folder}: has a mask for each language; make a model of one of them: `secateur export-sparse --model "
            f"{folder} --language LANGUAGE --output FOLDER`, and name that folder"
        )
    weights = _weights(folder)
    pieces = _pieces(folder, config["type"], tokens)
    features = {"front_end": "fbank", "mel_bins": config["features"]} if "features" in config else {}
    features = config.get("front_end") or features
    files = [file, weights, *([pieces] if pieces else [])]
    return Description(config, tokens, features, files, pieces, notes=notes, steps=_steps(folder))


def _steps(folder: Path) -> int:
    """The training steps of the record beside a model, and those before it that it names."""
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    if not isinstance(record, dict):
        raise SecateurError(f"{folder / RECORD}: not the record of a training; copy it again, or leave it out")
    arguments = record.get("arguments") or {}
    return int(record.get("steps") or 0) + int(arguments.get("before") or 0)


def load(folder: Path) -> Any:
    """The model, as its checkpoint has it."""
    from secateur.models.checkpoint import read_checkpoint
    from secateur.models.formats.weights import fill, read_weights
    from secateur.models.load import Loaded, rebuild

    description, weights = describe(folder), _weights(folder)
    tensors = read_weights(weights) if weights.name == WEIGHTS else read_checkpoint(folder).tensors
    try:
        model = rebuild(description.model, description.tokens)
    except (KeyError, TypeError) as error:
        raise SecateurError(
            f"{folder / DESCRIPTION}: its configuration is not one of this version ({type(error).__name__}: {error})"
        ) from error
    fill(model, tensors, weights)
    return Loaded(model.eval(), dict(description.model), list(description.tokens))


def _weights(folder: Path) -> Path:
    for name in (WEIGHTS, SPARSE):
        if (folder / name).is_file():
            if problem := pointer(folder / name):
                raise problem
            return folder / name
    raise SecateurError(f"{folder}: has {DESCRIPTION}, but no {WEIGHTS}; copy it there")


def _pieces(folder: Path, kind: str, tokens: list[str]) -> Path | None:
    """What spells text in word pieces: beside the model, or with the token list that it was trained on."""
    name = WHISPERS if types.GENERATE in types.parts(kind) else PIECES
    if name == PIECES and ("<space>" in tokens or not any("▁" in token for token in tokens)):
        return None
    places = [folder / name]
    if (folder / RECORD).is_file():
        trained = read_json(folder / "run.json").get("arguments", {}).get("tokens")
        places += [Path(trained).with_name(name)] if trained else []
    for place in places:
        if place.is_file():
            return place
    raise SecateurError(
        f"{folder}: writes word pieces, and {name}, which makes them of text, is not there; copy it from "
        "results/STUDY/tokens/CORPUS/ of its study into the folder"
    )
