"""Searches that turn a model's output into words, and the seconds that each utterance took.

A search is named by the `type` of its entry in the configuration; the entry's other keys are its options:
    {type: ctc_greedy, batch: 16}
    {type: beam, beam: 5, ctc_weight: 0.4, lm: NAME or null, lm_weight: 0.3, length_bonus: 0.0}
    {type: lexicon, beam: 50, lm_weight: 1.0, word_score: 0.0, order: 3}
To add one, write a function like `ctc_greedy` and name it in `SEARCHES`.

Times are wall-clock seconds: `encoder_s` from features to the encoder's output, `lm_s` inside the language model,
`search_s` all the rest up to the text, the CTC head and an attention decoder included. The first utterance is decoded
once more than needed, untimed, so that what only a first call costs is not counted.
"""

import inspect
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from espnet.nets.batch_beam_search import BatchBeamSearch
from espnet.nets.scorer_interface import BatchScorerInterface
from espnet.nets.scorers.ctc import CTCPrefixScorer
from espnet.nets.scorers.length_bonus import LengthBonus
from tqdm import tqdm

from secateur.errors import SecateurError
from secateur.ngram import END, START, Ngram
from secateur.tokens import SPACE, UNKNOWN, Tokenizer

SHORTEST = 7  # frames; what `conv2d` subsampling needs for one output
_NEVER = -1e4  # a log-probability that no path can make up for


@dataclass(frozen=True)
class Recognizer:
    """What the searches work with.

    Attributes:
        model: an acoustic model in evaluation mode, on `device`.
        tokenizer: of the model's token list.
        lm: a language model with ESPnet's batch scoring over the same tokens, in evaluation mode, for `beam`.
        sentences: training text for `lexicon`.
    """

    model: torch.nn.Module
    tokenizer: Tokenizer
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    lm: torch.nn.Module | None = None
    sentences: Sequence[str] = ()


@dataclass(frozen=True)
class Result:
    """Hypothesis of one utterance and the seconds that it took."""

    hypothesis: str
    encoder_s: float
    search_s: float
    lm_s: float = 0.0


class Stopwatch:
    """Sum up the seconds spent in `with` blocks; waits for a GPU to finish at both ends."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._wait()
        self._started = time.perf_counter()
        return self

    def __exit__(self, *exception) -> None:
        self._wait()
        self.seconds += time.perf_counter() - self._started

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@torch.inference_mode()
def decode(recognizer: Recognizer, features: Mapping[str, np.ndarray], search: Mapping[str, Any]) -> dict[str, Result]:
    """Decode utterances' features (T, F) with an entry of the configuration's searches; results in the same order.

    Raises SecateurError for an unknown search or option, and for a language model that is named but not given.
    """
    kind = search.get("type")
    if kind not in SEARCHES:
        raise SecateurError(f"search type {kind!r} is unknown; it must be one of {', '.join(SEARCHES)}")
    function = SEARCHES[kind]
    options = {key: value for key, value in search.items() if key not in ("type", "lm")}
    allowed = list(inspect.signature(function).parameters)[2:]
    for key in options.keys() - set(allowed):
        raise SecateurError(f"search {kind}: unknown key {key!r}; it may have {', '.join(allowed)}")
    if bool(search.get("lm")) != (recognizer.lm is not None):
        found = "no language model was given" if search.get("lm") else "one was given"
        raise SecateurError(f"search {kind}: lm is {search.get('lm')!r} but {found}; give the folder of the one named")
    if not features:
        return {}
    first = next(iter(features))
    function(recognizer, {first: features[first]}, **options)
    return function(recognizer, features, **options)


def batch_size(search: Mapping[str, Any]) -> int:
    """How many utterances an entry of the configuration's searches decodes together."""
    batch = inspect.signature(SEARCHES[search["type"]]).parameters.get("batch")
    return 1 if batch is None else search.get("batch", batch.default)


