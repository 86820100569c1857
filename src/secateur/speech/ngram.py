"""Word n-gram language models: interpolated Witten–Bell estimates."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import write_text

START, END, UNKNOWN = "<s>", "</s>", "<unk>"


class Ngram:
    """A back-off n-gram model.

    Attributes:
        order: the longest n-gram.
        probabilities: log10 P(w | h) by n-gram (h..., w); a word on its own is a tuple of one.
        backoffs: log10 of the weight of the shorter context, by context.
    """

    def __init__(self, probabilities: dict[tuple[str, ...], float], backoffs: dict[tuple[str, ...], float]):
        self.order = max(map(len, probabilities))
        self.probabilities = probabilities
        self.backoffs = backoffs

    @property
    def words(self) -> list[str]:
        """All words that can be predicted, `</s>` and `<unk>` included, sorted."""
        return sorted(ngram[0] for ngram in self.probabilities if len(ngram) == 1)

    @classmethod
    def estimate(cls, sentences: Iterable[str], order: int) -> "Ngram":
        """Interpolated Witten–Bell smoothing (Chen & Goodman 1999, section 2.5; method C of Witten & Bell 1991):

        P(w|h) = (c(h,w) + N(h) P(w|h')) / (c(h) + N(h))

        with c(h) the occurrences of the context h, N(h) the number of different words after it, h' the context without
        its first word; below the unigrams stands the uniform distribution over the words seen, `</s>` and `<unk>`.
        Raises SecateurError when there is no sentence with a word, or a sentence contains a reserved word.
        """
        if order < 1:
            raise SecateurError(f"n-gram order is {order}; it must be at least 1")
        counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            words = sentence.split()
            reserved = {START, END, UNKNOWN} & set(words)
            if reserved:
                raise SecateurError(
                    f"training text of the n-gram: {reserved.pop()} in {sentence!r} is reserved; remove it"
                )
            if not words:
                continue
            tokens = [START, *words, END]
            for position in range(1, len(tokens)):
                for length in range(min(order, position + 1)):
                    counts[tuple(tokens[position - length : position])][tokens[position]] += 1
        if not counts:
            raise SecateurError("training text of the n-gram has no word; give a text with at least one sentence")

        vocabulary = [*counts[()], UNKNOWN]
        probabilities: dict[tuple[str, ...], float] = {}
        backoffs: dict[tuple[str, ...], float] = {}
        linear: dict[tuple[str, ...], float] = {}
        for context in sorted(counts, key=len):
            followers = counts[context]
            total = followers.total() + len(followers)
            for word in followers if context else vocabulary:
                shorter = linear[(*context[1:], word)] if context else 1 / len(vocabulary)
                linear[(*context, word)] = (followers[word] + len(followers) * shorter) / total
            if context:
                backoffs[context] = math.log10(len(followers) / total)
        for ngram in sorted(linear):
            probabilities[ngram] = math.log10(linear[ngram])
        return cls(probabilities, backoffs)

    def log_probability(self, word: str, context: Sequence[str]) -> float:
        """Natural logarithm of P(word | context); an unseen word counts as `<unk>`."""
        if (word,) not in self.probabilities:
            word = UNKNOWN
        context = self.state(context)
        weight = 0.0
        while (*context, word) not in self.probabilities:
            weight += self.backoffs[context]
            context = context[1:]
        return (weight + self.probabilities[(*context, word)]) * math.log(10)

    def state(self, context: Sequence[str]) -> tuple[str, ...]:
        """The part of `context` that decides what follows: its longest suffix that the model knows as a context."""
        context = tuple(context[max(0, len(context) - self.order + 1) :])
        while context and context not in self.backoffs:
            context = context[1:]
        return context

    @property
    def numbers(self) -> int:
        """How many probabilities and weights it holds."""
        return len(self.probabilities) + len(self.backoffs)

    def write(self, file: Path) -> None:
        """Write it in ARPA's format, with seven digits."""
        groups = defaultdict(list)
        for ngram in sorted(self.probabilities.keys() | self.backoffs.keys()):
            # <s> is never predicted: by custom, its probability is 1e-99.
            words, backoff = " ".join(ngram), self.backoffs.get(ngram)
            line = f"{self.probabilities.get(ngram, -99):.7g}\t{words}"
            groups[len(ngram)].append(line if backoff is None else f"{line}\t{backoff:.7g}")
        lines = ["\\data\\", *(f"ngram {order}={len(found)}" for order, found in sorted(groups.items())), ""]
        for order, found in sorted(groups.items()):
            lines += [f"\\{order}-grams:", *found, ""]
        write_text(file, "\n".join([*lines, "\\end\\", ""]))

    @classmethod
    def read(cls, file: Path) -> "Ngram":
        """What `write` wrote. Raises SecateurError for a file in another format."""
        probabilities, backoffs = {}, {}
        for line in file.read_text(encoding="utf-8").splitlines():
            fields = line.split("\t")
            if len(fields) in (2, 3):
                ngram = tuple(fields[1].split())
                if ngram != (START,):
                    probabilities[ngram] = float(fields[0])
                if len(fields) == 3:
                    backoffs[ngram] = float(fields[2])
        if not probabilities:
            raise SecateurError(f"{file}: holds no n-gram in ARPA's format; export the system again")
        return cls(probabilities, backoffs)
