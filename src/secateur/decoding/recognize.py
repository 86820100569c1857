"""Searches that turn a model's output into words, and the seconds that each utterance took.

A search is named by the `type` of its entry in the configuration; the entry's other keys are its options, all of them
needed (the schema of the configuration has their defaults):
    {type: ctc_greedy, batch: 16, batch_frames: 2000}
    {type: beam, beam: 5, ctc_weight: 0.3, lm: NAME or null, lm_weight: 0.3, length_bonus: 0.0}
    {type: lexicon, beam: 50, order: 2, lm_weight: 1.0, word_score: 0.0}
    {type: transducer_greedy, batch: 16, batch_frames: 2000, max_symbols: 10, streaming: false}
    {type: transducer_beam, beam: 5, max_symbols: 3, lm: NAME or null, lm_weight: 0.3, length_bonus: 0.0,
        streaming: false}
To add one, write a function like `ctc_greedy` and name it in `SEARCHES`: it prepares what decodes.

Times are wall-clock seconds: `encoder_s` from features to the encoder's output, `lm_s` inside the language model,
`search_s` all the rest up to the text, the CTC head and an attention decoder included. The first utterance (or the
largest batch) is decoded once more than needed, untimed, so that what only a first call costs is not counted.
"""

import inspect
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet.nets.batch_beam_search import BatchBeamSearch
from espnet.nets.scorer_interface import BatchScorerInterface
from espnet.nets.scorers.ctc import CTCPrefixScorer
from espnet.nets.scorers.length_bonus import LengthBonus
from tqdm import tqdm

from secateur.core.errors import SecateurError
from secateur.decoding.timing import PARTS
from secateur.decoding.transducer import Beam, Greedy
from secateur.models.load import load_model
from secateur.speech.datadir import read_data_dir, read_table, sample
from secateur.speech.features import Archive
from secateur.speech.ngram import END, START, Ngram
from secateur.speech.tokens import SPACE, UNKNOWN, Tokenizer

SHORTEST = 7  # frames; what `conv2d` subsampling needs for one output
BEAM_THRESHOLD = 50.0  # lexicon search drops hypotheses that score this much less than the best one
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


