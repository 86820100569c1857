"""Checking a study's configuration before anything runs: schema, defaults, and what a schema cannot say."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from secateur.compose import checks as compose
from secateur.config import basics, folders, scale, validation, written
from secateur.config.schema import SCHEMA
from secateur.core.errors import SecateurError
from secateur.exits import checks as exits
from secateur.exported import checks as exported
from secateur.heads import checks as heads
from secateur.layers import checks as layers
from secateur.pruning import checks as prune
from secateur.ssl import checks as ssl
from secateur.streaming import checks as streaming
from secateur.study import own, pruned_lms

SECTIONS = (folders, own, pruned_lms, prune, layers, exits, heads, compose, exported, streaming, ssl)


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given`, a study as read from YAML, with the defaults of the schema filled in.

    Raises SecateurError with the path of the key, the value found and what is allowed.
    """
    config = copy.deepcopy(dict(given))
    _refuse(written.odd_keys(config))
    _refuse(scale.problems(config))
    scale.expand(config)
    own.leave_out_nulls(config)
    _refuse(validation.fill(config, SCHEMA))
    for section in SECTIONS:
        section.expand(config)
    basics.leave_out_unbuilt(config)
    _refuse(problem for part in (basics, *SECTIONS) for problem in part.problems(config))
    layers.add_models(config)
    return config


def _refuse(problems: Iterable[str]) -> None:
    """Raise SecateurError with all `problems`, each once, if there are any."""
    if lines := list(dict.fromkeys(problems)):
        raise SecateurError("\n".join(lines))
