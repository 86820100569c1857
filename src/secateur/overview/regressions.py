"""What pruning breaks: languages, speakers, words and utterances that got worse or better than in the dense model.

Every system is set beside the dense model that it was made from, on the same utterances by the same search. An average
must not hide that one language pays.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import score
from secateur.overview.candidates import from_dense, name_of
from secateur.overview.comparisons import System as Family
from secateur.overview.comparisons import systems
from secateur.overview.study import DEV
from secateur.overview.systems import AXES, axes_of
from secateur.reporting import views
from secateur.reporting.compared import number
from secateur.reporting.grid import Cell, Clip, Grid, Row, listing, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import Results
from secateur.reporting.systems import System, Utterance, counted_files, utterances
from secateur.speech.units import unit_of, units
from secateur.statistics.estimates import TestSet, difference

ALL, LANGUAGE, SPEAKER, WORD, UTTERANCE = ("all", "language", "speaker", "word", "utterance")
"""What a row is about: its `level`."""
TEXTS = ("reference", "dense_hypothesis", "hypothesis")
COLUMNS = (
    *(*AXES, "split", "against", "level", "language", "name", "words", "dense_errors", "errors"),
    *("change", "change_low", "change_high", "detectable", "cer_change", "worse", "better", *TEXTS, "source"),
)
SHOWN_SPEAKERS, SHOWN_WORDS, SHOWN_UTTERANCES = 5, 5, 3
"""How many of the worst, and of the best, there are rows of."""


@dataclass(frozen=True)
class Heard:
    """What a system and the dense model made of the utterances of one language, in the same order."""

    mine: Sequence[Utterance]
    dense: Sequence[Utterance]
    misses: Counter[str]
    dense_misses: Counter[str]


class Reader:
    """Reads utterances, those of dense models once."""

    def __init__(self, results: Results):
        self.results = results
        self._known: dict[tuple[str, str], tuple[list[Utterance], Counter[str]]] = {}

    def heard(self, system: System, dense: System, language: str) -> Heard:
        """What both made of the utterances of a language. Raises SecateurError if they are not the same utterances."""
        key = dense.decodings[language].folder, language
        if key not in self._known:
            found = utterances(self.results, dense, language)
            self._known[key] = found, misses(found)
        mine, (theirs, missed) = utterances(self.results, system, language), self._known[key]
        if [(one.name, one.words) for one in mine] != [(one.name, one.words) for one in theirs]:
            folder = self.results.root / system.decodings[language].folder
            raise SecateurError(f"{folder} is not about the same utterances as {key[0]}; delete it and run again")
        return Heard(mine, theirs, misses(mine), missed)


def misses(found: Sequence[Utterance]) -> Counter[str]:
    """How often each reference word was not recognised: it was left out, or another one stands in its place."""
    references = {one.name: one.reference for one in found}
    scores = score(references, {one.name: one.hypothesis for one in found})
    pairs = (pair for one in scores for pair in one.alignment)
    return Counter(word for word, said in pairs if word is not None and word != said)


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """Rows of every system that was made from a dense one, by level; of speakers, words and utterances the extremes."""
    known, reader = systems(results.config), Reader(results)
    for candidate, run in from_dense(results):
        for split, system in candidate.systems.items():
            dense = System(known.get(Family(run, split, candidate.search), {}))
            if split == DEV or not system.decodings.keys() <= dense.decodings.keys():
                continue
            heard = {language: reader.heard(system, dense, language) for language in system.decodings}
            sources = counted_files(one for part in (system, dense) for one in part.decodings.values())
            axes = axes_of(results, candidate) | {"split": split, "against": name_of(run), "source": sources}
            yield from (axes | row for row in compared(heard))


def compared(heard: Mapping[str, Heard]) -> Iterator[dict[str, Any]]:
    """The rows of one system: all languages together, each language, and the extremes of each level below."""
    everything = [pair for found in heard.values() for pair in zip(found.mine, found.dense, strict=True)]
    yield {"level": ALL, "language": "", "name": "", **_counts(everything)}
    for language, found in heard.items():
        pairs = list(zip(found.mine, found.dense, strict=True))
        counts = (np.array([one.errors for one in side]) for side in (found.mine, found.dense))
        test = TestSet([one.words for one in found.mine], None, [one.speaker for one in found.mine])
        interval = difference(*counts, test)
        ends = {"change_low": number(interval.low), "change_high": number(interval.high)}
        ends["detectable"] = number(interval.detectable)
        yield {"level": LANGUAGE, "language": language, "name": language, **_counts(pairs), **ends}
    yield from _speakers(heard)
    for language, found in heard.items():
        yield from _words(language, found)
        yield from _utterances(language, found)


def _counts(pairs: Sequence[tuple[Utterance, Utterance]]) -> dict[str, Any]:
    """Words, errors of both, the change in errors per 100 words and characters, and utterances worse and better."""
    words, characters = (sum(getattr(one, name) for one, _ in pairs) for name in ("words", "characters"))
    errors, dense = sum(one.errors for one, _ in pairs), sum(other.errors for _, other in pairs)
    spelled = sum(one.character_errors - other.character_errors for one, other in pairs)
    return {
        **{"words": words, "errors": errors, "dense_errors": dense, "change": 100 * (errors - dense) / words},
        "cer_change": 100 * spelled / characters,
        "worse": sum(one.errors > other.errors for one, other in pairs),
        "better": sum(one.errors < other.errors for one, other in pairs),
    }


def _speakers(heard: Mapping[str, Heard]) -> Iterator[dict[str, Any]]:
    """Those whose errors rose most and least, where a language has several."""
    found = []
    for language, one in heard.items():
        groups: dict[str, list[tuple[Utterance, Utterance]]] = {}
        for pair in zip(one.mine, one.dense, strict=True):
            groups.setdefault(pair[0].speaker, []).append(pair)
        if len(groups) > 1:
            place = {"level": SPEAKER, "language": language}
            found += [place | {"name": speaker, **_counts(pairs)} for speaker, pairs in groups.items()]
    yield from _extremes(sorted(found, key=lambda row: (-row["change"], row["name"])), SHOWN_SPEAKERS)


def _words(language: str, found: Heard) -> Iterator[dict[str, Any]]:
    """Words that were missed more often, and less often, than by the dense model; `words` is how often each occurs.

    Of a language that is written without spaces they are characters.
    """
    unit = unit_of(one.reference for one in found.mine)
    said = Counter(word for one in found.mine for word in units(one.reference, unit))
    rows = []
    for word in sorted(found.misses.keys() | found.dense_misses.keys()):
        counts = found.misses[word], found.dense_misses[word]
        if counts[0] != counts[1]:
            row = {"level": WORD, "language": language, "name": word, "words": said[word]}
            rows.append(row | {"errors": counts[0], "dense_errors": counts[1]})
    yield from _extremes(_by_rise(rows), SHOWN_WORDS)


def _utterances(language: str, found: Heard) -> Iterator[dict[str, Any]]:
    """Utterances with more errors, and with fewer, than of the dense model, with what both made of them."""
    rows = [
        {
            **{"level": UTTERANCE, "language": language, "name": one.name, "words": one.words},
            **{"errors": one.errors, "dense_errors": other.errors},
            **dict(zip(TEXTS, (one.reference, other.hypothesis, one.hypothesis), strict=True)),
        }
        for one, other in zip(found.mine, found.dense, strict=True)
        if one.errors != other.errors
    ]
    yield from _extremes(_by_rise(rows), SHOWN_UTTERANCES)


def _by_rise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["dense_errors"] - row["errors"], row["name"]))


def _extremes(rows: Sequence[dict[str, Any]], count: int) -> Sequence[dict[str, Any]]:
    """The first and the last rows, each once."""
    return rows if len(rows) <= 2 * count else [*rows[:count], *rows[-count:]]


# --- for reading


NOTE = (
    "Beside the dense model that each was made from, on the same utterances. Change: errors per 100 words, that of the "
    "system minus that of the dense model; above 0 it got worse. CER: the same per 100 characters. The language and "
    "the speaker whose errors rose most; in brackets the 95 % interval, paired, over utterances, or speakers where "
    "there are ten. Of many speakers one is worst by chance, too. Words: missed more often, or less often, than by the "
    "dense model (its misses → those of the system)."
)


def view(tables: views.Tables) -> list[Grid]:
    """By corpus: who pays, and the utterances that changed most, side by side."""
    grids = []
    for corpus, members in views.by_corpus(tables["regressions"]).items():
        chosen = _at_the_end(members)
        several = len({row["seed"] for row in chosen}) > 1
        groups = views.grouped(chosen, "system", "search", "split", "seed").values()
        lines = [{**group[0], "seed": group[0]["seed"] if several else "", "rows": group} for group in groups]
        index = ("system", "against", "search", "split", "seed")
        title = f"What pruning breaks, {views.named(tables, corpus)}"
        grid = pivot(title, lines, index, lambda row: _cells(row["rows"]), keep=("system",))
        note = f"{rate(tables, corpus)(NOTE)} {views.speech(tables, corpus)}"
        grids += [replace(grid, caption=note), *_side_by_side(tables, corpus, lines)]
    return grids


def _at_the_end(rows: Sequence[Row]) -> list[Row]:
    """Of systems that differ in their sparsity alone, the sparsest."""
    axes = ("corpus", "model", "method", "scope", "search", "split")
    highest: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = tuple(row[axis] for axis in axes)
        highest[key] = max(highest.get(key, 0.0), float(row["sparsity_target"]))
    return [row for row in rows if float(row["sparsity_target"]) == highest[tuple(row[axis] for axis in axes)]]


def _cells(rows: Sequence[Row]) -> Iterator[tuple[str, Cell]]:
    by_level = views.grouped(rows, "level")
    for level in (LANGUAGE, SPEAKER):
        worst = max(by_level.get((level,), ()), key=lambda row: float(row["change"]), default=None)
        yield f"Worst {level}", Cell(text=worst["name"] if worst else "–")
        yield f"Change, {level}", measure(worst, "change", 1, interval=True) if worst else Cell()
        yield f"CER, {level}", measure(worst, "cer_change", 1) if worst else Cell()
    whole = by_level[ALL,][0]
    yield from (("Utterances worse", measure(whole, "worse", 0)), ("Better", measure(whole, "better", 0)))
    words = by_level.get((WORD,), [])
    for heading, sign in (("Words worse", 1), ("Words better", -1)):
        rise = {id(row): sign * (int(row["errors"]) - int(row["dense_errors"])) for row in words}
        changed = sorted((row for row in words if rise[id(row)] > 0), key=lambda row: -rise[id(row)])
        shown = (f"{row['name']} {row['dense_errors']} → {row['errors']}" for row in changed[:SHOWN_UTTERANCES])
        yield heading, Cell(text=", ".join(shown) or "–")


def _side_by_side(tables: views.Tables, corpus: str, lines: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """Of each system, by its first search, the utterance that got worst, and the one that got best."""
    shown, seen = [], set()
    for line in lines:
        found = [row for row in line["rows"] if row["level"] == UTTERANCE]
        if not found or line["system"] in seen:
            continue
        seen.add(line["system"])
        ordered = sorted(found, key=lambda row: int(row["dense_errors"]) - int(row["errors"]))
        shown += [ordered[0], *([ordered[-1]] if len(ordered) > 1 else [])]
    columns = {"system": "System", "language": "Language", "reference": "Reference", "dense_hypothesis": "Dense"}
    columns |= {"hypothesis": "Pruned", "dense_errors": "Errors, dense", "errors": "Errors, pruned"}
    numbers = {"dense_errors": 0, "errors": 0}
    title = f"Utterances that changed most, {views.named(tables, corpus)}"
    note = "Of each system the utterance that got worst and the one that got best. More are in `regressions.tsv`. "
    grid = replace(listing(title, shown, columns, numbers), caption=note + views.speech(tables, corpus))
    place = grid.header.index(columns["reference"])
    for row, cells in zip(shown, grid.rows, strict=True):
        clip = Clip(f"data/{row['corpus']}/{row['language']}/{row['split']}", row["name"])
        cells[place] = replace(cells[place], clip=clip)
    return [grid] if shown else []
