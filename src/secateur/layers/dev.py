"""Dev data that sub-models are scored on, and what a score is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jiwer

from secateur.speech.tokens import Tokenizer
from secateur.speech.units import unit_of, units
from secateur.training.loop import Examples


@dataclass(frozen=True)
class Dev:
    """Dev data.

    Attributes:
        examples: reads the batches, e.g. `secateur.speech.data.SpeechExamples`.
        batches: the utterances of each batch.
        references: text of every utterance, for the word error rate.
        tokenizer: of the model's token list, likewise.
    """

    examples: Examples
    batches: Sequence[Sequence[str]]
    references: Mapping[str, str]
    tokenizer: Tokenizer


@dataclass
class Score:
    """Sums over the dev data: of the utterances' losses in nats, and of their word errors, if these are counted.

    Attributes:
        each: what the objective is the mean of: for every utterance its loss, or its errors and words.
    """

    loss: float = 0.0
    errors: int = 0
    each: list[tuple[float, int]] = field(default_factory=list)


def words(dev: Dev) -> int:
    """How many words, or characters where a language has no spaces, the references have."""
    return sum(
        len(units(text, unit_of([text]))) for names in dev.batches for text in (dev.references[name] for name in names)
    )


def word_errors(references: Sequence[str], texts: Sequence[str]) -> list[tuple[int, int]]:
    """Substitutions, deletions and insertions in each of some texts, and the words of its reference."""
    found = []
    for reference, text in zip(references, texts, strict=True):
        counted = unit_of([reference])
        wanted, written = (" ".join(units(side, counted)) for side in (reference, text))
        words = jiwer.process_words(wanted, written)
        found.append((words.substitutions + words.deletions + words.insertions, len(wanted.split())))
    return found
