"""Searches that turn a model's output into words, and the seconds that each utterance took.

Searches are the files of `secateur.decoding.search`; what they share is here.

Times are wall-clock seconds: `encoder_s` from features to the encoder's output, `lm_s` inside the language model,
`search_s` all the rest up to the text, the CTC head and an attention decoder included. The first utterance (or the
largest batch) is decoded once more than needed, untimed, so that what only a first call costs is not counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.decoding.search import named
from secateur.decoding.timing import PARTS
from secateur.speech.datadir import read_data_dir, read_table, sample
from secateur.speech.features import Archive
from secateur.speech.tokens import Tokenizer

SHORTEST = 7  # frames; what `conv2d` subsampling needs for one output


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

    def running(self, model: torch.nn.Module) -> "Recognizer":
        """The same with another model, which may bring a language model of its own along."""
        return replace(self, model=model, lm=getattr(model, "lm", self.lm))


class Features(Mapping[str, np.ndarray]):
    """Features (T, F) of utterances, read when asked for, and the frames T of each, known beforehand.

    Args:
        archive: of the matrices; it may hold more utterances.
        lengths: frames of the utterances, in their order; without it, every matrix of the archive is read once more.
        languages: of the utterances, for searches that must know it.
    """

    def __init__(
        self,
        archive: Mapping[str, np.ndarray],
        lengths: Mapping[str, int] | None = None,
        languages: Mapping[str, str] | None = None,
    ):
        self.archive, self.languages = archive, languages or {}
        self.lengths = {name: len(archive[name]) for name in archive} if lengths is None else dict(lengths)

    def __getitem__(self, utterance: str) -> np.ndarray:
        return self.archive[utterance]

    def __iter__(self) -> Iterator[str]:
        return iter(self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def only(self, utterances: Sequence[str]) -> "Features":
        """Those of some utterances."""
        return Features(self.archive, {name: self.lengths[name] for name in utterances}, self.languages)


def read_features(folder: Path, utterances: Sequence[str], languages: Mapping[str, str] | None = None) -> Features:
    """The features in `folder` of these utterances, which are read from the archive as they are needed.

    Args:
        languages: as for `Features`.

    Raises SecateurError when there are none of one of them.
    """
    archive = Archive(folder)
    frames = read_table(folder / "utt2num_frames")
    for utterance in utterances:
        if utterance not in archive or utterance not in frames:
            raise SecateurError(f"{folder}: no features of {utterance!r}; extract the features again")
    return Features(archive, {utterance: int(frames[utterance]) for utterance in utterances}, languages)


@dataclass(frozen=True)
class Result:
    """Hypothesis of one utterance and the seconds that it took; `layers`, where utterances leave the encoder early."""

    hypothesis: str
    encoder_s: float
    search_s: float
    lm_s: float = 0.0
    layers: int | None = None


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
    found = named(search["type"])
    if getattr(recognizer.model, found.part, None) is None:
        raise SecateurError(
            f"search {search['type']}: the model has no {found.called}; take a search that fits the type of the model"
        )
    if bool(search.get("lm")) != (recognizer.lm is not None):
        given = "no language model was given" if search.get("lm") else "one was given"
        raise SecateurError(
            f"search {search['type']}: lm is {search.get('lm')!r} but {given}; give the folder of the one named"
        )
    options = {key: value for key, value in search.items() if key not in ("type", "lm")}
    return found.prepare(recognizer, **options)


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
    languages = {name: utterances[name].language for name in chosen}
    return Features(matrices, lengths, languages), {name: utterances[name].duration for name in chosen}


def check(search: Mapping[str, Any], tokens: Sequence[str]) -> None:
    """Check an entry of the configuration's searches against a token list.

    Raises SecateurError for an unknown type, an option that is unknown or missing, and a beam that does not fit.
    """
    kind = search.get("type")
    found = named(kind)
    names = found.options
    for key in search.keys() - {"type", "lm", *names}:
        raise SecateurError(f"search {kind}: unknown key {key!r}; it may have {', '.join(names)}")
    if missing := [name for name in names if name not in search]:
        raise SecateurError(f"search {kind}: {', '.join(missing)} missing; it needs {', '.join(names)}")
    if found.check:
        found.check(search, tokens)


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


def in_batches(
    recognizer: Recognizer,
    features: Features,
    batch: int,
    batch_frames: int,
    best: Callable[[torch.Tensor, torch.Tensor, list[str]], list[str]],
) -> dict[str, Result]:
    """Decode utterances in `batches`.

    Args:
        best: turns encoder output (B, T', D), its lengths (B,) and the languages of the utterances into texts.
    """
    results = {}
    for utterances in batches(features.lengths, batch, batch_frames):
        speech, lengths = _padded([features[utterance] for utterance in utterances], recognizer.device)
        encoder_watch, search_watch = Stopwatch(recognizer.device), Stopwatch(recognizer.device)
        with encoder_watch:
            encoder_out, encoder_lengths = encode(recognizer.model, speech, lengths)
        with search_watch:
            languages = [features.languages.get(utterance, "") for utterance in utterances]
            texts = best(encoder_out, encoder_lengths, languages)
        frames = lengths.sum().item()
        left_at = getattr(recognizer.model.encoder, "left_at", [None] * len(texts))
        for utterance, text, length, layer in zip(utterances, texts, lengths.tolist(), left_at, strict=True):
            seconds = (watch.seconds * length / frames for watch in (encoder_watch, search_watch))
            results[utterance] = Result(text, *seconds, layers=layer)
        if len(features) > 1:
            progress.JOB.tell("utterances", len(results), len(features))
    return {utterance: results[utterance] for utterance in features}


def as_it_arrives(
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
    for utterance in progress.each(features, len(features), "utterances"):
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


def one_by_one(
    recognizer: Recognizer,
    features: Features,
    best: Callable[[torch.Tensor], str],
    lm_watch: Stopwatch,
) -> dict[str, Result]:
    """Decode utterances singly; `best` turns encoder output (T', D) into text and lets `lm_watch` run in the LM."""
    results = {}
    for utterance in progress.each(features, len(features), "utterances"):
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
