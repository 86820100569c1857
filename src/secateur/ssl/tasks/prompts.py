"""Data directories as the source of tasks: what is common to the tasks that the default corpus carries.

The default corpus is made of telephone prompts, each recorded once, by one voice per language (en and es share one).
Every task says in its own file what it makes of them. Common to all:

- Test clips are of the test split, dev clips of the dev split, so no task hears in training what another is tested on;
  no transcript is in two splits of a language.
- What is drawn at random is drawn by the SHA-256 of ids: it depends on nothing else.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.speech.datadir import Utterance, read_data_dir
from secateur.ssl.tasks import SPLITS

Corpus = Mapping[str, Mapping[str, Sequence[Utterance]]]
"""Utterances by language and split."""


def read(folder: Path, languages: Iterable[str], splits: Mapping[str, str] | None = None) -> Corpus:
    """The data directories `folder/{language}/{split}`. `splits` maps train, dev and test to other folders."""
    names = {split: split for split in SPLITS} | dict(splits or {})
    return {
        language: {split: read_data_dir(folder / language / name) for split, name in names.items()}
        for language in languages
    }


def of(corpus: Corpus, languages: Sequence[str], task: str) -> Corpus:
    """The part of `corpus` in `languages`, in their order. Raises SecateurError for a language that it lacks."""
    for language in languages:
        if language not in corpus:
            raise SecateurError(
                f"{task}: language {language!r} is not in the corpus, which has {', '.join(corpus)}; "
                f"mend ssl[].tasks.{task}.languages, or add it to the corpus"
            )
    return {language: corpus[language] for language in languages}


def joined(corpus: Corpus, split: str) -> list[Utterance]:
    """All utterances of a split, language by language."""
    return [utterance for splits in corpus.values() for utterance in splits[split]]


def one_voice_each(corpus: Corpus) -> str:
    """Why voices cannot be told from languages, and what they were recorded with, in this corpus; "" if they can."""
    for splits in corpus.values():
        if len({utterance.speaker for utterance in splits["train"]}) > 1:
            return ""
    return "voice and language: every language has one voice"


def no_longer(utterances: Iterable[Utterance], seconds: float | None) -> list[Utterance]:
    """Those of at most `seconds`; all for None."""
    return [utterance for utterance in utterances if seconds is None or utterance.duration <= seconds]


def drawn(utterances: Sequence[Utterance], count: int | None, purpose: str) -> list[Utterance]:
    """`count` of `utterances`, or all if there are no more (or for None), in order of ids; another draw per purpose."""
    ordered = sorted(utterances, key=lambda utterance: digest(purpose, utterance.id))
    return sorted(ordered[:count], key=lambda utterance: utterance.id)


def digest(*parts: object) -> bytes:
    """A hash of `parts`, to order things by chance, the same every time."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).digest()


def crops(options: Mapping[str, Any]) -> dict[str, float]:
    """The crops of a task's data: those of training clips, where they are drawn (`crop`, `max_seconds`)."""
    drawn = options["crop"] == "random" and options["max_seconds"] is not None
    return {"train": options["max_seconds"]} if drawn else {}


def counts(items: Mapping[str, Sequence]) -> str:
    """`120 train, 20 dev, 40 test`, for notes."""
    return ", ".join(f"{len(members)} {split}" for split, members in items.items())
