"""Numbers in transcripts, as they are spoken: which digits belong together, and what the marks between them mean.

`1,000` is one thousand in English and one point zero zero zero in Polish. A number is read only if its reading is safe
in the language of the text (table `LANGUAGES` of `numerals`); otherwise `UnclearText` is raised, and the recipes drop
and list the line.
"""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

from secateur.core.errors import SecateurError
from secateur.speech.corpora.numerals import (
    DATES_WITH_A_DOT,
    INFLECTED,
    LANGUAGES,
    ORDINALS,
    PREFIXES,
    WITH_A_DOT,
    cardinal,
    two_letters,
)

LONGEST = 15  # digits; what is longer is an account or a telephone number, read digit by digit
WIDE_SPACES = dict.fromkeys("\u2007\u2008\u2009\u202f", "\u00a0")  # they hold numbers together, as U+00A0 does
RUN = re.compile(r"\d+(?:[.,'·٫٬\u00a0 ]\d+)*")
DATE = re.compile(r"\d{1,2}\.\d{1,2}\.(\d{2}|\d{4})|\d{4}\.\d{1,2}\.\d{1,2}")
INDIAN = re.compile(r"\d{1,2}([,٬])\d{2}(\1\d{2})*\1\d{3}")


class UnclearText(SecateurError):
    """A line that cannot be read safely: what it says may be spoken in several ways, or is lost."""


def spell_numbers(text: str, language: str) -> str:
    """Replace the digits of `text` by the words of `language` (ISO 639 code of two or three letters).

    Raises UnclearText for a number without a safe reading, SecateurError for one in a language that has no numerals
    here.
    """
    text = "".join(
        str(unicodedata.digit(letter)) if unicodedata.category(letter) == "Nd" else WIDE_SPACES.get(letter, letter)
        for letter in text
    )
    found = re.search(r"\d[\d.,]*", text)
    if not found:
        return text
    code = two_letters(language)
    if code not in LANGUAGES:
        raise SecateurError(
            f"transcript number {found[0]!r}: numbers cannot be spelled out in language {language!r}; "
            "write them as words in the transcripts"
        )
    return _Reader(text, code).spelled()


