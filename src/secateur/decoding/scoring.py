"""Word and character error rates, their bootstrap intervals, paired comparisons and readable alignments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np

from secateur.core.errors import SecateurError
from secateur.speech.units import WORD, unit_of, units
from secateur.statistics.bootstrap import Resampled, resample

_UTTERANCES_AT_ONCE = 100  # for jiwer, which holds a list of words, a list of characters and chunks for each


@dataclass(frozen=True)
class Interval:
    """A value with the lower and upper end of its 95 % confidence interval, in percent (or percentage points)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Difference of two systems' word error rates on the same utterances.

    Attributes:
        difference: WER of A minus WER of B, in percentage points, with its interval. Negative: A is better.
        p_value: two-sided, for the hypothesis that the two are equally good.
    """

    difference: Interval
    p_value: float


@dataclass(frozen=True, slots=True)
class UtteranceScore:
    """Counts of one utterance. `alignment` has a (reference word, hypothesis word) pair per column, None for a gap.

    Where `unit` is `character`, as in languages without spaces, `words` are characters.
    """

    utterance: str
    words: int
    substitutions: int
    deletions: int
    insertions: int
    characters: int
    character_errors: int
    alignment: tuple[tuple[str | None, str | None], ...]
    unit: str = WORD

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions


def score(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> list[UtteranceScore]:
    """Align every hypothesis with its reference by Levenshtein distance (jiwer), words and characters.

    Both map an utterance to its text; spaces between words count as characters. References of a language without spaces
    are aligned in characters, and spaces do not count. The result is in the references' order.
    Raises SecateurError for no utterance at all, an utterance on one side only, and an empty reference.
    """
    if not references:
        raise SecateurError("no utterance to score; give at least one reference")
    for utterance in references.keys() ^ hypotheses.keys():
        side, other = ("hypothesis", "reference") if utterance in references else ("reference", "hypothesis")
        raise SecateurError(f"utterance {utterance!r} has a {other} but no {side}; decode and score the same data")
    for utterance, text in references.items():
        if not text.split():
            raise SecateurError(f"utterance {utterance!r} has an empty reference; drop it or give it at least one word")
    utterances = list(references)
    unit = unit_of(references.values())
    scores = []
    for start in range(0, len(utterances), _UTTERANCES_AT_ONCE):
        batch = utterances[start : start + _UTTERANCES_AT_ONCE]
        texts = [" ".join(units(references[utterance], unit)) for utterance in batch]
        guesses = [" ".join(units(hypotheses[utterance], unit)) for utterance in batch]
        words = jiwer.process_words(texts, guesses)
        columns = (batch, words.references, words.hypotheses, words.alignments)
        if unit == WORD:
            characters = jiwer.process_characters(texts, guesses)
            scores += [_utterance_score(*row, unit) for row in zip(*columns, texts, characters.alignments, strict=True)]
        else:
            scores += [_utterance_score(*row, row[1], row[3], unit) for row in zip(*columns, strict=True)]
    return scores


def _utterance_score(
    utterance: str,
    reference: list[str],
    hypothesis: list[str],
    word_chunks: list[jiwer.AlignmentChunk],
    characters: Sequence[str],
    character_chunks: list[jiwer.AlignmentChunk],
    unit: str,
) -> UtteranceScore:
    counts = _count(word_chunks)
    pairs: list[tuple[str | None, str | None]] = []
    for chunk in word_chunks:
        left: Sequence[str | None] = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        right: Sequence[str | None] = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        pairs += zip(left or [None] * len(right), right or [None] * len(left), strict=True)
    return UtteranceScore(
        utterance=utterance,
        words=len(reference),
        substitutions=counts["substitute"],
        deletions=counts["delete"],
        insertions=counts["insert"],
        characters=len(characters),
        character_errors=sum(_count(character_chunks).values()),
        alignment=tuple(pairs),
        unit=unit,
    )


def _count(chunks: Sequence[jiwer.AlignmentChunk]) -> dict[str, int]:
    counts = {"substitute": 0, "delete": 0, "insert": 0}
    for chunk in chunks:
        if chunk.type != "equal":
            counts[chunk.type] += max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
    return counts


def summary(scores: Sequence[UtteranceScore], seed: int = 0) -> dict[str, Any]:
    """Corpus-level rates (errors of all utterances / words of all references, in percent) and counts."""
    wer = word_error_rate([item.errors for item in scores], [item.words for item in scores], seed)
    characters = sum(item.characters for item in scores)
    return {
        "wer": wer.value,
        "wer_low": wer.low,
        "wer_high": wer.high,
        "cer": 100 * sum(item.character_errors for item in scores) / characters,
        "unit": scores[0].unit,
        "utterances": len(scores),
        "words": sum(item.words for item in scores),
        "characters": characters,
        "errors": sum(item.errors for item in scores),
        "substitutions": sum(item.substitutions for item in scores),
        "deletions": sum(item.deletions for item in scores),
        "insertions": sum(item.insertions for item in scores),
    }


def word_error_rate(errors: Sequence[int], words: Sequence[int], seed: int = 0) -> Interval:
    """Corpus-level WER of utterances with these counts, and its bootstrap interval."""
    return percentage(errors, words, seed)


def percentage(parts: Sequence[int], wholes: Sequence[int], seed: int = 0) -> Interval:
    """100·Σ parts / Σ wholes over items, and its bootstrap interval (Bisani & Ney 2004): items are resampled."""
    return interval_of(mean_rate([(parts, wholes)], seed))


def average_error_rate(languages: Mapping[str, tuple[Sequence[int], Sequence[int]]], seed: int = 0) -> Interval:
    """Unweighted mean of the languages' WERs. `languages` maps a code to its utterances' (errors, words).

    For the interval, the utterances are resampled within each language, since the set of languages is no sample.
    """
    return interval_of(mean_rate(list(languages.values()), seed))


def paired_bootstrap(
    errors_a: Sequence[int], errors_b: Sequence[int], words: Sequence[int], seed: int = 0
) -> Comparison:
    """Compare two systems on the same utterances (M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals
    in ASR performance evaluation", ICASSP 2004).

    Both systems are scored on the same draws, so what makes an utterance hard for both cancels.
    """
    if not len(errors_a) == len(errors_b) == len(words):
        raise SecateurError(
            f"paired bootstrap of {len(errors_a)} and {len(errors_b)} utterances with {len(words)} references; "
            "score both systems on the same data"
        )
    return paired_average({"": (errors_a, errors_b, words)}, seed)


def paired_average(
    languages: Mapping[str, tuple[Sequence[int], Sequence[int], Sequence[int]]], seed: int = 0
) -> Comparison:
    """`paired_bootstrap` of the unweighted means of two systems' WERs over languages.

    `languages` maps a code to its utterances' (errors of A, errors of B, words), resampled within each language.
    """
    differences = [(np.subtract(errors_a, errors_b), words) for errors_a, errors_b, words in languages.values()]
    found = mean_rate(differences, seed)
    return Comparison(interval_of(found), p_value=min(1.0, 2 * min(found.p_below(0), found.p_above(0))))


def mean_rate(groups: Sequence[tuple[Sequence[int], Sequence[int]]], seed: int) -> Resampled:
    """The mean over groups of 100·Σ parts / Σ wholes of their (parts, wholes), resampled within each."""
    counts = [(np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)) for parts, wholes in groups]

    def mean(*draws: np.ndarray) -> np.ndarray:
        rates = [
            100 * parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1)
            for (parts, wholes), drawn in zip(counts, draws, strict=True)
        ]
        return np.mean(rates, axis=0)

    value = np.mean([100 * parts.sum() / wholes.sum() for parts, wholes in counts])
    return resample(value, mean, [len(parts) for parts, _ in counts], seed)


def interval_of(found: Resampled) -> Interval:
    """A resampled number with its 95 % interval."""
    return Interval(found.value, found.low, found.high)


def alignment_text(scores: Sequence[UtteranceScore]) -> str:
    """All utterances with errors, most errors first, as aligned words for reading.

    Under each pair of lines stand S, D and I for substitutions, deletions and insertions; a gap is shown as `*`.
    """
    wrong = sorted((item for item in scores if item.errors), key=lambda item: (-item.errors, item.utterance))
    blocks = [f"{len(scores) - len(wrong)} of {len(scores)} utterances without an error; the others, worst first\n"]
    for item in wrong:
        lines = ["REF", "HYP", "   "]
        for reference, hypothesis in item.alignment:
            width = max(len(reference or "*"), len(hypothesis or "*"))
            mark = "I" if reference is None else "D" if hypothesis is None else "S" if reference != hypothesis else ""
            for row, cell in enumerate((reference or "*", hypothesis or "*", mark)):
                lines[row] += " " + cell.ljust(width)
        head = f"{item.utterance}  {item.errors} errors in {item.words} words"
        blocks.append("\n".join([head, *(line.rstrip() for line in lines)]) + "\n")
    return "\n".join(blocks)
