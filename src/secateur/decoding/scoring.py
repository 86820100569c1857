"""Word and character error rates, their bootstrap intervals, paired comparisons and readable alignments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np

from secateur.core.errors import SecateurError
from secateur.speech.units import WORD, unit_of, units

RESAMPLES = 10_000
CONFIDENCE = 0.95
_UTTERANCES_AT_ONCE = 100  # for jiwer, which holds a list of words, a list of characters and chunks for each
_CELLS_AT_ONCE = 100_000


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
    """100·Σ parts / Σ wholes over items, and its bootstrap interval (Bisani & Ney 2004).

    Items are drawn with replacement; the interval holds the middle 95 % of the rates of 10 000 such draws.
    """
    return interval_of(100 * sum(parts) / sum(wholes), _resampled_rates([parts], wholes, seed)[0])


def average_error_rate(languages: Mapping[str, tuple[Sequence[int], Sequence[int]]], seed: int = 0) -> Interval:
    """Unweighted mean of the languages' WERs. `languages` maps a code to its utterances' (errors, words).

    For the interval, the utterances are resampled within each language, since the set of languages is no sample.
    """
    rates = [100 * sum(errors) / sum(words) for errors, words in languages.values()]
    seeds = np.random.SeedSequence(seed).spawn(len(languages))
    resampled = [
        _resampled_rates([errors], words, language_seed)[0]
        for (errors, words), language_seed in zip(languages.values(), seeds, strict=True)
    ]
    return interval_of(float(np.mean(rates)), np.mean(resampled, axis=0))


def paired_bootstrap(
    errors_a: Sequence[int], errors_b: Sequence[int], words: Sequence[int], seed: int = 0
) -> Comparison:
    """Compare two systems on the same utterances (M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals
    in ASR performance evaluation", ICASSP 2004).

    Both systems are scored on the same draws, so what makes an utterance hard for both cancels. The p-value is twice
    the share of draws in which the difference is not on its observed side of zero (draws with no difference count on
    both sides), with one added to both counts so that it is never 0 (Davison & Hinkley 1997, section 4.2).
    """
    if not len(errors_a) == len(errors_b) == len(words):
        raise SecateurError(
            f"paired bootstrap of {len(errors_a)} and {len(errors_b)} utterances with {len(words)} references; "
            "score both systems on the same data"
        )
    rates_a, rates_b = _resampled_rates([errors_a, errors_b], words, seed)
    return _comparison(100 * (sum(errors_a) - sum(errors_b)) / sum(words), rates_a - rates_b)


def paired_average(
    languages: Mapping[str, tuple[Sequence[int], Sequence[int], Sequence[int]]], seed: int = 0
) -> Comparison:
    """`paired_bootstrap` of the unweighted means of two systems' WERs over languages.

    `languages` maps a code to its utterances' (errors of A, errors of B, words), resampled within each language.
    """
    seeds = np.random.SeedSequence(seed).spawn(len(languages))
    differences = []
    for (errors_a, errors_b, words), language_seed in zip(languages.values(), seeds, strict=True):
        rates_a, rates_b = _resampled_rates([errors_a, errors_b], words, language_seed)
        differences.append(rates_a - rates_b)
    values = [100 * (sum(a) - sum(b)) / sum(words) for a, b, words in languages.values()]
    return _comparison(float(np.mean(values)), np.mean(differences, axis=0))


def _comparison(value: float, differences: np.ndarray) -> Comparison:
    rarer = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return Comparison(interval_of(value, differences), p_value=min(1.0, 2 * (int(rarer) + 1) / (len(differences) + 1)))


def _resampled_rates(
    systems: Sequence[Sequence[int]], words: Sequence[int], seed: int | np.random.SeedSequence
) -> np.ndarray:
    """Error rates in percent (systems, resamples); all systems see the same draws of utterances."""
    generator = np.random.default_rng(seed)
    counts = np.array([*systems, words], dtype=np.float64)  # (systems + 1, utterances)
    utterances = counts.shape[1]
    at_once = max(1, _CELLS_AT_ONCE // utterances)
    rates = []
    for start in range(0, RESAMPLES, at_once):
        draws = generator.integers(0, utterances, (min(at_once, RESAMPLES - start), utterances))
        totals = np.stack([row[draws].sum(axis=1) for row in counts])
        rates.append(100 * totals[:-1] / totals[-1])
    return np.concatenate(rates, axis=1)


def interval_of(value: float, resampled: np.ndarray) -> Interval:
    """`value` with the middle 95 % of its values on resampled data; NaN among these is left out."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return Interval(float(value), float(low), float(high))


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
