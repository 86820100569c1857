"""What errors are counted in: words, or characters where a language is written without spaces (Chinese, Thai).

This is the one switch: `unit_of` decides by the transcripts, and everything that counts words asks it. Such a language
is known by its script, and by its transcripts, in which spaces stand at most between phrases. A corpus whose
transcripts are cut into words keeps them, in any script.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

WORD, CHARACTER = "word", "character"
SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE", "BALINESE", "YI")
SPACES = 0.18  # spaces per character; phrases have fewer, words cut out of Chinese or Thai have more


def unit_of(texts: Iterable[str]) -> str:
    """`WORD` or `CHARACTER`, the unit of transcripts of one language."""
    letters = unspaced = spaces = 0
    for text in texts:
        spaces += len(text.split()) - 1 if text.strip() else 0
        for character in text:
            letters += not character.isspace()
            unspaced += _is_unspaced(character)
    return CHARACTER if unspaced > letters / 2 and spaces <= SPACES * letters else WORD


def units(text: str, unit: str) -> list[str]:
    """The words of `text`, or its characters without the spaces."""
    return text.split() if unit == WORD else list("".join(text.split()))


def without_spaces(text: str) -> str:
    """Take out the spaces between two characters of scripts that have none; those around other words stay."""
    return re.sub(
        r"(\S) (?=(\S))",
        lambda match: match[1] if _is_unspaced(match[1]) and _is_unspaced(match[2]) else match[0],
        text,
    )


@cache
def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(SCRIPTS)
