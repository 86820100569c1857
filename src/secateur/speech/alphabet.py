"""Text in the alphabet of a model that was trained elsewhere: its case and its apostrophe.

Only what can be told from the token list is done: a list without lower-case letters wants upper case, and the other way
round. Letters that it lacks, accents among them, are not replaced by others: `lacking` says which they are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

APOSTROPHES = ("'", "’", "ʼ")
MARKS = ("▁", "|")
WHISPER = "<|startoftranscript|>"
"""A token of Whisper's, which spells any letter, by its bytes."""


def characters(tokens: Iterable[str]) -> set[str]:
    """The characters that a token list can write, spaces left out; names in <> and [] are not text."""
    plain = [token for token in tokens if not (len(token) > 1 and token[0] + token[-1] in ("<>", "[]"))]
    return {character for token in plain for character in token} - {" ", *MARKS}


def alphabet(tokens: Sequence[str]) -> dict[str, str]:
    """What text has to become for a token list: `case` (upper, lower or nothing), and `apostrophe`, its own."""
    known = characters(tokens)
    upper = any(character.isupper() for character in known)
    lower = any(character.islower() for character in known)
    case = "upper" if upper and not lower else "lower" if lower and not upper else ""
    return {"case": case, "apostrophe": next((mark for mark in APOSTROPHES if mark in known), "")}


def written(text: str, wanted: Mapping[str, str]) -> str:
    """`text` in an `alphabet`. An apostrophe that the alphabet has not is left out: `don't` → `dont`."""
    text = text.upper() if wanted["case"] == "upper" else text.lower() if wanted["case"] == "lower" else text
    return text.translate(str.maketrans(dict.fromkeys(APOSTROPHES, wanted["apostrophe"])))


def lacking(texts: Iterable[str], tokens: Sequence[str]) -> tuple[list[str], int]:
    """The letters of `texts` that a token list cannot write, the most frequent first, and how many kinds there are."""
    counted = Counter(character for text in texts for character in text if not character.isspace())
    if WHISPER in tokens:
        return [], len(counted)
    known = characters(tokens)
    return [character for character, _ in counted.most_common() if character not in known], len(counted)
