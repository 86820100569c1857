"""The small files of a Hugging Face folder. Nothing is downloaded, and no library of theirs is needed to read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TOKENIZER = ("vocab.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
"""What the model reads: by itself (transformers 4), or under `feature_extractor` beside other things (5)."""


def config_of(folder: Path) -> dict[str, Any]:
    """`config.json`; empty if there is none or it is no mapping."""
    if not (folder / CONFIG).is_file():
        return {}
    found = read_json(folder / CONFIG)
    return found if isinstance(found, dict) else {}


def preprocessor(folder: Path) -> dict[str, Any] | None:
    """How waveforms become the model's input, as one of `PREPROCESSORS` says it; None if none does."""
    for name in PREPROCESSORS:
        if (folder / name).is_file():
            found = read_json(folder / name)
            found = found.get("feature_extractor") if name == PREPROCESSORS[1] else found
            if isinstance(found, dict):
                return found
    return None


def present(folder: Path, *names: str) -> list[Path]:
    """Those of some files that are in the folder."""
    return [folder / name for name in names if (folder / name).is_file()]


def architecture(folder: Path, config: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """The architecture of a model, one of `wanted` (by the type of the model). Raises SecateurError for another."""
    if "format" in config:  # which is ours (`secateur.ssl.checkpoints`)
        raise SecateurError(
            f"{folder}: an encoder alone, which writes no text; put it back into its model: `secateur export-original "
            f"--model {folder} --source FOLDER-OF-THE-TEACHER --output NEW-FOLDER`, and name that folder"
        )
    expected = wanted[config["model_type"]]
    found = config.get("architectures") or [expected]
    if expected not in found:
        raise SecateurError(
            f"{folder / CONFIG}: the architecture is {found[0]}; expected {expected}, a model that writes text: "
            "fine-tune one, or name its folder"
        )
    return expected
