"""Targets of masked prediction: clustered frames (Hsu et al. 2021), first of MFCCs, then of an encoder's layer."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import kaldi_native_fbank
import kaldiio
import numpy as np
import torch

from secateur.core.errors import SecateurError
from secateur.core.files import write_text, written_aside
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import pad
from secateur.speech.features import SAMPLE_RATE, Archive

MFCC_SHIFT = 160  # samples
CEPSTRA = 13
CHUNK = 20_000  # frames whose distances are computed at a time
TOLERANCE = 1e-4
BATCH = 30 * SAMPLE_RATE  # samples whose frames are computed at a time

Waves = tuple[Sequence[str], Sequence[np.ndarray]]
"""Names and samples (N_i,) of some utterances."""
Frames = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""Turns the samples (N_i,) of utterances into frames (T_i, D)."""


def mfcc(samples: np.ndarray, hop: int) -> np.ndarray:
    """13 MFCCs with their first and second differences (T, 39), every `hop` samples, as Kaldi computes them.

    Windows of 25 ms, of which the one of frame t begins at sample t · `hop`.
    """
    if hop % MFCC_SHIFT:
        raise SecateurError(f"frames every {hop} samples: MFCCs are made every {MFCC_SHIFT}; use a multiple of that")
    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither = SAMPLE_RATE, 0.0
    options.num_ceps = CEPSTRA
    extractor = kaldi_native_fbank.OnlineMfcc(options)
    extractor.accept_waveform(SAMPLE_RATE, samples * 32768.0)
    extractor.input_finished()
    if extractor.num_frames_ready == 0:
        return np.zeros((0, 3 * CEPSTRA), np.float32)
    cepstra = np.stack([extractor.get_frame(index) for index in range(extractor.num_frames_ready)])
    first = differences(cepstra)
    return np.concatenate([cepstra, first, differences(first)], 1)[:: hop // MFCC_SHIFT]


def mfcc_frames(hop: int) -> Frames:
    """Frames that are MFCCs every `hop` samples."""
    return lambda waves: [mfcc(samples, hop) for samples in waves]


def differences(frames: np.ndarray, width: int = 2) -> np.ndarray:
    """Σ_n n (c_{t+n} − c_{t−n}) / (2 Σ_n n²) over n = 1 … `width`, the first and last frame repeated at the edges."""
    padded = np.pad(frames, ((width, width), (0, 0)), mode="edge")
    total = np.zeros_like(frames)
    for step in range(1, width + 1):
        ahead, behind = (padded[width + sign * step :][: len(frames)] for sign in (1, -1))
        total += step * (ahead - behind)
    return total / (2 * sum(step**2 for step in range(1, width + 1)))


def layer_frames(encoder: Encoder, layer: int, device: torch.device) -> Frames:
    """Frames that are the output of layer `layer` (from 1; 0 is the input of the first) of an encoder."""

    @torch.no_grad()
    def frames(waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = [np.zeros((0, encoder.config.hidden_size), np.float32)] * len(waves)
        heard = [place for place, samples in enumerate(waves) if len(samples) >= encoder.config.receptive_field]
        if heard:
            waveforms = pad([torch.from_numpy(waves[place]) for place in heard], 0.0).to(device)
            hidden, counts = encoder(waveforms, torch.tensor([len(waves[place]) for place in heard], device=device))
            for place, output, count in zip(heard, hidden[layer].float().cpu().numpy(), counts.tolist(), strict=True):
                found[place] = output[:count]
        return found

    return frames


def kmeans(frames: torch.Tensor, clusters: int, seed: int, iterations: int = 50) -> tuple[torch.Tensor, list[float]]:
    """Lloyd's algorithm from a k-means++ start (Arthur & Vassilvitskii 2007).

    A cluster that loses all its frames moves to the frame that is farthest from its centre. It ends after `iterations`
    or when the mean squared distance falls by less than 0.01 %.

    Returns the centres (clusters, D) and the mean squared distance of every iteration, which never rises as long as no
    cluster is empty. Raises SecateurError if there are fewer frames than clusters.
    """
    if len(frames) < clusters:
        raise SecateurError(f"{len(frames)} frames cannot make {clusters} clusters; lower the number or use more audio")
    generator = torch.Generator().manual_seed(seed)
    centres = _spread_out(frames, clusters, generator)
    history: list[float] = []
    for _ in range(iterations):
        labels, distances = assign(frames, centres)
        history.append(distances.double().mean().item())
        counts = torch.bincount(labels, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, labels, frames)
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centres)
        empty = torch.nonzero(counts == 0)[:, 0]
        if len(empty):
            centres[empty] = frames[distances.topk(len(empty)).indices]
        elif len(history) > 1 and history[-2] - history[-1] < TOLERANCE * history[-2]:
            break
    return centres, history


def assign(frames: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of the nearest centre (T,) of every frame (T, D), and the squared distance (T,) to it."""
    labels, distances = [], []
    norms = centres.square().sum(1)
    for chunk in frames.split(CHUNK):
        relative, label = (norms - 2 * chunk @ centres.T).min(1)
        labels.append(label)
        distances.append((relative + chunk.square().sum(1)).clamp(min=0.0))
    return torch.cat(labels), torch.cat(distances)


def in_batches(
    read: Callable[[str], np.ndarray], lengths: Mapping[str, int], names: Iterable[str], budget: int = BATCH
) -> Iterator[Waves]:
    """Utterances in the order of `names`, as many at a time as fit into `budget` samples with their padding."""
    batch: list[str] = []
    for name in names:
        if batch and max(lengths[other] for other in (*batch, name)) * (len(batch) + 1) > budget:
            yield batch, [read(other) for other in batch]
            batch = []
        batch.append(name)
    yield batch, [read(other) for other in batch]


def sampled(batches: Iterable[Waves], frames: Frames, most: int) -> torch.Tensor:
    """Frames (at most `most`, D) of utterances in their order."""
    found: list[np.ndarray] = []
    count = 0
    for _, waves in batches:
        for matrix in frames(waves):
            found.append(matrix[: most - count])
            count += len(found[-1])
        if count >= most:
            break
    return torch.from_numpy(np.concatenate(found))


def write_targets(folder: Path, batches: Iterable[Waves], frames: Frames, centres: torch.Tensor) -> np.ndarray:
    """Write `targets.ark`, the cluster of every frame (int32), with its index and checksums, `targets.scp` and
    `targets.crc32`; return how often each cluster occurs.
    """
    counts = np.zeros(len(centres), np.int64)
    archive = folder / "targets.ark"
    index: list[str] = []
    checksums: list[str] = []
    with written_aside(archive) as aside, open(aside, "wb") as stream:
        for names, waves in batches:
            for name, matrix in zip(names, frames(waves), strict=True):
                labels = assign(torch.from_numpy(matrix).to(centres.device), centres)[0].cpu().numpy().astype(np.int32)
                counts += np.bincount(labels, minlength=len(centres))
                offset = stream.tell() + len(name.encode()) + 1
                kaldiio.save_ark(stream, {name: labels})
                index.append(f"{name} {archive}:{offset}")
                checksums.append(f"{name} {zlib.crc32(labels):08x}")
    write_text(folder / "targets.crc32", "\n".join(checksums) + "\n")
    write_text(folder / "targets.scp", "\n".join(index) + "\n")
    return counts


def read_targets(folder: Path) -> Mapping[str, np.ndarray]:
    """The targets in `folder` by utterance, read from disk when asked for."""
    if not (folder / "targets.scp").exists():
        raise SecateurError(f"{folder / 'targets.scp'}: no such file; the job that makes it has not run")
    return Archive(folder, "targets", "targets")


def _spread_out(frames: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """Frames to start from: each drawn with a probability that grows with the squared distance to those before it."""
    chosen = [int(torch.randint(len(frames), (), generator=generator))]
    nearest = (frames - frames[chosen[0]]).square().sum(1)
    for _ in range(1, clusters):
        ladder = nearest.double().cumsum(0)
        place = torch.rand((), dtype=torch.float64, generator=generator).to(ladder.device) * ladder[-1]
        chosen.append(min(int(torch.searchsorted(ladder, place, right=True)), len(frames) - 1))
        nearest = torch.minimum(nearest, (frames - frames[chosen[-1]]).square().sum(1))
    return frames[chosen].clone()