class Features(Mapping[str, np.ndarray]):
    """Features (T, F) of utterances, read when asked for, and the frames T of each, known beforehand.

    Args:
        archive: of the matrices; it may hold more utterances.
        lengths: frames of the utterances, in their order; without it, every matrix of the archive is read once more.
    """

    def __init__(self, archive: Mapping[str, np.ndarray], lengths: Mapping[str, int] | None = None):
        self.archive = archive
        self.lengths = {name: len(archive[name]) for name in archive} if lengths is None else dict(lengths)

    def __getitem__(self, utterance: str) -> np.ndarray:
        return self.archive[utterance]

    def __iter__(self) -> Iterator[str]:
        return iter(self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def only(self, utterances: Sequence[str]) -> "Features":
        """Those of some utterances."""
        return Features(self.archive, {name: self.lengths[name] for name in utterances})


def read_features(folder: Path, utterances: Sequence[str]) -> Features:
    """The features in `folder` of these utterances, which are read from the archive as they are needed.

    Raises SecateurError when there are none of one of them.
    """
    archive = Archive(folder)
    frames = read_table(folder / "utt2num_frames")
    for utterance in utterances:
        if utterance not in archive or utterance not in frames:
            raise SecateurError(f"{folder}: no features of {utterance!r}; extract the features again")
    return Features(archive, {utterance: int(frames[utterance]) for utterance in utterances})


def language_model(folder: Path, tokens: Sequence[str], device: torch.device) -> torch.nn.Module:
    """The scorer of the language model in `folder`, which must be over these tokens.

    Raises SecateurError when it is not, or no language model.
    """
    loaded = load_model(folder, device)
    if not hasattr(loaded.model, "lm"):
        raise SecateurError(f"{folder}: holds a model of type {loaded.config['type']!r}, not a language model")
    if loaded.tokens != list(tokens):
        raise SecateurError(
            f"{folder}: has {len(loaded.tokens)} tokens that are not the acoustic model's; train it again"
        )
    return loaded.model.lm


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


Decoder = Callable[[Features], dict[str, Result]]


def prepare(recognizer: Recognizer, search: Mapping[str, Any]) -> Decoder:
    """What decodes features with an entry of the configuration's searches; all that a search needs once is made here.

    Raises SecateurError for an unknown search, an option that is unknown or missing, and a language model that is named
    but not given.
    """
    check(search, recognizer.tokenizer.tokens)
    needed, called = ("joiner",) * 2 if search["type"].startswith("transducer") else ("ctc", "CTC head")
    if getattr(recognizer.model, needed, None) is None:
        raise SecateurError(
            f"search {search['type']}: the model has no {called}; take a search that fits the type of the model"
        )
    if bool(search.get("lm")) != (recognizer.lm is not None):
        found = "no language model was given" if search.get("lm") else "one was given"
        raise SecateurError(
            f"search {search['type']}: lm is {search.get('lm')!r} but {found}; give the folder of the one named"
        )
    options = {key: value for key, value in search.items() if key not in ("type", "lm")}
    return SEARCHES[search["type"]](recognizer, **options)


@torch.inference_mode()
def decode(recognizer: Recognizer, features: Mapping[str, np.ndarray], search: Mapping[str, Any]) -> dict[str, Result]:
    """Decode utterances' features (T, F) with an entry of the configuration's searches; results in the same order.

    `Features` are read as they are needed; of any other mapping, every matrix is read once more to be measured.
    Raises SecateurError as `prepare` does, and for an utterance that is too short, before anything is decoded.
    """
    decoder = prepare(recognizer, search)
    if not isinstance(features, Features):
        features = Features(features)
    check_lengths(features)
    if not features:
        return {}
    largest = max(batches(features.lengths, search.get("batch", 1), search.get("batch_frames", 0)), key=len)
    decoder(features.only(largest if len(largest) > 1 else list(features)[:1]))
    return decoder(features)


def timed(recognizer: Recognizer, search: Mapping[str, Any], features: Features) -> Callable[[str], dict[str, float]]:
    """What decodes one of the utterances and gives the seconds of each of `PARTS`, for `secateur.decoding.timing`.

    Raises SecateurError as `decode` does.
    """
    decoder = prepare(recognizer, search | ({"batch": 1} if "batch" in search else {}))
    check_lengths(features)

    @torch.inference_mode()
    def seconds(utterance: str) -> dict[str, float]:
        result = decoder(features.only([utterance]))[utterance]
        return {part: getattr(result, part) for part in PARTS}

    return seconds


def check_lengths(features: Features) -> None:
    """Raises SecateurError for an utterance that is too short to be decoded."""
    for utterance, length in features.lengths.items():
        if length < SHORTEST:
            raise SecateurError(f"utterance {utterance!r} has {length} frames, fewer than {SHORTEST}; drop it")


def read_sample(
    data: Sequence[Path], features: Sequence[Path], count: int, seed: int
) -> tuple[Features, dict[str, float]]:
    """The features of `count` utterances of every language, drawn at random, and the seconds that each lasts.

    Args:
        data, features: data directories, and the folder of the features of each.
    """
    utterances, archives = {}, {}
    for directory, folder in zip(data, features, strict=True):
        found = {utterance.id: utterance for utterance in read_data_dir(directory)}
        utterances |= found
        archives |= dict.fromkeys(found, read_features(folder, list(found)))
    chosen = sample({name: found.language for name, found in utterances.items()}, count, seed)
    matrices = {name: archives[name][name] for name in chosen}
    lengths = {name: archives[name].lengths[name] for name in chosen}
    return Features(matrices, lengths), {name: utterances[name].duration for name in chosen}


def check(search: Mapping[str, Any], tokens: Sequence[str]) -> None:
    """Check an entry of the configuration's searches against a token list.

    Raises SecateurError for an unknown type, an option that is unknown or missing, and a beam that does not fit.
    """
    kind = search.get("type")
    if kind not in SEARCHES:
        raise SecateurError(f"search type {kind!r} is unknown; it must be one of {', '.join(SEARCHES)}")
    names = list(inspect.signature(SEARCHES[kind]).parameters)[1:]
    for key in search.keys() - {"type", "lm", *names}:
        raise SecateurError(f"search {kind}: unknown key {key!r}; it may have {', '.join(names)}")
    if missing := [name for name in names if name not in search]:
        raise SecateurError(f"search {kind}: {', '.join(missing)} missing; it needs {', '.join(names)}")
    if kind == "beam" and not 1 <= search["beam"] < len(tokens):
        # If blank's prefix score, -1e10, got into the beam, ESPnet would later subtract it and lose all precision.
        raise SecateurError(
            f"search beam: beam is {search['beam']}; it must be from 1 to {len(tokens) - 1}, the tokens besides blank"
        )


def batches(lengths: Mapping[str, int], batch: int, batch_frames: int) -> list[list[str]]:
    """Utterances, longest first, in batches of at most `batch` which hold at most `batch_frames`, padding included.

    An utterance longer than `batch_frames` gets a batch of its own.
    """
    found: list[list[str]] = []
    for utterance in sorted(lengths, key=lambda utterance: (-lengths[utterance], utterance)):
        last = found[-1] if found else []
        if last and len(last) < batch and (len(last) + 1) * lengths[last[0]] <= batch_frames:
            last.append(utterance)
        else:
            found.append([utterance])
    return found


def batch_size(search: Mapping[str, Any]) -> int:
    """The most utterances that an entry of the configuration's searches decodes together."""
    return search.get("batch", 1)


def ctc_greedy(recognizer: Recognizer, batch: int, batch_frames: int) -> Decoder:
    """Best path of CTC (Graves et al. 2006, section 3.2): the likeliest token of each frame, repetitions merged.

    Utterances of about the same length are decoded together; the hypotheses do not depend on it. The seconds of a batch
    are shared among its utterances in proportion to their frames, so with `batch` above 1 they measure throughput, not
    the waiting time of a single utterance.

    Args:
        batch: the most utterances in a batch.
        batch_frames: the most frames in a batch, padding included. Attention costs the square of the longest
            utterance for every one of its batch, so a bound on their number alone would make long ones expensive.
    """
    model, tokenizer = recognizer.model, recognizer.tokenizer

    def best(encoder_out: torch.Tensor, lengths: torch.Tensor) -> list[str]:
        paths = model.ctc.argmax(encoder_out).cpu()
        return [
            tokenizer.decode(torch.unique_consecutive(path[:length]).tolist())
            for path, length in zip(paths, lengths.tolist(), strict=True)
        ]

    return partial(_in_batches, recognizer, batch=batch, batch_frames=batch_frames, best=best)


def beam(
    recognizer: Recognizer,
    beam: int,
    ctc_weight: float,
    lm_weight: float,
    length_bonus: float,
) -> Decoder:
    """ESPnet's label-synchronous beam search, one utterance at a time (Watanabe et al. 2017; Seki et al. 2019).

    score = ctc_weight · CTC prefix + (1 − ctc_weight) · attention decoder + lm_weight · LM + length_bonus · tokens,
    all natural logarithms. A model without a decoder has CTC at weight 1, whatever `ctc_weight` says.

    With a decoder, ESPnet's pre-beam lets the other scorers choose which 1.5 × `beam` tokens CTC looks at. Without one
    those would be chosen by the language model alone, so CTC then looks at every token, with and without LM.

    Args:
        beam: hypotheses kept; fewer than there are tokens.
    """
    model, tokens = recognizer.model, recognizer.tokenizer.tokens
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
        hypotheses = search(encoder_out)
        return recognizer.tokenizer.decode(hypotheses[0].yseq.tolist()) if hypotheses else ""

    return partial(_one_by_one, recognizer, best=best, lm_watch=lm_watch)


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
    return partial(_one_by_one, recognizer, best=best, lm_watch=lm_watch)


def word_search(
    recognizer: Recognizer, beam: int, order: int, lm_weight: float, word_score: float, lm_watch: Stopwatch
) -> Callable[[torch.Tensor], str]:
    """The search of `lexicon`, which turns encoder output (T', D) into text and lets `lm_watch` run in the n-gram.

    Of the recogniser it uses the tokenizer, the sentences, `model.blank_id` and `model.ctc.log_softmax`.
    """
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie

    if not recognizer.sentences:
        raise SecateurError("search lexicon: there is no training text; give at least one file of it")
    ngram = Ngram.estimate(recognizer.sentences, order)
    spellings = _spellings(ngram.words, recognizer.tokenizer)
    words = list(spellings)
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
            beam_threshold=BEAM_THRESHOLD,
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

    best.lm = lm  # Flashlight alone does not keep a language model written in Python alive
    return best


def transducer_greedy(
    recognizer: Recognizer, batch: int, batch_frames: int, max_symbols: int, streaming: bool
) -> Decoder:
    """The likeliest label at every step of a transducer (Graves 2012); see `secateur.decoding.transducer.Greedy`.

    Args:
        batch, batch_frames: as for `ctc_greedy`.
        max_symbols: most labels at one frame.
        streaming: encode and search an utterance segment by segment, as it would arrive, one utterance at a time. The
            hypotheses are the same.
    """
    model, decode_tokens = recognizer.model, recognizer.tokenizer.decode

    def best(encoder_out: torch.Tensor, lengths: torch.Tensor) -> list[str]:
        search = Greedy(model, len(encoder_out), max_symbols)
        search.advance(encoder_out, lengths)
        return [decode_tokens(labels) for labels in search.labels]

    def begin() -> tuple[Callable[[torch.Tensor], None], Callable[[], str]]:
        search = Greedy(model, 1, max_symbols)

        def advance(encoder_out: torch.Tensor) -> None:
            search.advance(encoder_out, torch.tensor([encoder_out.shape[1]]))

        return advance, lambda: decode_tokens(search.labels[0])

    if streaming:
        return partial(_as_it_arrives, recognizer, begin=begin, lm_watch=Stopwatch(recognizer.device))
    return partial(_in_batches, recognizer, batch=batch, batch_frames=batch_frames, best=best)


def transducer_beam(
    recognizer: Recognizer,
    beam: int,
    max_symbols: int,
    lm_weight: float,
    length_bonus: float,
    streaming: bool,
) -> Decoder:
    """Time-synchronous beam search of a transducer, one utterance at a time; see `secateur.decoding.transducer.Beam`.

    Args:
        beam: hypotheses kept after each frame.
        max_symbols: most labels at one frame.
        streaming: as for `transducer_greedy`.
    """
    lm_watch = Stopwatch(recognizer.device)

    def begin() -> tuple[Callable[[torch.Tensor], None], Callable[[], str]]:
        search = Beam(recognizer.model, beam, max_symbols, recognizer.lm, lm_weight, length_bonus, lm_watch)

        def advance(encoder_out: torch.Tensor) -> None:
            search.advance(encoder_out[0])

        return advance, lambda: recognizer.tokenizer.decode(list(search.finish()[0].labels))

    def best(encoder_out: torch.Tensor) -> str:
        advance, finish = begin()
        advance(encoder_out[None])
        return finish()

    if streaming:
        return partial(_as_it_arrives, recognizer, begin=begin, lm_watch=lm_watch)
    return partial(_one_by_one, recognizer, best=best, lm_watch=lm_watch)


SEARCHES: dict[str, Callable[..., Decoder]] = {
    "ctc_greedy": ctc_greedy,
    "beam": beam,
    "lexicon": lexicon,
    "transducer_greedy": transducer_greedy,
    "transducer_beam": transducer_beam,
}


def encode(model: torch.nn.Module, speech: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode padded features (B, T, F) of `lengths` (B,): output (B, T', D) and its lengths (B,), on their device."""
    encoder_out, encoder_lengths = model.encode(speech, lengths)
    if isinstance(encoder_out, tuple):  # with the outputs of intermediate layers
        encoder_out = encoder_out[0]
    return encoder_out, encoder_lengths


def _padded(matrices: Sequence[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of several utterances as (B, T, F), padded with zeros, and their lengths (B,)."""
    # A copy: what kaldiio reads cannot be written to.
    tensors = [torch.from_numpy(np.array(matrix, dtype=np.float32)) for matrix in matrices]
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(device), lengths.to(device)


def _in_batches(
    recognizer: Recognizer,
    features: Features,
    batch: int,
    batch_frames: int,
    best: Callable[[torch.Tensor, torch.Tensor], list[str]],
) -> dict[str, Result]:
    """Decode utterances in `batches`; `best` turns encoder output (B, T', D) and its lengths (B,) into texts."""
    results = {}
    hidden = None if len(features) > 1 else True  # None: unless on a terminal
    with tqdm(total=len(features), desc="decode", unit="utterance", disable=hidden) as progress:
        for utterances in batches(features.lengths, batch, batch_frames):
            speech, lengths = _padded([features[utterance] for utterance in utterances], recognizer.device)
            encoder_watch, search_watch = Stopwatch(recognizer.device), Stopwatch(recognizer.device)
            with encoder_watch:
                encoder_out, encoder_lengths = encode(recognizer.model, speech, lengths)
            with search_watch:
                texts = best(encoder_out, encoder_lengths)
            frames = lengths.sum().item()
            for utterance, text, length in zip(utterances, texts, lengths.tolist(), strict=True):
                share = length / frames
                results[utterance] = Result(text, encoder_watch.seconds * share, search_watch.seconds * share)
            progress.update(len(utterances))
    return {utterance: results[utterance] for utterance in features}


def _as_it_arrives(
    recognizer: Recognizer,
    features: Features,
    begin: Callable[[], tuple[Callable[[torch.Tensor], None], Callable[[], str]]],
    lm_watch: Stopwatch,
) -> dict[str, Result]:
    """Decode utterances singly, each segment as soon as all that it needs is there.

    `begin` starts an utterance: it gives a function that takes the next encoder output (1, T', D), and one that gives
    the text at the end.
    """
    results = {}
    for utterance in tqdm(features, desc="decode", unit="utterance", disable=None if len(features) > 1 else True):
        speech, _ = _padded([features[utterance]], recognizer.device)
        encoder_watch, search_watch = Stopwatch(recognizer.device), Stopwatch(recognizer.device)
        lm_watch.seconds = 0.0
        stream = recognizer.model.stream()
        with search_watch:
            advance, finish = begin()
        for chunk in speech[0].split(stream.step):
            with encoder_watch:
                encoder_out = stream.accept(chunk)
            with search_watch:
                advance(encoder_out)
        with encoder_watch:
            encoder_out = stream.finish()
        with search_watch:
            advance(encoder_out)
            text = finish()
        search_s = search_watch.seconds - lm_watch.seconds
        results[utterance] = Result(text, encoder_watch.seconds, search_s, lm_watch.seconds)
    return results


def _one_by_one(
    recognizer: Recognizer,
    features: Features,
    best: Callable[[torch.Tensor], str],
    lm_watch: Stopwatch,
) -> dict[str, Result]:
    """Decode utterances singly; `best` turns encoder output (T', D) into text and lets `lm_watch` run in the LM."""
    results = {}
    for utterance in tqdm(features, desc="decode", unit="utterance", disable=None if len(features) > 1 else True):
        speech, lengths = _padded([features[utterance]], recognizer.device)
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
