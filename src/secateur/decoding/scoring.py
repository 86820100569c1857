"""Word and character error rates, their intervals, and readable alignments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer
import numpy as np

from secateur.core.errors import SecateurError
from secateur.speech.units import WORD, unit_of, units
from secateur.statistics.estimates import TestSet, error_rate

_UTTERANCES_AT_ONCE = 100  # for jiwer, which holds a list of words, a list of characters and chunks for each


@dataclass(frozen=True)
class Interval:
    """A value with the lower and upper end of its 95 % confidence interval, in percent (or percentage points)."""

    value: float
    low: float
    high: float


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


def summary(scores: Sequence[UtteranceScore]) -> dict[str, Any]:
    """Corpus-level rates (errors of all utterances / words of all references, in percent) and counts."""
    wer = word_error_rate([item.errors for item in scores], [item.words for item in scores])
    characters = sum(item.characters for item in scores)
    return {
        "wer": wer.value,
        "wer_low": wer.low,
        "wer_high": wer.high if np.isfinite(wer.high) else None,  # of one utterance
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


def word_error_rate(errors: Sequence[int], words: Sequence[int]) -> Interval:
    """Corpus-level WER of utterances with these counts, and its interval over them."""
    return average_error_rate({"": (errors, words)})


def average_error_rate(languages: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> Interval:
    """Unweighted mean of the languages' WERs. `languages` maps a code to its utterances' (errors, words).

    The interval is over the utterances of each language, since the set of languages is no sample.
    """
    errors = np.concatenate([np.asarray(errors) for errors, _ in languages.values()])
    words = [count for _, counts in languages.values() for count in counts]
    codes = [code for code, (_, counts) in languages.items() for _ in counts]
    found = error_rate(errors, TestSet(words, codes))
    return Interval(float(found.value), float(found.low), float(found.high))


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
