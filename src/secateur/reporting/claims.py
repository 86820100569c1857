"""The claims that a study's numbers are held against: what the modules in the folders `claims` of all packages declare.

Such a module has a tuple `CLAIMS` (of `Claim`). A new one is found as soon as it is there. It must be light, since the
workflow reads it: the function that measures is named as text, `module:function`. It is given `Results` and the claim,
and yields a `Finding` for each model that the claim can be tested on, or `Missing`, which says what the study lacks.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import secateur
from secateur.core.errors import SecateurError
from secateur.reporting.registry import modules_of, resolve

DOCUMENTS = {
    "S1": "heads, layers and the cost of the language model",
    "S2": "layer pruning on demand",
    "S3": "adaptive masking and dynamic pathways",
    "S4": "structured pruning of self-supervised encoders",
    "ours": "not in the documents",
}
"""Where claims come from, in the order of the report."""


@dataclass(frozen=True)
class Claim:
    """A claim of a document, or of ours.

    Attributes:
        id: a name of its own.
        document: a key of `DOCUMENTS`.
        statement: what is claimed, in one line.
        published: the effect that the document has, and where in it; empty if it names none.
        measure: names a function from (`Results`, the claim) to `Finding`s and `Missing`.
        files: names a function from the configuration to the files that the measure reads, relative to the study's
            folder. As text, so that an edit where it stands, of a caption say, does not measure again.
        needs: the systems that it compares, in words: what is said to be missing where the function yields nothing.
        options: what else the function is to know, where several claims share it.
        order: its place in its document.
    """

    id: str
    document: str
    statement: str
    published: str
    measure: str
    files: str
    needs: str
    options: Mapping[str, Any] = field(default_factory=dict)
    order: int = 100


@dataclass(frozen=True)
class Part:
    """A number and what is claimed of it.

    Attributes:
        about: what it is, in a few words: `errors`, `time`.
        number: with `value`, `low`, `high`, `detectable`, `p_below` and `p_above` (see `secateur.statistics`).
        above, below: the claim: it lies between these two.
        unit: `points`, `%` or `times`.
    """

    about: str
    number: Any
    above: float = float("-inf")
    below: float = float("inf")
    unit: str = "points"


@dataclass(frozen=True)
class Finding:
    """What a study has on a claim.

    Attributes:
        compared: what with what.
        parts: all of which are claimed; the first is the one whose number is shown.
        files: that it is made from, separated by spaces.
        seeds, utterances: behind it; None where it is not about utterances.
        absolute, relative: the effect as a difference, in the unit of what was measured, and in percent of the
            reference; None where there is no such thing.
        interval: what the interval is over.
        doubt: why it must not be relied on, or "".
    """

    compared: str
    parts: Sequence[Part]
    files: str
    seeds: int = 1
    utterances: int | None = None
    absolute: float | None = None
    relative: float | None = None
    interval: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Missing:
    """What a study lacks to test a claim."""

    why: str


@cache
def declaring() -> tuple[str, ...]:
    """Names of all modules that declare claims."""
    files = (file for folder in secateur.__path__ for file in Path(folder).glob("*/claims/*.py"))
    found = {f"secateur.{file.parts[-3]}.claims.{file.stem}" for file in files if file.stem != "__init__"}
    return tuple(sorted(found))


@cache
def claims() -> tuple[Claim, ...]:
    """All claims: by document, then by `order`, then by id.

    Raises SecateurError for an unknown document and for an id that two have.
    """
    found: dict[str, Claim] = {}
    for module in declaring():
        for claim in getattr(importlib.import_module(module), "CLAIMS", ()):
            if claim.document not in DOCUMENTS:
                allowed = ", ".join(DOCUMENTS)
                raise SecateurError(
                    f"{module}: document of {claim.id}: expected one of {allowed}; got {claim.document}"
                )
            if claim.id in found:
                raise SecateurError(f"{module}: there is a claim {claim.id} already; give this one another id")
            found[claim.id] = claim
    documents = list(DOCUMENTS)
    return tuple(sorted(found.values(), key=lambda claim: (documents.index(claim.document), claim.order, claim.id)))


def files(config: Mapping[str, Any]) -> list[str]:
    """Every file that the claims are tested with, each once."""
    return list(dict.fromkeys(file for claim in claims() for file in resolve(claim.files)(config)))


def modules() -> tuple[str, ...]:
    """The modules that declare and measure, for the fingerprint of the command that writes the tables."""
    return (*declaring(), *modules_of(claim.measure for claim in claims()))


def clear() -> None:
    """Forget what was found: for tests that add modules."""
    declaring.cache_clear()
    claims.cache_clear()
