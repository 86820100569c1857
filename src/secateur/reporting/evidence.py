"""What functions that measure claims share: findings from comparisons of error rates and from times."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.reporting.claims import Finding, Part
from secateur.reporting.compared import Compared, margin_of
from secateur.reporting.results import Results
from secateur.study import own
from secateur.study.margins import margins

ERRORS, TIME = "errors", "time"


def model_name(config: Mapping[str, Any], model: str, called: str = "") -> str:
    """A model in words, `called` another name than its own: with several seeds, also whether it is one that was given,
    so that seeds are of what follows."""
    one = len(config["seeds"]) > 1 and own.as_it_is(config, model)
    return (called or model) + (" (one model for all seeds, which are those of what follows)" if one else "")


def better(found: Compared) -> Part:
    """That a system makes fewer errors than its reference: its relative change is below 0."""
    if found.relative is None:
        return Part(ERRORS, found.absolute, below=0.0)
    return Part(ERRORS, found.relative, below=0.0, unit="%")


def no_worse(results: Results, found: Compared) -> Part:
    """That a system makes at most the study's margin more errors than its reference."""
    number, margin = found.against(margin_of(results.config))
    return Part(ERRORS, number, below=margin, unit="%" if number is found.relative else "points")


def worse(results: Results, found: Compared) -> Part:
    """That a system makes more errors than its reference, by more than the study's margin."""
    part = no_worse(results, found)
    return replace(part, above=part.below, below=float("inf"))


def faster(number: Any, than: float = 1.0) -> Part:
    """That a system takes less than so many times the time of its reference."""
    return Part(TIME, number, below=than, unit="times")


def tolerated(config: Mapping[str, Any], times: float) -> float:
    """A published ratio of times, with what a time may be off by to count as the same (`claims.time_margin`)."""
    return times * (1 + margins(config).time_margin)


def finding(compared: str, found: Compared, parts: Sequence[Part], doubt: str = "", files: str = "") -> Finding:
    """A finding about error rates. `files` are those of its other parts."""
    return Finding(
        compared,
        parts,
        " ".join(dict.fromkeys(f"{found.files} {files}".split())),
        found.absolute.seeds,
        found.absolute.utterances,
        float(found.absolute.value),
        None if found.relative is None else float(found.relative.value),
        found.interval,
        doubt,
        found.characters[2],
    )
