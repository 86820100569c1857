"""The claims that a study's numbers are held against: what the modules in the folders `claims` of all packages declare.

Such a module has a tuple `CLAIMS` (of `Claim`). A new one is found as soon as it is there. It must be light, since the
workflow reads it: the function that measures is named as text, `module:function`. It is given `Results` and the claim,
and yields a `Finding` for each model that the claim can be tested on, or `Missing`, which says what the study lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from secateur.reporting import registry
from secateur.reporting.registry import resolve

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
        characters: the difference in points of the rate of characters, where error rates are compared.
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
    characters: Any = None


@dataclass(frozen=True)
class Missing:
    """What a study lacks to test a claim."""

    why: str


@cache
def claims() -> tuple[Claim, ...]:
    """All claims: by document, then by `order`, then by id.

    Raises SecateurError for an unknown document and for an id that two have.
    """
    return registry.collected("claims", "CLAIMS", "id", "document", DOCUMENTS)


def files(config: Mapping[str, Any]) -> list[str]:
    """Every file that the claims are tested with, each once."""
    return list(dict.fromkeys(file for claim in claims() for file in resolve(claim.files)(config)))


def modules() -> tuple[str, ...]:
    """The modules that declare and measure, for the fingerprint of the command that writes the tables."""
    return (*registry.modules("claims"), *registry.modules_of(claim.measure for claim in claims()))


def clear() -> None:
    """Forget what was found: for tests that add modules."""
    registry.clear()
    claims.cache_clear()
