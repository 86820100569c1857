"""The names of error rates: of words, or of characters in languages that are written without spaces."""

from collections.abc import Callable, Mapping, Sequence

from secateur.speech.units import CHARACTER

NAMES = {
    frozenset([False]): ("WER", "Word error rate"),
    frozenset([True]): ("CER", "Character error rate"),
    frozenset([False, True]): ("WER/CER", "Word or character error rate"),
}


def in_characters(tables: Mapping[str, Sequence[Mapping[str, str]]], corpus: str | None = None) -> list[str]:
    """The languages of a corpus (of all without one) whose errors are counted in characters."""
    rows = [row for row in tables.get("corpora", ()) if corpus in (None, row["corpus"])]
    return list(dict.fromkeys(row["language"] for row in rows if row["unit"] == CHARACTER))


def rate(
    tables: Mapping[str, Sequence[Mapping[str, str]]], corpus: str | None = None, language: str | None = None
) -> Callable[[str], str]:
    """A function that puts the right name for `WER` and `Word error rate` into a text about a corpus, or a language."""
    characters = in_characters(tables, corpus)
    rows = [row for row in tables.get("corpora", ()) if corpus in (None, row["corpus"])]
    heard = {row["language"] for row in rows} if language in (None, "avg") else {language}
    short, long = NAMES[frozenset(code in characters for code in heard) or frozenset([False])]

    def named(text: str) -> str:
        text = text.replace("Word error rate", long).replace("word error rate", long[0].lower() + long[1:])
        return text.replace("WER", short)

    return named
