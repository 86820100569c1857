"""Folders of trained models, of this project and of others: one format a file, found by listing this folder.

`models: NAME: {pretrained: FOLDER}` makes a model of the study out of such a folder. A format is a file here with the
literals SHOWN = {"called": what a reader calls such a folder, "files": what must lie in it, "order": …} and, where all
are of one section of the configuration, SECTION = "models" or "language_models"; and with

    recognise(folder) -> bool              whether the folder is of this format, by its small files alone
    describe(folder) -> Description        what the folder holds, by its small files alone: no weights
    load(folder) -> Loaded                 the model, rebuilt strictly, in evaluation mode on the CPU
    export(loaded, source, folder)         may be missing: write `loaded`, which came from the folder `source`, as a
                                           folder that the library which `source` is of loads
    with_encoder(encoder, source) -> Loaded    may be missing: the model in the folder `source` with another encoder,
                                           its own that the section `ssl` pruned (`secateur.models.upstream.encoder`)

The workflow calls `recognise` and `describe` while it parses, so the top of the file imports neither torch nor numpy:
the other functions import what they need. `describe` and `load` raise SecateurError, one line that names the file, for
what cannot be used. `secateur.models.formats.weights` reads files of weights for all of them.

`Description.model` is a complete entry of `models` without `training`, of a type in `secateur.models`, and what the
checkpoint of the study holds as its configuration: `build_model` makes the module from it and the token list alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur.core import hugging_face
from secateur.core.errors import SecateurError
from secateur.core.foreign import no_folder
from secateur.core.plugins import Plugin, Plugins

FORMATS = Plugins("format of model folders", __name__, Path(__file__).parent, mark="SHOWN")
RATE = 16000
"""Hz of all speech in this pipeline."""
MODELS = "models"


@dataclass(frozen=True)
class Description:
    """What a folder of a trained model holds, as far as its small files say.

    Attributes:
        model: an entry of `models` or `language_models`, complete but for `training`.
        tokens: the token list, in the order of the model's outputs: `<blank>` first, `<sos/eos>` last.
        features: the front end that makes the model's input (`secateur.speech.front_ends`), with its options; nothing
            for a language model.
        files: every file that loading reads.
        pieces: the SentencePiece model that spells text in `tokens`; None for characters.
        rate: of the speech that the model was trained on, in Hz.
        notes: what a user should know and need not mend.
        steps: training steps behind it, as far as a record beside it says; else 0.
    """

    model: Mapping[str, Any]
    tokens: Sequence[str]
    features: Mapping[str, Any]
    files: Sequence[Path]
    pieces: Path | None = None
    rate: int = RATE
    notes: Sequence[str] = field(default_factory=tuple)
    steps: int = 0


def describe(folder: str | Path, key: str = MODELS) -> Description:
    """What a folder holds.

    Args:
        key: of the configuration that names it, `models` or `language_models` first: a folder may have one of each.

    Raises SecateurError for what is no such folder, of no known format, or not usable here.
    """
    found = format_of(folder, key).load().describe(Path(folder))
    if found.rate != RATE:
        raise SecateurError(
            f"{folder}: a model for speech at {found.rate} Hz, and all speech here is at {RATE} Hz; take a model that "
            f"was trained at {RATE} Hz"
        )
    if found.pieces is not None and found.pieces.suffix == ".json":
        return found  # Whisper's list, which has tokens of its own
    if missing := [token for token in ("<blank>", "<unk>", "<sos/eos>") if token not in found.tokens]:
        raise SecateurError(f"{folder}: the token list has no {missing[0]}; it must have one, and be the model's")
    return found


def load(folder: str | Path, key: str = MODELS) -> Any:
    """The model in a folder, a `secateur.models.load.Loaded`. Raises SecateurError as `describe` does, and for weights
    that are missing, damaged, not finite, or do not fit."""
    return format_of(folder, key).load().load(Path(folder))


def exporter(folder: str | Path) -> Callable[..., None] | None:
    """What writes a model back in the format of a folder; None where the format has no such function."""
    return getattr(format_of(folder).load(), "export", None)


def joiner(folder: str | Path) -> Callable[..., Any]:
    """What puts a pruned encoder back into the model of a folder. Raises SecateurError where the format cannot."""
    found = format_of(folder)
    if join := getattr(found.load(), "with_encoder", None):
        return join
    raise SecateurError(
        f"{folder}: {found.get('SHOWN')['called']}, and encoders alone are of Hugging Face's; name the folder that the "
        "encoder's teacher came from"
    )


def format_of(folder: str | Path, key: str = MODELS) -> Plugin:
    """The format of a folder. Raises SecateurError for what is no folder, or of no known format."""
    folder, section = Path(folder), key.partition(".")[0]
    if not folder.is_dir():
        raise no_folder(folder, key)
    found = list(FORMATS.all().values())
    for plugin in sorted(found, key=lambda plugin: plugin.get("SECTION", section) != section):
        if plugin.load().recognise(folder):
            return plugin
    if kind := hugging_face.config_of(folder).get("model_type"):
        read = ", ".join(name for plugin in found for name in plugin.get("ARCHITECTURES", {}).values())
        raise SecateurError(f"{folder / hugging_face.CONFIG}: the type of the model is {kind!r}; read here: {read}")
    known = "; ".join(f"{one.get('SHOWN')['called']} ({one.get('SHOWN')['files']})" for one in found)
    raise SecateurError(f"{folder}: not a folder of a model that can be read; {key} may name: {known}")
