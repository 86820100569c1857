"""The default study, and changes of it that it refuses, for tests."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from secateur.config.complete import complete
from secateur.core.errors import SecateurError

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
ENCODER = {"type": "transformer", "layers": 6, "dim": 32, "heads": 2, "ffn": 64}
PLAIN = {"type": "ctc", "training": "acoustic", "encoder": ENCODER}
"""An entry of `models` that is trained from random weights."""


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As Snakemake lays a study over config.yaml: mappings are merged, everything else replaced."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


def refusal(change: dict[str, Any]) -> str:
    """What is said of the default study with a change that is a mistake."""
    with pytest.raises(SecateurError) as caught:
        complete(merged(DEFAULT, change))
    return str(caught.value)
