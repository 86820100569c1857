"""Lexicon search with a word n-gram in ARPA or KenLM's format, as SUPERB decodes ASR with LibriSpeech's language model.

KenLM (Heafield 2011) is an optional package, `pip install kenlm==0.3.0`; the search is Flashlight's.
"""

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.decoding.recognize import Recognizer
from secateur.decoding.search.lexicon import lexicon_search, spelled

LOG10 = math.log(10)


def word_search(
    recognizer: Recognizer,
    file: str,
    lexicon: str,
    beam: int,
    beam_threshold: float,
    lm_weight: float,
    word_score: float,
) -> Callable[[torch.Tensor], str]:
    """The search, which turns scores (T', tokens) into text.

    score = best CTC path + lm_weight · log P(words) + word_score · words, natural logarithms. As in s3prl, words are
    those of the lexicon, each ends with a space, and the trie looks ahead by P(word | start of the sentence).

    """
    import kenlm

    model = kenlm.Model(file)
    written = {word.lower(): word for word in listed(Path(lexicon))}  # what the language model calls a word
    spellings = spelled(list(written), recognizer.tokenizer)
    words = [written[word] for word in spellings]
    start, after = kenlm.State(), kenlm.State()
    model.BeginSentenceWrite(start)
    scores = {word: LOG10 * model.BaseScore(start, name, after) for word, name in zip(spellings, words, strict=True)}
    lm = _flashlight_lm(kenlm, model, words)
    return lexicon_search(recognizer, spellings, scores, lm, beam, beam_threshold, lm_weight, word_score)


def check(options: Mapping[str, Any]) -> None:
    """Raise SecateurError where a search is wanted (`lm`) whose files are not there, or without KenLM."""
    if not options.get("lm"):
        return
    for key in ("lm", "lm_lexicon"):
        if not options[key] or not Path(options[key]).is_file():
            raise SecateurError(f"ssl[].tasks.asr.{key}: {options[key]}; no such file; mend it, or set lm to null")
    if importlib.util.find_spec("kenlm") is None:
        raise SecateurError(
            "ssl[].tasks.asr.lm needs KenLM, which is not installed; pip install kenlm==0.3.0, or set it to null"
        )


def listed(path: Path) -> list[str]:
    """The words of a lexicon, `WORD` and its spelling a line."""
    return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _flashlight_lm(kenlm: Any, model: Any, words: Sequence[str]) -> Any:
    """A KenLM model as a Flashlight one over places in `words`; equal states share an object, so that they merge."""
    from flashlight.lib.text.decoder import LM, LMState

    class KenLM(LM):
        def __init__(self):
            super().__init__()
            self.known: dict[Any, Any] = {}
            self.contexts: dict[Any, Any] = {}

        def _state(self, context: Any) -> Any:
            if context not in self.known:
                self.known[context] = LMState()
                self.contexts[self.known[context]] = context
            return self.known[context]

        def start(self, start_with_nothing: bool) -> Any:
            context = kenlm.State()
            (model.NullContextWrite if start_with_nothing else model.BeginSentenceWrite)(context)
            return self._state(context)

        def score(self, state: Any, index: int) -> tuple[Any, float]:
            after = kenlm.State()
            score = model.BaseScore(self.contexts[state], words[index], after)
            return self._state(after), LOG10 * score

        def finish(self, state: Any) -> tuple[Any, float]:
            return state, LOG10 * model.BaseScore(self.contexts[state], "</s>", kenlm.State())

    return KenLM()
