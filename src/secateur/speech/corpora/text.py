"""Transcripts as models see them: lower-case words separated by single spaces."""

import re
import unicodedata
from collections.abc import Sequence

from secateur.core.errors import SecateurError
from secateur.speech.corpora.numbers import UnclearText, spell_numbers
from secateur.speech.corpora.numerals import two_letters

APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ‛´`′＇", "'"))
NON_JOINER, JOINER = "\u200c", "\u200d"
VIRAMA = 9  # its canonical combining class
# Invisible, though Unicode takes them for marks and letters; and the stretched line of Arabic, which is no letter.
FILLERS = re.compile("[\u034f\u0640\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
LOST = "\ufffd"  # what decoders leave in place of a character that they cannot read
UNTRANSCRIBED = "speech without text"  # why a line with `<unk>` is not used
DOTTED_I = frozenset({"az", "crh", "tr"})


def normalise(text: str, language: str) -> str:
    """Return `text` in NFC and lower case, without punctuation, numbers spelled out in `language` (ISO 639).

    Only letters, combining marks, joiners where a script needs them, apostrophes inside words and single spaces remain.
    Punctuation, dashes and symbols become spaces (`A.M.` → `a m`), invisible characters vanish (`Ver\u00adfahren` →
    `verfahren`).

    Raises UnclearText for a number that may be read in several ways and for a lost character, SecateurError for digits
    in a language that cannot be spelled out.
    """
    if LOST in text:
        raise UnclearText("a character is lost (U+FFFD): mend the transcript, its encoding was mistaken once")
    text = unicodedata.normalize("NFC", _without_invisible(text)).translate(APOSTROPHES)
    text = spell_numbers(text, language)
    text = unicodedata.normalize("NFC", text)
    text = "".join(character if character == "'" or _is_letter(character) else " " for character in text)
    text = re.sub(r"(?<![^\W_])'|'(?![^\W_])", " ", text)
    words = (_without_stray_marks(word) for word in _lower(text, language).split())
    return unicodedata.normalize("NFC", " ".join(word for word in words if word))


def normalise_anything(text: str, language: str) -> str:
    """As `normalise`, for text that a model wrote: what is lost, and numbers without a safe reading, are left out."""
    text = text.replace(LOST, " ")
    try:
        return normalise(text, language)
    except SecateurError:
        return normalise(re.sub(r"\d[\d.,]*", " ", text), language)


def transcript(
    raw: str, language: str, non_speech: Sequence[str] = (), unknown: Sequence[str] = (), normalised: bool = True
) -> tuple[str, str]:
    """Return (text, "") of a line as a corpus has it, or ("", a short reason why the line is not used).

    Args:
        non_speech: tags of what is no speech, such as `[noise]`; they are left out.
        unknown: tags of speech that nobody wrote down, such as `<unk>`; a line with one is not used.
        normalised: false only takes the tags out and leaves the rest as it is.

    Raises SecateurError for digits in a language that cannot be spelled out.
    """
    text = tags(non_speech).sub(" ", raw)
    if tags(unknown).search(text):
        return "", UNTRANSCRIBED
    if re.search(r"<[^<>]*>|\[[^\[\]]*\]", text):
        return "", "tag of unknown meaning"
    try:
        text = normalise(text, language) if normalised else " ".join(text.split())
    except UnclearText:
        return "", "character lost" if LOST in text else "number that may be read in several ways"
    return (text, "") if text else ("", "no transcript")


def tags(listed: Sequence[str]) -> re.Pattern:
    """A pattern of any of the tags, in either case: those in brackets anywhere, others (`!SIL`) as words."""
    alternatives = [
        re.escape(tag) if re.fullmatch(r"[<\[({].*[>\])}]", tag) else rf"(?<!\S){re.escape(tag)}(?!\S)"
        for tag in listed
    ]
    return re.compile("|".join(alternatives) or "(?!)", re.IGNORECASE)


def _is_letter(character: str) -> bool:
    return character in (NON_JOINER, JOINER) or unicodedata.category(character)[0] in "LM"


def _without_invisible(text: str) -> str:
    """Take out format and control characters (soft hyphens, byte-order and direction marks) that are no white space.

    Joiners stay beside a virama (the scripts of India and their neighbours), and non-joiners between letters that
    would else join (Persian and other languages in Arabic script).
    """
    text = FILLERS.sub("", text)
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    visible = [
        character
        for character in text
        if character in (NON_JOINER, JOINER)
        or unicodedata.category(character) not in ("Cf", "Cc")
        or character.isspace()
    ]
    for index, character in enumerate(visible):
        if character in (NON_JOINER, JOINER):
            before = kept[-1] if kept else " "
            after = visible[index + 1] if index + 1 < len(visible) else " "
            virama = VIRAMA in (unicodedata.combining(before), unicodedata.combining(after))
            joining = character == NON_JOINER and _is_arabic(before) and _is_arabic(after)
            if not virama and not joining:
                continue
        kept.append(character)
    return "".join(kept)


def _is_arabic(character: str) -> bool:
    return _is_letter(character) and unicodedata.name(character, "").startswith(("ARABIC", "SYRIAC", "NKO", "MANDAIC"))


def _without_stray_marks(word: str) -> str:
    """Drop combining marks that have lost their letter (of emoji, say), and joiners without one."""
    start = next((index for index, character in enumerate(word) if unicodedata.category(character)[0] == "L"), None)
    return "" if start is None else word[start:]


def _lower(text: str, language: str) -> str:
    """Lower case as the language has it. Python knows the final sigma of Greek, not the dotless ı of Turkish."""
    if two_letters(language) in DOTTED_I:
        text = text.replace("İ", "i").replace("I", "ı")
    text = text.lower()
    return text if two_letters(language) == "lt" else text.replace("i\u0307", "i")