def ctc_greedy(recognizer: Recognizer, features: Mapping[str, np.ndarray], batch: int = 16) -> dict[str, Result]:
    """Best path of CTC (Graves et al. 2006, section 3.2): the likeliest token of each frame, repetitions merged.

    Utterances are decoded `batch` at a time, ordered by length; the hypotheses do not depend on `batch`. The seconds of
    a batch are shared among its utterances in proportion to their frames, so with `batch` above 1 they measure
    throughput, not the waiting time of a single utterance.
    """
    model, tokenizer = recognizer.model, recognizer.tokenizer
    order = sorted(features, key=lambda utterance: (-len(features[utterance]), utterance))
    results = {}
    for start in tqdm(range(0, len(order), batch), desc="decode", unit="batch", disable=None):
        utterances = order[start : start + batch]
        speech, lengths = _padded({utterance: features[utterance] for utterance in utterances}, recognizer.device)
        encoder_watch, search_watch = Stopwatch(recognizer.device), Stopwatch(recognizer.device)
        with encoder_watch:
            encoder_out, encoder_lengths = encode(model, speech, lengths)
        with search_watch:
            best = model.ctc.argmax(encoder_out).cpu()
            texts = [
                tokenizer.decode(torch.unique_consecutive(path[:length]).tolist())
                for path, length in zip(best, encoder_lengths.tolist(), strict=True)
            ]
        frames = lengths.sum().item()
        for utterance, text, length in zip(utterances, texts, lengths.tolist(), strict=True):
            share = length / frames
            results[utterance] = Result(text, encoder_watch.seconds * share, search_watch.seconds * share)
    return {utterance: results[utterance] for utterance in features}


def beam(
    recognizer: Recognizer,
    features: Mapping[str, np.ndarray],
    beam: int = 5,
    ctc_weight: float = 0.4,
    lm_weight: float = 0.3,
    length_bonus: float = 0.0,
    maxlenratio: float = 0.0,
) -> dict[str, Result]:
    """ESPnet's label-synchronous beam search, one utterance at a time (Watanabe et al. 2017; Seki et al. 2019).

    score = ctc_weight · CTC prefix + (1 − ctc_weight) · attention decoder + lm_weight · LM + length_bonus · tokens,
    all natural logarithms. A model without a decoder has CTC at weight 1, whatever `ctc_weight` says.

    With a decoder, ESPnet's pre-beam lets the other scorers choose which 1.5 × `beam` tokens CTC looks at. Without one
    those would be chosen by the language model alone, so CTC then looks at every token, with and without LM.

    Args:
        beam: hypotheses kept.
        maxlenratio: most tokens per encoder frame; 0 stops when longer hypotheses no longer win.
    """
    model, tokens = recognizer.model, recognizer.tokenizer.tokens
    if not 1 <= beam < len(tokens):
        # If blank's prefix score, -1e10, got into the beam, ESPnet would later subtract it and lose all precision.
        raise SecateurError(
            f"search beam: beam is {beam}; it must be from 1 to {len(tokens) - 1}, the tokens besides blank"
        )
    logging.getLogger("espnet").setLevel(logging.ERROR)  # it logs ten lines for every utterance
    lm_watch = Stopwatch(recognizer.device)
    if model.decoder is None:
        ctc_weight = 1.0
    search = BatchBeamSearch(
        scorers={
            "decoder": model.decoder,
            "ctc": CTCPrefixScorer(model.ctc, model.eos),
            "lm": None if recognizer.lm is None else _TimedScorer(recognizer.lm, lm_watch),
            "length_bonus": LengthBonus(len(tokens)),
        },
        weights={
            "decoder": 1.0 - ctc_weight,
            "ctc": ctc_weight,
            "lm": lm_weight,
            "length_bonus": length_bonus,
        },
        beam_size=beam,
        vocab_size=len(tokens),
        sos=model.sos,
        eos=model.eos,
        pre_beam_score_key=None if ctc_weight == 1.0 else "full",
    )

    def best(encoder_out: torch.Tensor) -> str:
        hypotheses = search(encoder_out, maxlenratio=maxlenratio)
        return recognizer.tokenizer.decode(hypotheses[0].yseq.tolist()) if hypotheses else ""

    return _one_by_one(recognizer, features, best, lm_watch)


