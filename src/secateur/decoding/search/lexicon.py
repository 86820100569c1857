"""CTC search over the words of the training text with a word n-gram; Flashlight's.

{type: lexicon, beam: 50, order: 2, lm_weight: 1.0, word_score: 0.0}
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.decoding.recognize import Decoder, Recognizer, Stopwatch, one_by_one
from secateur.decoding.search import Search
from secateur.speech.ngram import END, START, Ngram
from secateur.speech.tokens import SPACE, UNKNOWN, Tokenizer

SCHEMA = {
    "beam": {"type": "integer", "minimum": 1, "default": 50, "description": "Hypotheses kept."},
    "order": {"type": "integer", "minimum": 1, "default": 2, "description": "Order of the n-gram."},
    "lm_weight": {"type": "number", "minimum": 0, "default": 1.0, "description": "Weight of the n-gram."},
    "word_score": {"type": "number", "default": 0.0, "description": "Bonus per word."},
}
READS = ("train_text", "tokens")
SAVES = ("lexicon.txt", "ngram.arpa")
LIBRARY = ("flashlight", "flashlight-text", (3, 13))
SHOWN = {"lm": "{order}-gram", "note": "closed vocabulary: only words of the training text"}

BEAM_THRESHOLD = 50.0  # lexicon search drops hypotheses that score this much less than the best one
_NEVER = -1e4  # a log-probability that no path can make up for


def lexicon(
    recognizer: Recognizer,
    beam: int,
    order: int,
    lm_weight: float,
    word_score: float,
) -> Decoder:
    """Flashlight's CTC beam search over the words of the training text, with a word n-gram (Collobert et al. 2016).

    score = best CTC path + lm_weight · n-gram + word_score · words, natural logarithms. Only words of the training text
    can be recognised. The n-gram is estimated from that text (`secateur.speech.ngram`).

    Args:
        beam: hypotheses kept after each frame.
        order: of the n-gram.
        word_score: added for every word; above 0 favours more words.
    """
    lm_watch = Stopwatch(torch.device("cpu"))
    best = word_search(recognizer, beam, order, lm_weight, word_score, lm_watch)
    return partial(one_by_one, recognizer, best=best, lm_watch=lm_watch)


def word_search(
    recognizer: Recognizer, beam: int, order: int, lm_weight: float, word_score: float, lm_watch: Stopwatch
) -> Callable[[torch.Tensor], str]:
    """The search of `lexicon`, which turns encoder output (T', D) into text and lets `lm_watch` run in the n-gram.

    Of the recogniser it uses the tokenizer, the sentences, `model.blank_id` and `model.ctc.log_softmax`.
    """
    if not recognizer.sentences:
        raise SecateurError("search lexicon: there is no training text; give at least one file of it")
    ngram = Ngram.estimate(recognizer.sentences, order)
    spellings = spelled(ngram.words, recognizer.tokenizer)
    words = list(spellings)
    scores = {word: ngram.log_probability(word, ()) for word in words}
    lm = _flashlight_lm(ngram, words, lm_watch)
    return lexicon_search(recognizer, spellings, scores, lm, beam, BEAM_THRESHOLD, lm_weight, word_score)


def save(folder: Path, sentences: Sequence[str], tokenizer: Tokenizer, search: Mapping[str, Any]) -> int:
    """Write what the search makes of the training text, and say how many numbers it holds.

    `lexicon.txt` has a word and its tokens a line, as Flashlight reads it; `ngram.arpa` is `Ngram.write`'s.
    """
    ngram = Ngram.estimate(sentences, search["order"])
    spellings = spelled(ngram.words, tokenizer)
    lines = (f"{word}\t{' '.join(tokenizer.tokens[id] for id in ids)}\n" for word, ids in spellings.items())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SAVES[0], "".join(lines))
    ngram.write(folder / SAVES[1])
    return ngram.numbers


def lexicon_search(
    recognizer: Recognizer,
    spellings: Mapping[str, Sequence[int]],
    scores: Mapping[str, float],
    lm: Any,
    beam: int,
    beam_threshold: float,
    lm_weight: float,
    word_score: float,
) -> Callable[[torch.Tensor], str]:
    """Flashlight's lexicon search, which turns encoder output (T', D) into text.

    Args:
        spellings: the token ids of every word.
        scores: of every word, by which the trie of words looks ahead.
        lm: a Flashlight language model over places in `spellings`.
        beam_threshold: hypotheses that score this much less than the best one are dropped.
    """
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie

    words, emissions = list(spellings), _Emissions(recognizer)
    trie = Trie(emissions.columns, emissions.separator)
    for index, (word, spelling) in enumerate(spellings.items()):
        trie.insert([*spelling, emissions.separator], index, scores[word])
        if not emissions.writes_spaces:
            trie.insert(list(spelling), index, scores[word])
    trie.smear(SmearingMode.MAX)
    decoder = LexiconDecoder(
        LexiconDecoderOptions(
            beam_size=beam,
            beam_size_token=emissions.columns,
            beam_threshold=beam_threshold,
            lm_weight=lm_weight,
            word_score=word_score,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=False,
            criterion_type=CriterionType.CTC,
        ),
        trie,
        lm,
        emissions.separator,
        recognizer.model.blank_id,
        -1,
        [],
        False,
    )

    def best(encoder_out: torch.Tensor) -> str:
        columns = emissions(encoder_out)
        hypotheses = decoder.decode(columns.data_ptr(), *columns.shape)
        return " ".join(words[index] for index in hypotheses[0].words if index >= 0) if hypotheses else ""

    best.lm = lm  # Flashlight alone does not keep a language model written in Python alive
    return best


def spelled(words: Sequence[str], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Token ids of all words that the token list can spell."""
    unknown = tokenizer.tokens.index(UNKNOWN)
    spellings = {word: tokenizer.encode(word) for word in words if word not in (END, UNKNOWN)}
    known = {word: ids for word, ids in spellings.items() if unknown not in ids}
    if len(known) < len(spellings):
        logging.warning("%d words of the text have characters outside the token list", len(spellings) - len(known))
    return known


