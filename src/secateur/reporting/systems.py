"""A model or sub-model with a search: its error rates in every language and on average.

Sub-models are decoded many at a time, into one file; a system then names the one that it is (`decode.py`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import average_error_rate, word_error_rate
from secateur.reporting.results import HYPOTHESES, LATENCY, SCORE, UTTERANCES, Results, speakers_file
from secateur.study.runs import Decoding

RATES = ("wer", "wer_low", "wer_high", "cer")
ENDS = ("wer", "wer_low", "wer_high", "cer", "cer_low", "cer_high")
TIMES = ("p50_s", "rtf")
AVERAGE = "avg"
NUMBERS = ("errors", "words", "character_errors", "characters")
COUNTED = ("utterance", *NUMBERS)

Counts = tuple[list[str], list[int], list[int]]
"""Names, errors and reference words of utterances."""


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
    reference: str
    hypothesis: str


def scored(results: Results, system: System) -> Iterator[tuple[str, dict[str, Any]]]:
    """Error rates in every language and, of several languages, on average: the columns `RATES` and `source`.

    Raises SecateurError when a file is missing.
    """
    scores = {code: _score(results, system, code) for code in system.decodings}
    for code, score in scores.items():
        yield code, {column: score[column] for column in RATES} | {"source": f"{system.decodings[code].folder}/{SCORE}"}
    if len(scores) > 1:
        counts = {code: counted(results, one, system.sub_model)[1:] for code, one in system.decodings.items()}
        mean = average_error_rate(counts)
        values = {"wer": mean.value, "wer_low": mean.low, "wer_high": mean.high}
        values["cer"] = fmean(score["cer"] for score in scores.values())
        values["source"] = counted_files(system.decodings.values())
        yield AVERAGE, values


def rated(results: Results, system: System) -> dict[str, Any]:
    """Both error rates in percent with their intervals, the columns `ENDS`, and `source`: the means over languages.

    Raises SecateurError when a file is missing.
    """
    counts = {code: _rows(results, system, code, UTTERANCES, *COUNTED) for code in system.decodings}
    found: dict[str, Any] = {}
    for rate, parts, wholes in (("wer", "errors", "words"), ("cer", "character_errors", "characters")):
        pairs = {
            code: ([int(row[parts]) for row in rows], [int(row[wholes]) for row in rows])
            for code, rows in counts.items()
        }
        mean = average_error_rate(pairs) if len(pairs) > 1 else word_error_rate(*next(iter(pairs.values())))
        found |= {rate: mean.value, f"{rate}_low": mean.low, f"{rate}_high": mean.high}
    return found | {"source": counted_files(system.decodings.values())}


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
        counts = (int(row["words"]), int(row["errors"]))
        found.append(Utterance(name, speakers[name], *counts, texts[name]["reference"], texts[name]["hypothesis"]))
    return found


def decoding_times(results: Results, system: System) -> dict[str, Any]:
    """The columns `TIMES` while the system was decoded, means over languages, and `source`. Of whole models alone."""
    times = [results.decoded(decoding, LATENCY, *TIMES) for decoding in system.decodings.values()]
    paths = dict.fromkeys(f"{decoding.folder}/{LATENCY}" for decoding in system.decodings.values())
    return {column: fmean(one[column] for one in times) for column in TIMES} | {"source": " ".join(paths)}


def _rows(results: Results, system: System, language: str, file: str, *columns: str) -> list[Mapping[str, str]]:
    """The rows of a system in a table of one of its decodings."""
    return results.utterances(system.decodings[language], *columns, sub_model=system.sub_model, name=file)


def _score(results: Results, system: System, language: str) -> Mapping[str, Any]:
    return results.decoded(system.decodings[language], SCORE, *RATES, sub_model=system.sub_model)


def counted(results: Results, decoding: Decoding, sub_model: str = "") -> Counts:
    """Names, errors and reference words of the utterances of a decoding, or of one sub-model in it."""
    found = results.utterances(decoding, "utterance", "errors", "words", sub_model=sub_model)
    errors, words = ([int(row[column]) for row in found] for column in ("errors", "words"))
    return [row["utterance"] for row in found], errors, words


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
