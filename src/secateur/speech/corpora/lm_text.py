"""Text for language models that is not the corpus' own: plain sentences, one a line, perhaps gzipped."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.speech.corpora.text import transcript
from secateur.speech.datadir import read_lines
from secateur.speech.units import WORD, unit_of, without_spaces

ENOUGH = 2  # lines that each begin with another id


def read_sentences(
    path: str | Path, language: str, non_speech: Sequence[str] = (), unknown: Sequence[str] = ()
) -> list[str]:
    """The lines of a text file, normalised; lines without words, or that cannot be read safely, are left out.

    `non_speech` and `unknown` are the tags of `transcript`. A byte-order mark is skipped, a `.gz` file unpacked.

    Raises SecateurError for a file that is missing, not UTF-8, without words, with utterance ids in front of the
    sentences or of n-grams (ARPA), and naming the line with a number that cannot be spelled.
    """
    if not Path(path).is_file():
        raise SecateurError(f"{path}: no such text file")
    lines = read_lines(path)
    _check_kind(Path(path), lines)
    sentences, dropped = [], Counter[str]()
    for number, line in enumerate(lines, 1):
        try:
            text, problem = transcript(line, language, non_speech, unknown)
        except SecateurError as error:
            raise SecateurError(f"{path}:{number}: {error}") from error
        if text:
            sentences.append(text)
        elif problem != "no transcript":
            dropped[problem] += 1
            logging.debug("%s:%d: left out (%s): %s", path, number, problem, line)
    for problem, count in sorted(dropped.items()):
        logging.warning("%s: %d of %d lines left out: %s", path, count, len(lines), problem)
    if not sentences:
        raise SecateurError(f"{path}: no words in it; a language model needs sentences, one a line")
    return sentences if unit_of(sentences) == WORD else [without_spaces(sentence) for sentence in sentences]


def _check_kind(path: Path, lines: Sequence[str]) -> None:
    """Refuse an ARPA file, and Kaldi's `text` with ids in front."""
    written = [line for line in lines if line.strip()]
    if any(line.strip() == "\\data\\" for line in written[:100]):
        raise SecateurError(
            f"{path}: an ARPA file, n-grams and not sentences; no search here reads one: give the sentences that it "
            "was made from, one a line"
        )
    first = [line.split(maxsplit=1)[0] for line in written]
    if len(written) >= ENOUGH and all(re.search(r"\d", word) for word in first) and len(set(first)) == len(first):
        raise SecateurError(
            f"{path}: every line begins with an id ({first[0]}), which would be learnt as words; take them out, e.g. "
            f"cut -d' ' -f2- {path.name} > sentences.txt"
        )
