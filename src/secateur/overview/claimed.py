"""What the documents claim, and what this study found: a verdict for every claim."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from secateur.reporting import claims, views
from secateur.reporting.claims import DOCUMENTS, Claim, Finding, Missing, Part
from secateur.reporting.compared import limits, number
from secateur.reporting.grid import Cell, Grid, Row, figure, measure
from secateur.reporting.registry import resolve
from secateur.reporting.results import Results
from secateur.statistics import verdicts
from secateur.statistics.verdicts import UNDECIDED, AllOf, Evidence, Verdict
from secateur.study.margins import CLAIMS, margins

COLUMNS = (
    *("id", "document", "statement", "published", "compared", "unit", "measured", "low", "high", "detectable"),
    *("absolute", "relative", "cer_difference", "cer_difference_low", "cer_difference_high"),
    *("seeds", "utterances", "interval", "verdict", "why", "p_value", "adjusted", "times_as_much", "source"),
)
NOTE = (
    "A claim is supported where its 95 % interval lies within what is claimed, not supported where it lies outside, "
    "after Holm's correction over all claims that were tested here; a claim of several parts needs all of them. "
    "Undecided is no evidence against it: see the smallest effect that this study could have shown (80 % power). Not "
    "tested: the study lacks the systems. Error rates are means over languages, of the first search and split. To "
    "decide: how many times as many utterances, or seeds where there are several, decide with 80 % power at an effect "
    "as large as the measured one, before the correction."
)


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row for every claim and model that it can be tested on; of one that cannot be tested, a row that says why."""
    found: list[tuple[Claim, Finding | Missing]] = []
    for claim in claims.claims():
        answers = list(resolve(claim.measure)(results, claim))
        tested: list[Finding | Missing] = [answer for answer in answers if isinstance(answer, Finding)]
        lacking = "; ".join(dict.fromkeys(answer.why for answer in answers if isinstance(answer, Missing)))
        lacking = lacking or f"the study lacks what it needs: {claim.needs}"
        found += [(claim, answer) for answer in tested or [Missing(lacking)]]
    evidence = {str(place): _evidence(answer) for place, (_, answer) in enumerate(found)}
    judged = verdicts.verdicts(evidence, margins(results.config).level, CLAIMS)
    for place, (claim, answer) in enumerate(found):
        yield _row(claim, answer, judged[str(place)])


def _evidence(answer: Finding | Missing) -> Evidence | None:
    if isinstance(answer, Missing):
        return None
    parts = tuple(verdicts.Claim(part.above, part.below) for part in answer.parts)
    return Evidence(AllOf(parts), tuple(part.number for part in answer.parts), answer.doubt)


def _row(claim: Claim, answer: Finding | Missing, judged: Verdict) -> dict[str, Any]:
    facts = {key: getattr(claim, key) for key in ("id", "document", "statement", "published")}
    facts |= {"verdict": judged.verdict, "p_value": judged.p_value, "adjusted": judged.adjusted}
    if isinstance(answer, Missing):
        return facts | {"why": answer.why}
    first = answer.parts[0]
    shown = {name: number(getattr(first.number, name)) for name in ("low", "high", "detectable")}
    return {
        **facts,
        **shown,
        "why": f"{judged.why}: {'; '.join(map(described, answer.parts))}",
        "compared": answer.compared,
        "unit": first.unit,
        "measured": float(first.number.value),
        "absolute": number(answer.absolute),
        "relative": number(answer.relative),
        **_characters(answer),
        "seeds": answer.seeds,
        "utterances": answer.utterances,
        "interval": answer.interval,
        "times_as_much": times_as_much(answer) if judged.verdict == UNDECIDED else None,
        "source": answer.files,
    }


