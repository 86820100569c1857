"""Transcripts as models see them: lower-case words separated by single spaces."""

import re
import unicodedata
from pathlib import Path

from secateur.core.errors import SecateurError

APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ‛´`′＇", "'"))
ORDINALS = {
    "en": "st|nd|rd|th",
    "es": "[ºª]|er|[dmrtv][oa]",
    "fr": "ers?|[eè]re|re|[eè]mes?|es?",
    "it": "[ºª]",
    "nl": "ste|de|e",
}
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def normalise(text: str, language: str) -> str:
    """Return `text` in NFC and lower case, without punctuation, numbers spelled out in `language` (ISO 639-1).

    Only letters, combining marks, apostrophes inside words and single spaces remain. Punctuation, dashes and symbols
    become spaces: `A.M.` → `a m`. Raises SecateurError for digits in a language that cannot be spelled out.
    """
    text = unicodedata.normalize("NFC", text).translate(APOSTROPHES)
    text = _spell_numbers(text, language).lower()
    text = unicodedata.normalize("NFC", text)
    text = "".join(character if character == "'" or _is_letter(character) else " " for character in text)
    text = re.sub(r"(?<![^\W_])'|'(?![^\W_])", " ", text)
    return " ".join(text.split())


def read_sentences(path: Path, language: str) -> list[str]:
    """The lines of a text file, normalised; lines without words are left out.

    Raises SecateurError for a file that is missing, not UTF-8 or without words, and naming the line with a number that
    cannot be spelled.
    """
    sentences = []
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    sentences.append(normalise(line, language))
                except SecateurError as error:
                    raise SecateurError(f"{path}:{number}: {error}") from error
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such text file") from error
    except UnicodeDecodeError as error:
        raise SecateurError(f"{path}: not UTF-8 (byte {error.start}); convert it, e.g. with iconv") from error
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise SecateurError(f"{path}: no words in it; a language model needs sentences, one a line")
    return sentences


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _spell_numbers(text: str, language: str) -> str:
    ordinal = ORDINALS.get(language)
    pattern = re.compile(rf"({NUMBER.pattern})(?:({ordinal})(?!\w))?" if ordinal else rf"({NUMBER.pattern})()")
    return pattern.sub(lambda match: f" {_spell(match[1], language, match[2] or '')} ", text)


def _spell(digits: str, language: str, ordinal: str) -> str:
    """Spell one number, an ordinal if it has an ending such as `th`.

    `1,000` and `28.8` are read as the language writes them; `007` and `1.2.3` digit by digit.
    """
    from num2words import num2words

    thousands = "," if language == "en" else r"\."
    if re.fullmatch(rf"\d{{1,3}}({thousands}\d{{3}})+", digits):
        digits = re.sub(r"\D", "", digits)
    parts = re.split("[.,]", digits)
    leading_zero = len(parts[0]) > 1 and int(parts[0][0]) == 0
    try:
        if len(parts) == 1 and not leading_zero and len(digits) <= 15:
            words = num2words(int(digits), to="ordinal" if ordinal else "cardinal", lang=language)
            return _feminine(words) if ordinal.endswith(("a", "ª", "re")) else words
        if len(parts) == 2 and not leading_zero and len(digits) <= 15:
            return num2words(f"{int(parts[0])}.{parts[1]}", lang=language)
        return " ".join(num2words(int(digit), lang=language) for part in parts for digit in part)
    except NotImplementedError as error:
        raise SecateurError(
            f"transcript number {digits!r}: numbers cannot be spelled out in language {language!r}; "
            "write them as words in the transcripts"
        ) from error


def _feminine(ordinal: str) -> str:
    """`premier` → `première`, `segundo` → `segunda`: num2words knows the masculine only."""
    return "première" if ordinal == "premier" else re.sub("o$", "a", ordinal)
