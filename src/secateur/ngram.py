"""Word n-gram language models: interpolated Witten–Bell estimates, and the ARPA format."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from secateur.errors import SecateurError
from secateur.files import write_text

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
_NEVER = -99.0


class Ngram:
    """A back-off n-gram model, as an ARPA file holds it.

    Attributes:
        order: the longest n-gram.
        probabilities: log10 P(w | h) by n-gram (h..., w); a word on its own is a tuple of one.
        backoffs: log10 of the weight of the shorter context, by context.
    """

    def __init__(self, probabilities: dict[tuple[str, ...], float], backoffs: dict[tuple[str, ...], float]):
        self.order = max(map(len, probabilities))
        self.probabilities = probabilities
        # ARPA files may leave out a weight of 1; `state` needs to find every context.
        self.backoffs = {ngram[:-1]: 0.0 for ngram in probabilities if len(ngram) > 1} | backoffs

    @property
    def words(self) -> list[str]:
        """All words that can be predicted, `</s>` and `<unk>` included, sorted."""
        return sorted(ngram[0] for ngram in self.probabilities if len(ngram) == 1 and ngram[0] != START)

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
        probabilities[START,] = _NEVER
        return cls(probabilities, backoffs)

    def log_probability(self, word: str, context: Sequence[str]) -> float:
        """Natural logarithm of P(word | context); an unseen word counts as `<unk>`."""
        if (word,) not in self.probabilities:
            word = UNKNOWN
        context = self.state(context)
        weight = 0.0
        while (*context, word) not in self.probabilities:
            if not context:
                raise SecateurError(
                    f"n-gram model: neither the word {word!r} nor {UNKNOWN} is in it; estimate it again"
                )
            weight += self.backoffs.get(context, 0.0)
            context = context[1:]
        return (weight + self.probabilities[(*context, word)]) * math.log(10)

    def state(self, context: Sequence[str]) -> tuple[str, ...]:
        """The part of `context` that decides what follows: its longest suffix that the model knows as a context."""
        context = tuple(context[max(0, len(context) - self.order + 1) :])
        while context and context not in self.backoffs:
            context = context[1:]
        return context

    def write(self, path: str | Path) -> None:
        """Write the model as an ARPA file."""
        by_order: list[list[tuple[str, ...]]] = [[] for _ in range(self.order)]
        for ngram in sorted(self.probabilities):
            by_order[len(ngram) - 1].append(ngram)
        lines = ["\\data\\"]
        lines += [f"ngram {number}={len(ngrams)}" for number, ngrams in enumerate(by_order, 1)]
        for number, ngrams in enumerate(by_order, 1):
            lines += ["", f"\\{number}-grams:"]
            for ngram in ngrams:
                line = f"{self.probabilities[ngram]:.7f}\t{' '.join(ngram)}"
                lines.append(line + (f"\t{self.backoffs[ngram]:.7f}" if ngram in self.backoffs else ""))
        write_text(path, "\n".join([*lines, "", "\\end\\", ""]))

    @classmethod
    def read(cls, path: str | Path) -> "Ngram":
        """Read an ARPA file. Raises SecateurError naming the line that is no n-gram, and a missing end."""
        probabilities: dict[tuple[str, ...], float] = {}
        backoffs: dict[tuple[str, ...], float] = {}
        length = 0
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError as error:
            raise SecateurError(f"{path}: no such ARPA file") from error
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if line == "\\end\\":
                break
            if line.endswith("-grams:"):
                length = int(line[1 : -len("-grams:")])
            elif line and length:
                fields = line.split()
                if len(fields) not in (length + 1, length + 2):
                    raise SecateurError(f"{path}:{number}: {line!r} is no {length}-gram with a probability")
                ngram = tuple(fields[1 : length + 1])
                probabilities[ngram] = float(fields[0])
                if len(fields) == length + 2:
                    backoffs[ngram] = float(fields[-1])
        else:
            raise SecateurError(f"{path}: no \\end\\ line, so not a whole ARPA file; write it again")
        if not probabilities:
            raise SecateurError(f"{path}: no n-gram in it; write it again")
        return cls(probabilities, backoffs)