def times_as_much(answer: Finding) -> float | None:
    """How many times the data of an undecided finding would decide with 80 % power, were the truth as measured.

    An effect that is `detectable` at n seeds or utterances is so at n / k² of them k times as far from the bound of the
    claim: standard errors go with the root of n. All parts must hold, one that does not is enough to refute. None where
    no amount decides: a number on its bound, one without an interval, or times that are not to be relied on.
    """
    needed: dict[bool, list[float]] = {True: [], False: []}
    for part in answer.parts:
        value, detectable = float(part.number.value), number(part.number.detectable)
        far = min(value - part.above, part.below - value)
        if detectable is None or not math.isfinite(detectable) or not far:
            return None
        needed[far > 0].append((detectable / far) ** 2)
    found = min(needed[False]) if needed[False] else max(needed[True])
    return None if answer.doubt or not found else max(1.0, found)


def _characters(answer: Finding) -> dict[str, Any]:
    found = answer.characters
    ends = {} if found is None else {"": found.value, "_low": found.low, "_high": found.high}
    return {f"cer_difference{end}": number(value) for end, value in ends.items()}


def described(part: Part) -> str:
    """A number with its interval, what is claimed of it, and the smallest effect that could be shown, in words."""
    value, low, high, least = (number(getattr(part.number, name)) for name in ("value", "low", "high", "detectable"))
    digits = 2 if part.unit == "times" else 1
    ends = "no interval" if low is None or high is None else f"{figure(low, digits)} to {figure(high, digits)}"
    interval = "" if low == high else f" ({ends})"
    bounds = {"above": part.above, "below": part.below}
    said = {name: f"{bound:.{digits}f}" if part.unit == "times" else f"{bound:g}" for name, bound in bounds.items()}
    known = [name for name, bound in bounds.items() if math.isfinite(bound)]
    claimed = " to ".join(said.values()) if len(known) == 2 else f"{known[0]} {said[known[0]]}"
    shown = f", detectable {figure(least, digits)}" if least else ""
    return f"{part.about} {figure(value, digits)} {part.unit}{interval}, claimed {claimed.replace('-', '−')}{shown}"


def view(tables: views.Tables) -> list[Grid]:
    """All claims, a grid for each document."""
    grids = []
    for document, members in _by_document(tables["claims"]).items():
        lines = [[*_texts(row), *_numbers(row)] for row in members]
        texts = ["Claim", "Verdict", "Published", "Compared", "Why", *(["Study"] if "study" in members[0] else [])]
        header = [*texts, "Measured", "Detectable", "To decide", "CER, points", "Seeds", "Utterances"]
        title = f"{document}: {DOCUMENTS[document]}"
        grids.append(Grid(title, header, len(texts), lines))
    caption = " ".join((NOTE, *limits(tables["claims"])))
    return [*grids[:-1], replace(grids[-1], caption=caption)] if grids else []


def _by_document(members: Sequence[Row]) -> Mapping[str, list[Row]]:
    return {key: found for (key,), found in views.grouped(members, "document").items()}


def _texts(row: Row) -> list[Cell]:
    texts = [f"{row['id']}: {row['statement']}", row["verdict"], row["published"], row["compared"], row["why"]]
    texts += [row["study"]] if "study" in row else []
    return [Cell(text=text or "–") for text in texts]


def _numbers(row: Row) -> list[Cell]:
    """The number with its unit and interval, linked to its files; then what could have been seen, and the sample."""
    digits = 2 if row["unit"] == "times" else 1
    found = measure(row, "measured", digits) if row["measured"] else Cell()
    if found.value is not None:
        low, high = (float(row[end]) if row[end] else None for end in ("low", "high"))
        low, high = (None, None) if low == high else (low, high)
        found = replace(found, low=low, high=high, suffix=f" {row['unit']}")
    plain = {**row, "source": ""}
    spelled = measure(plain, "cer_difference", 1, interval=True) if row["cer_difference"] else Cell()
    counts = [measure(plain, name, 0) if row[name] else Cell() for name in ("seeds", "utterances")]
    more = replace(measure(plain, "times_as_much"), suffix=" times") if row["times_as_much"] else Cell()
    return [found, measure(plain, "detectable", digits), more, spelled, *counts]
