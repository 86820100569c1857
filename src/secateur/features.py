"""Log-mel filterbank features in kaldiio archives, and their global mean and variance.

Features follow Kaldi's `compute-fbank-feats` (25 ms windows, 10 ms shift, pre-emphasis 0.97, Povey window), through
kaldi-native-fbank, without dither so that the same audio always gives the same bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import kaldi_native_fbank
import kaldiio
import numpy as np

from secateur import audio
from secateur.datadir import Utterance, read_data_dir
from secateur.errors import SecateurError
from secateur.files import read_json, write_json, write_text, written_aside
from secateur.jobs import progress

SAMPLE_RATE = 16000


def log_mel(samples: np.ndarray, bins: int = 80) -> np.ndarray:
    """Log-mel energies (T, bins), float32, of `samples` (N,) in [-1, 1] at 16 kHz; T = 1 + (N − 400) // 160."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = bins
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(SAMPLE_RATE, samples * 32768.0)
    fbank.input_finished()
    if fbank.num_frames_ready == 0:
        return np.zeros((0, bins), np.float32)
    return np.stack([fbank.get_frame(index) for index in range(fbank.num_frames_ready)])


def change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Play `samples` `speed` times as fast by resampling: tempo and pitch change, as in Kaldi's speed perturbation."""
    if speed == 1.0:
        return samples
    import soxr

    return soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE).astype(np.float32)


def speed_prefix(speed: float) -> str:
    """Kaldi's prefix of the utterance ids of a speed-perturbed copy; empty for the original speed."""
    return "" if speed == 1.0 else f"sp{speed:g}-"


def extract(data: Path, output: Path, bins: int = 80, speeds: Sequence[float] = (1.0,), workers: int = 1) -> None:
    """Write `feats.ark`, `feats.scp`, `utt2num_frames` and `cmvn.json` of a data directory into `output`.

    With several `speeds` every utterance is there once per speed, its id prefixed by `speed_prefix`; the statistics in
    `cmvn.json` (count, sum, sum_square per bin) are of the original speed.
    Memory does not grow with the corpus: utterances stream from the worker processes to the archive.
    """
    utterances = read_data_dir(data)
    if not utterances:
        raise SecateurError(f"{data}: no utterances; check the corpus' dropped.tsv for the reasons")

    compute = partial(_copies, bins=bins, speeds=speeds)
    count, total, squares = 0, np.zeros(bins), np.zeros(bins)
    frames: list[str] = []
    index: list[str] = []
    archive = output / "feats.ark"
    with written_aside(archive) as aside, open(aside, "wb") as stream:
        for matrices in progress(_ordered(compute, utterances, workers), len(utterances), "features"):
            for speed, key, matrix in matrices:
                offset = stream.tell() + len(key.encode()) + 1
                kaldiio.save_ark(stream, {key: matrix})
                index.append(f"{key} {archive}:{offset}")
                frames.append(f"{key} {len(matrix)}")
                if speed == 1.0:
                    wide = matrix.astype(np.float64)
                    count, total, squares = count + len(wide), total + wide.sum(0), squares + (wide**2).sum(0)
    write_text(output / "feats.scp", "\n".join(index) + "\n")
    write_text(output / "utt2num_frames", "\n".join(frames) + "\n")
    write_json(output / "cmvn.json", {"count": count, "sum": total.tolist(), "sum_square": squares.tolist()})


def _copies(utterance: Utterance, bins: int, speeds: Sequence[float]) -> list[tuple[float, str, np.ndarray]]:
    """(speed, key, features) of an utterance at every speed."""
    samples = audio.read(utterance.audio, utterance.start, utterance.end, SAMPLE_RATE)
    copies = []
    for speed in speeds:
        matrix = log_mel(change_speed(samples, speed), bins)
        if len(matrix) == 0:
            raise SecateurError(f"{utterance.id}: shorter than one 25 ms window at speed {speed:g}; exclude it")
        copies.append((speed, speed_prefix(speed) + utterance.id, matrix))
    return copies


def _ordered(function: Callable, items: Sequence, workers: int) -> Iterator:
    """Map `function` over `items` in order, in processes, with a bounded number of results in flight."""
    if workers == 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers) as pool:
        window = []
        for item in items:
            window.append(pool.submit(function, item))
            if len(window) > 4 * workers:
                yield window.pop(0).result()
        for future in window:
            yield future.result()


def mean_and_std(folders: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per bin, float32 (bins,), over the features of several folders."""
    count, total, squares = 0, 0.0, 0.0
    for folder in folders:
        stats = read_json(Path(folder) / "cmvn.json")
        count += stats["count"]
        total = total + np.array(stats["sum"])
        squares = squares + np.array(stats["sum_square"])
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
    return mean.astype(np.float32), std.astype(np.float32)