class _Emissions:
    """CTC scores as Flashlight's lexicon search wants them: every word ends with a separator.

    After a word the search is back at the root of its trie, where it cannot stay on the word's last token for another
    frame; a separator in the spelling makes room for that. Where the token list writes spaces, the separator is the
    space, and one more frame with a certain space closes the last word. Where pieces carry the word boundary, it is an
    additional column with the scores of blank, i.e. the blank after the word; words may then also end without it.
    """

    def __init__(self, recognizer: Recognizer):
        self.model = recognizer.model
        tokens = recognizer.tokenizer.tokens
        self.writes_spaces = SPACE in tokens
        self.separator = tokens.index(SPACE) if self.writes_spaces else len(tokens)
        self.columns = len(tokens) + (0 if self.writes_spaces else 1)

    def __call__(self, encoder_out: torch.Tensor) -> torch.Tensor:
        """Scores (T' + 1, columns), float32, contiguous, on the CPU, of encoder output (T', D)."""
        scores = self.model.ctc.log_softmax(encoder_out[None])[0].float().cpu()
        if not self.writes_spaces:
            scores = torch.cat([scores, scores[:, self.model.blank_id, None]], dim=1)
        last = torch.full((1, self.columns), _NEVER)
        last[0, self.separator] = 0.0
        if not self.writes_spaces:
            last[0, self.model.blank_id] = 0.0
        return torch.cat([scores, last]).contiguous()


def _flashlight_lm(ngram: Ngram, words: Sequence[str], watch: Stopwatch) -> Any:
    """`ngram` as a Flashlight language model over indices into `words`.

    Histories that predict alike share one state object, by which Flashlight recognises hypotheses to merge.
    """
    from flashlight.lib.text.decoder import LM, LMState

    class NgramLM(LM):
        def __init__(self):
            super().__init__()
            self.contexts: dict[Any, tuple[str, ...]] = {}
            self.states: dict[tuple[str, ...], Any] = {}

        def _state(self, context: tuple[str, ...]) -> Any:
            if context not in self.states:
                self.states[context] = LMState()
                self.contexts[self.states[context]] = context
            return self.states[context]

        def start(self, start_with_nothing: bool) -> Any:
            return self._state(() if start_with_nothing else ngram.state((START,)))

        def score(self, state: Any, index: int) -> tuple[Any, float]:
            with watch:
                context = self.contexts[state]
                score = ngram.log_probability(words[index], context)
                return self._state(ngram.state((*context, words[index]))), score

        def finish(self, state: Any) -> tuple[Any, float]:
            with watch:
                return state, ngram.log_probability(END, self.contexts[state])

    return NgramLM()


SEARCH = Search(lexicon)
