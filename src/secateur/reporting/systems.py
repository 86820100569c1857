"""A model or sub-model with a search: its error rates in every language and on average.

Sub-models are decoded many at a time, into one file; a system then names the one that it is (`secateur decode`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.reporting.results import HYPOTHESES, UTTERANCES, Results, speakers_file
from secateur.statistics.estimates import TestSet, error_rate
from secateur.study.runs import Decoding

RATES = ("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high")
AVERAGE = "avg"
NUMBERS = ("errors", "words", "character_errors", "characters")
COUNTED = ("utterance", *NUMBERS)


@dataclass(frozen=True)
class System:
    """Decodings on one split with one search, by language; of a file of several sub-models, the one of this name."""

    decodings: Mapping[str, Decoding]
    sub_model: str = ""


@dataclass(frozen=True)
class Utterance:
    """What a system made of an utterance. Where errors are counted in characters, `words` are characters."""

    name: str
    speaker: str
    words: int
    errors: int
    characters: int
    character_errors: int
    reference: str
    hypothesis: str


def scored(results: Results, system: System) -> Iterator[tuple[str, dict[str, Any]]]:
    """Error rates in every language and, of several languages, on average: the columns `RATES` and `source`.

    Raises SecateurError when a file is missing.
    """
    codes = list(system.decodings)
    for code in codes:
        yield code, rated(results, system, [code])
    if len(codes) > 1:
        yield AVERAGE, rated(results, system)


def rated(results: Results, system: System, codes: Iterable[str] | None = None) -> dict[str, Any]:
    """Both error rates in percent with their intervals, the columns `RATES`, and `source`: the means over languages.

    Intervals are over utterances, by speaker where a language has ten (`TestSet`); an end that is not known is None.
    Raises SecateurError when a file is missing.
    """
    one = counts(results, system, codes)
    found: dict[str, Any] = {"source": one.files}
    for rate, errors, lengths in (("wer", one.errors, one.words), ("cer", one.character_errors, one.characters)):
        number = error_rate(np.array(errors), TestSet(lengths, one.languages, one.speakers))
        ends = (float(end) if np.isfinite(end) else None for end in (number.low, number.high))
        found |= dict(zip((rate, f"{rate}_low", f"{rate}_high"), (float(number.value), *ends), strict=True))
    return found


def utterances(results: Results, system: System, language: str) -> list[Utterance]:
    """What a system made of every utterance of a language, and who spoke.

    Raises SecateurError when a file is missing, or lacks an utterance.
    """
    decoding = system.decodings[language]
    speakers = results.lines(speakers_file(decoding))
    texts = {
        row["utterance"]: row
        for row in _rows(results, system, language, HYPOTHESES, "utterance", "reference", "hypothesis")
    }
    found = []
    for row in _rows(results, system, language, UTTERANCES, *COUNTED):
        name = row["utterance"]
        if name not in texts or name not in speakers:
            raise SecateurError(f"{results.root / decoding.folder}: no text or speaker of {name!r}; decode again")
        counts = (int(row[column]) for column in ("words", "errors", "characters", "character_errors"))
        found.append(Utterance(name, speakers[name], *counts, texts[name]["reference"], texts[name]["hypothesis"]))
    return found


def _rows(results: Results, system: System, language: str, file: str, *columns: str) -> list[Mapping[str, str]]:
    """The rows of a system in a table of one of its decodings."""
    return results.utterances(system.decodings[language], *columns, sub_model=system.sub_model, name=file)


def counted_files(found: Iterable[Decoding]) -> str:
    """The files that `counted` reads of decodings, separated by spaces."""
    return " ".join(dict.fromkeys(f"{one.folder}/{UTTERANCES}" for one in found))


@dataclass(frozen=True)
class Counted:
    """The errors of one system: (U,) counts of the utterances, all languages one after the other.

    Attributes:
        names, languages, speakers: of the utterances.
        errors, words, character_errors, characters: the counts, of errors and of references.
        files: that they are from, separated by spaces.
    """

    names: list[str]
    languages: list[str]
    speakers: list[str]
    errors: list[int]
    words: list[int]
    character_errors: list[int]
    characters: list[int]
    files: str


def counts(results: Results, system: System, codes: Iterable[str] | None = None) -> Counted:
    """The errors of a system in some of its languages, by default in all; in characters where words are not written."""
    found: tuple[list, ...] = ([], [], [], [], [], [], [])
    chosen = {code: system.decodings[code] for code in codes or system.decodings}
    for code, decoding in chosen.items():
        rows = _rows(results, system, code, UTTERANCES, *COUNTED)
        names = [row["utterance"] for row in rows]
        spoken = results.lines(speakers_file(decoding))
        numbers = ([int(row[column]) for row in rows] for column in NUMBERS)
        columns = (names, [code] * len(names), [spoken.get(name, name) for name in names], *numbers)
        for column, values in zip(found, columns, strict=True):
            column.extend(values)
    return Counted(*found, counted_files(chosen.values()))