class _Reader:
    """Reads the numbers of one line of text."""

    def __init__(self, text: str, code: str):
        self.text, self.code, self.numerals = text, code, LANGUAGES[code]
        self.cyrillic = any("Ѐ" <= letter <= "ӿ" for letter in text)

    def spelled(self) -> str:
        gap = "" if self.numerals.attached else " "
        done, parts = 0, []
        for run in RUN.finditer(self.text):
            begin, end, words = self._ordinal(run) or (run.start(), run.end(), None)
            if words is None:
                self._check_rest(run)
                words = " ".join(self._run(run[0]))
            parts += [self.text[done:begin], gap, words, gap]
            done = end
        return "".join([*parts, self.text[done:]])

    def _ordinal(self, run: re.Match) -> tuple[int, int, str] | None:
        """(begin, end, words) of the number at `run` if what stands beside it makes it an ordinal or inflects it."""
        rest = self.text[run.end() :]
        head, _, last = run[0].rpartition(" ")
        for pattern, say in ORDINALS.get(self.code, {}).items():
            ending = re.match(rf"(?:{pattern})(?!\w)", rest)
            if not ending:
                continue
            number = self._whole(run[0])
            before = [] if number is not None or not head else self._run(head)
            number = self._whole(last) if number is None else number
            if number is None:
                continue
            if say is None:
                raise self._unclear(last + ending[0])
            return run.start(), run.end() + ending.end(), " ".join([*before, self._said(say, number, ending[0])])
        pattern, say = PREFIXES.get(self.code, ("(?!)", None))
        prefix = re.search(rf"(?<!\w)(?:{pattern})$", self.text[: run.start()], re.IGNORECASE)
        number = self._whole(run[0])
        if prefix and number is not None:
            return prefix.start(), run.end(), self._said(say, number)
        return None

    def _said(self, say: Callable[..., str], *arguments: int | str) -> str:
        try:
            return say(*arguments)
        except LookupError as error:
            raise self._unclear(str(arguments[0])) from error

    def _check_rest(self, run: re.Match) -> None:
        """Refuse a number that goes on in letters or with a dot where its reading depends on the grammar."""
        rest = self.text[run.end() :]
        letter = re.match(r"[-‑]?([^\W\d_])", rest)
        if self.code in INFLECTED and letter and letter[1].islower():
            raise self._unclear(run[0] + letter[0])
        if (
            self.code in WITH_A_DOT
            and re.fullmatch(r"(.*[ \u00a0])?\d{1,3}", run[0])
            and re.match(r"\.\s*[^\W\d_]", rest)
        ):
            raise self._unclear(f"{run[0]}.")
        date = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", run[0])
        day = date and int(date[1]) <= 31 and 1 <= int(date[2]) <= 12 and (len(date[2]) == 2 or rest.startswith("."))
        if self.code in DATES_WITH_A_DOT and day:
            raise self._unclear(run[0])

    def _run(self, run: str) -> list[str]:
        """Words of digits with marks and spaces between them."""
        if not re.search("[ \u00a0]", run):
            return self._piece(run)
        numbers = re.split("[ \u00a0]", run)
        group = re.fullmatch(r"\d{1,3}([ \u00a0]\d{3})+([.,٫]\d+)?", run)
        spaced = " " in self.numerals.groups
        if group and (" " not in run or spaced or "000" in numbers[1:]):
            return self._piece(re.sub("[ \u00a0]", "", run))
        joined = (
            re.fullmatch(r"\d{1,3}", first) and re.match(r"\d{3}(?!\d)", second) for first, second in pairwise(numbers)
        )
        if (spaced and any(joined)) or (group and len(numbers) > 2):
            raise self._unclear(run)
        return [word for number in numbers for word in self._piece(number)]

    def _whole(self, piece: str) -> int | None:
        """The whole number that `piece` is, or None."""
        joined = re.sub("[ \u00a0]", "", piece) if re.fullmatch(r"\d{1,3}([ \u00a0]\d{3})+", piece) else piece
        if re.fullmatch(r"0|[1-9]\d*", joined):
            return int(joined)
        marks = set(re.sub(r"\d", "", joined))
        if len(marks) == 1 and self._grouped(joined, mark := marks.pop()) and self._is_group(joined, mark):
            return int(re.sub(r"\D", "", joined))
        return None

    def _piece(self, piece: str) -> list[str]:
        """Words of digits with marks between them."""
        marks = re.sub(r"\d", "", piece)
        if not marks:
            return [self._bare(piece)]
        if "'" in piece and not re.fullmatch(r"\d{1,3}('\d{3})+([.,٫]\d+)?", piece):
            return [word for part in piece.split("'") for word in self._piece(part)]
        if (number := self._whole(piece)) is not None:
            if number > self.numerals.limit:
                raise self._unclear(piece)
            return [self._words(number)]
        last = marks[-1]
        if marks.count(last) == 1 and last in ".,٫":
            whole, _, fraction = piece.rpartition(last)
            if len(marks) > 1 and not self._grouped(whole, marks[0]):
                raise self._unclear(piece)
            if len(marks) == 1 and len(fraction) == 3 and not self._is_decimal(whole, last, fraction):
                raise self._unclear(piece)
            return self._decimal(piece, re.sub(r"\D", "", whole), last, fraction)
        if set(marks) == {","}:
            return [word for part in piece.split(",") for word in self._piece(part)]
        if set(marks) == {"."} and not DATE.fullmatch(piece) and not self._grouped(piece, "."):
            return [self._digits(piece.replace(".", ""))]
        raise self._unclear(piece)

    def _grouped(self, piece: str, mark: str) -> bool:
        """Whether the marks of `piece` are where those of thousands (or lakhs) are."""
        mark = re.escape(mark)
        return bool(re.fullmatch(rf"[1-9]\d{{0,2}}({mark}\d{{3}})+", piece) or INDIAN.fullmatch(piece))

    def _is_group(self, piece: str, mark: str) -> bool:
        """Whether `mark`, which stands where marks of thousands do, is one in this language."""
        if mark in "'٬" or mark in self.numerals.groups:
            return mark not in self.numerals.unsure or piece.count(mark) > 1
        return mark == "," and piece.count(mark) > 1

    def _is_decimal(self, whole: str, mark: str, fraction: str) -> bool:
        """Whether `mark` before three digits can only be that of a decimal fraction."""
        if mark == "٫" or whole.startswith("0") or len(whole) > 3:
            return True
        return mark == self.numerals.decimal and mark not in self.numerals.unsure and fraction != "000"

    def _decimal(self, piece: str, whole: str, mark: str, fraction: str) -> list[str]:
        mark = self.numerals.decimal if mark == "٫" else mark
        point = self.numerals.points.get(mark)
        if point is None or (len(whole) > 1 and whole.startswith("0")):
            raise self._unclear(piece)
        if callable(point):
            if len(fraction) > 3 or int(whole) > self.numerals.limit:
                raise self._unclear(piece)
            return [self._said(point, int(whole), fraction)]
        zeros = len(fraction) - len(fraction.lstrip("0"))
        number = fraction[zeros:]
        if number and len(number) + zeros <= self.numerals.fraction:
            words = [*(self._bare("0") for _ in range(zeros)), self._bare(number)]
        else:
            words = [self._digits(fraction)]
        words = [self._bare(whole), point, *words]
        return ["".join(words)] if self.numerals.attached == "all" else words

    def _bare(self, digits: str) -> str:
        if len(digits) > LONGEST or (len(digits) > 1 and digits[0] == "0"):
            return self._digits(digits)
        if int(digits) > self.numerals.limit:
            raise self._unclear(digits)
        return self._words(int(digits))

    def _digits(self, digits: str) -> str:
        gap = "" if self.numerals.attached == "all" else " "
        return gap.join(self._words(int(digit)) for digit in digits)

    def _words(self, number: int) -> str:
        return self._said(cardinal, number, self.code, self.cyrillic)

    def _unclear(self, number: str) -> UnclearText:
        return UnclearText(f"transcript number {number!r} may be read in several ways; write it as words")