def lexicon(
    recognizer: Recognizer,
    features: Mapping[str, np.ndarray],
    beam: int = 50,
    lm_weight: float = 1.0,
    word_score: float = 0.0,
    order: int = 3,
    beam_threshold: float = 50.0,
) -> dict[str, Result]:
    """Flashlight's CTC beam search over the words of the training text, with a word n-gram (Collobert et al. 2016).

    score = best CTC path + lm_weight · n-gram + word_score · words, natural logarithms. Only words of the training text
    can be recognised. The n-gram is estimated from that text (`secateur.ngram`).

    Args:
        beam: hypotheses kept after each frame.
        word_score: added for every word; above 0 favours more words.
        order: of the n-gram.
        beam_threshold: hypotheses that score this much less than the best one are dropped.
    """
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie

    if not recognizer.sentences:
        raise SecateurError("search lexicon: there is no training text; give at least one file of it")
    ngram = Ngram.estimate(recognizer.sentences, order)
    spellings = _spellings(ngram.words, recognizer.tokenizer)
    words = list(spellings)
    lm_watch = Stopwatch(torch.device("cpu"))
    lm = _flashlight_lm(ngram, words, lm_watch)
    emissions = _Emissions(recognizer)
    trie = Trie(emissions.columns, emissions.separator)
    for index, (word, spelling) in enumerate(spellings.items()):
        score = ngram.log_probability(word, ())
        trie.insert([*spelling, emissions.separator], index, score)
        if not emissions.writes_spaces:
            trie.insert(spelling, index, score)
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
        scores = emissions(encoder_out)
        hypotheses = decoder.decode(scores.data_ptr(), *scores.shape)
        return " ".join(words[index] for index in hypotheses[0].words if index >= 0) if hypotheses else ""

    return _one_by_one(recognizer, features, best, lm_watch)


SEARCHES: dict[str, Callable[..., dict[str, Result]]] = {"ctc_greedy": ctc_greedy, "beam": beam, "lexicon": lexicon}


def encode(model: torch.nn.Module, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode padded features (B, T, F) of `lengths` (B,): output (B, T', D) and its lengths (B,), on their device."""
    encoder_out, encoder_lengths = model.encode(speech, lengths)
    if isinstance(encoder_out, tuple):  # with the outputs of intermediate layers
        encoder_out = encoder_out[0]
    return encoder_out, encoder_lengths


def _padded(features: Mapping[str, np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of several utterances as (B, T, F), padded with zeros, and their lengths (B,)."""
    for utterance, matrix in features.items():
        if len(matrix) < SHORTEST:
            raise SecateurError(f"utterance {utterance!r} has {len(matrix)} frames, fewer than {SHORTEST}; drop it")
    # A copy: what kaldiio reads cannot be written to.
    matrices = [torch.from_numpy(np.array(matrix, dtype=np.float32)) for matrix in features.values()]
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    return torch.nn.utils.rnn.pad_sequence(matrices, batch_first=True).to(device), lengths.to(device)


def _one_by_one(
    recognizer: Recognizer,
    features: Mapping[str, np.ndarray],
    best: Callable[[torch.Tensor], str],
    lm_watch: Stopwatch,
) -> dict[str, Result]:
    """Decode utterances singly; `best` turns encoder output (T', D) into text and lets `lm_watch` run in the LM."""
    results = {}
    for utterance in tqdm(features, desc="decode", unit="utterance", disable=None):
        speech, lengths = _padded({utterance: features[utterance]}, recognizer.device)
        encoder_watch, search_watch = Stopwatch(recognizer.device), Stopwatch(recognizer.device)
        lm_watch.seconds = 0.0
        with encoder_watch:
            encoder_out, _ = encode(recognizer.model, speech, lengths)
        with search_watch:
            hypothesis = best(encoder_out[0])
        search_s = search_watch.seconds - lm_watch.seconds
        results[utterance] = Result(hypothesis, encoder_watch.seconds, search_s, lm_watch.seconds)
    return results


class _TimedScorer(BatchScorerInterface):
    """Pass every call on to `scorer` and let `watch` run meanwhile."""

    def __init__(self, scorer: BatchScorerInterface, watch: Stopwatch):
        self.scorer, self.watch = scorer, watch

    def batch_init_state(self, x: torch.Tensor) -> Any:
        with self.watch:
            return self.scorer.batch_init_state(x)

    def batch_score(self, ys: torch.Tensor, states: list[Any], xs: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        with self.watch:
            return self.scorer.batch_score(ys, states, xs)

    def select_state(self, state: Any, i: int, new_id: int | None = None) -> Any:
        with self.watch:
            return self.scorer.select_state(state, i, new_id)

    def final_score(self, state: Any) -> float:
        with self.watch:
            return self.scorer.final_score(state)


def _spellings(words: Sequence[str], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Token ids of all words that the token list can spell."""
    unknown = tokenizer.tokens.index(UNKNOWN)
    spellings = {word: tokenizer.encode(word) for word in words if word not in (END, UNKNOWN)}
    spelled = {word: ids for word, ids in spellings.items() if unknown not in ids}
    if len(spelled) < len(spellings):
        logging.warning("%d words of the text have characters outside the token list", len(spellings) - len(spelled))
    return spelled


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
