"""Log-mel filterbank features in kaldiio archives, and their global mean and variance.

Features follow Kaldi's `compute-fbank-feats` (25 ms windows, 10 ms shift, pre-emphasis 0.97, Povey window), through
kaldi-native-fbank, without dither so that the same audio always gives the same bytes.
"""

import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

import kaldi_native_fbank
import kaldiio
import numpy as np

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.core.files import check_space, read_json, write_json, written_aside
from secateur.core.foreign import pointer
from secateur.core.processes import end_with_parent
from secateur.speech import audio
from secateur.speech.datadir import Utterance, line_of, read_data_dir, read_table, speed_prefix

SAMPLE_RATE = 16000
FRAMES_PER_SECOND, BYTES = 100, 4
SHOWN = 10
PLACE = re.compile(r"(?P<path>.*?[^|\s])(?::(?P<offset>\d+))?(?P<range>\[[\d:,]+\])?")
"""Where a matrix is, in `feats.scp`: a file, the byte where it begins, and the rows and columns to take."""
TABLES = ("feats.scp", "utt2num_frames", "feats.crc32")


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


def extract(
    data: Path,
    output: Path,
    bins: int = 80,
    speeds: Sequence[float] = (1.0,),
    workers: int = 1,
    front_end: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:
    """Write `feats.ark` and its tables, `TABLES`, and `cmvn.json` of a data directory into `output`.

    With several `speeds` every utterance is there once per speed, its id prefixed by `speed_prefix`; the statistics in
    `cmvn.json` (count, sum, sum_square per bin) are of the original speed.
    Memory does not grow with the corpus: utterances stream from the worker processes to the archive.

    Args:
        bins: values of a frame.
        front_end: makes features (T, bins) of samples (N,), as one of `secateur.speech.front_ends`; without it they are
            `log_mel`'s.

    Raises SecateurError naming up to `SHOWN` of the utterances that cannot be read, after all were tried.
    """
    utterances = read_data_dir(data)
    if not utterances:
        raise SecateurError(f"{data}: no utterances; check the corpus' dropped.tsv for the reasons")

    seconds = sum(utterance.duration for utterance in utterances) * sum(1 / speed for speed in speeds)
    check_space(output, round(seconds * FRAMES_PER_SECOND * bins * BYTES), "the archive of features")
    compute = partial(_copies, front_end=front_end or partial(log_mel, bins=bins), speeds=speeds)
    count, total, squares = 0, np.zeros(bins), np.zeros(bins)
    archive = output / "feats.ark"
    problems: list[str] = []
    with ExitStack() as stack:
        # The archive is entered last and so gets its name first: where the tables are, it is.
        index, frames, checksums = (stack.enter_context(_table(output / name)) for name in TABLES)
        stream = open(stack.enter_context(written_aside(archive)), "wb")  # noqa: SIM115
        stack.enter_context(stream)
        for matrices in progress.each(_ordered(compute, utterances, workers), len(utterances), "features"):
            if isinstance(matrices, str):
                problems.append(matrices)
                continue
            for speed, key, matrix in matrices:
                offset = stream.tell() + len(key.encode()) + 1
                kaldiio.save_ark(stream, {key: matrix})
                index.write(f"{key} {archive}:{offset}\n")
                frames.write(f"{key} {len(matrix)}\n")
                checksums.write(f"{key} {zlib.crc32(matrix):08x}\n")
                if speed == 1.0:
                    wide = matrix.astype(np.float64)
                    count, total, squares = count + len(wide), total + wide.sum(0), squares + (wide**2).sum(0)
        if problems:
            more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
            listed = "\n".join(f"  {problem}" for problem in problems[:SHOWN])
            raise SecateurError(f"{data}: {len(problems)} utterances have no features:\n{listed}{more}")
    write_json(output / "cmvn.json", {"count": count, "sum": total.tolist(), "sum_square": squares.tolist()})


@contextmanager
def _table(path: Path) -> Iterator[TextIO]:
    """A text file that gets its name when it is whole."""
    with written_aside(path) as aside, open(aside, "w", encoding="utf-8", newline="\n") as stream:
        yield stream


class Archive(Mapping[str, np.ndarray]):
    """The matrices (T, F) of `feats.scp` in a folder, read when asked for, and compared with their checksums.

    Archives of others, which have no `feats.crc32`, are read as they are, compressed by Kaldi or not, with ranges or
    not. Raises SecateurError, naming the utterance, for a matrix that is damaged, and at once when an archive ends
    before its last matrix begins, or a line of `feats.scp` is a command, which is not run here.

    Args:
        name, what: of files, `feats`, and in messages, for archives of something else.
    """

    def __init__(self, folder: str | Path, name: str = "feats", what: str = "features"):
        self._folder, self._what = Path(folder), what
        file = self._folder / f"{name}.crc32"
        checksums = read_table(file) if file.exists() else None
        self._places: dict[str, tuple[str, int, str, str | None]] = {}  # path, offset, range, checksum
        last: dict[str, int] = {}
        index = self._folder / f"{name}.scp"
        for key, place in read_table(index).items():
            found = PLACE.fullmatch(place)
            if not found:
                raise SecateurError(
                    f"{index}:{line_of(index, key)}: {place[:60]!r} is no `path:offset`; commands are not run here: "
                    "copy the features once, e.g. `copy-feats scp:feats.scp ark,scp:new.ark,new.scp`"
                )
            path, offset, part = sys.intern(found["path"]), int(found["offset"] or 0), found["range"] or ""
            self._places[key] = path, offset, part, None if checksums is None else checksums.get(key, "none")
            last[path] = max(last.get(path, 0), offset)
        for path, offset in last.items():
            size = Path(path).stat().st_size if Path(path).is_file() else 0
            if size <= offset:
                raise pointer(path) or SecateurError(
                    f"{path}: {size} bytes, and a matrix should begin after {offset}; make the {what} again"
                )

    def __getitem__(self, key: str) -> np.ndarray:
        path, offset, part, checksum = self._places[key]
        try:
            # A copy: what kaldiio reads cannot be written to, and is by columns where Kaldi compressed it.
            matrix = np.array(kaldiio.load_mat(f"{path}:{offset}{part}"), order="C")
        except Exception as error:  # kaldiio has no exception of its own for what it cannot make sense of
            raise self._damaged(key) from error
        if checksum not in (None, f"{zlib.crc32(matrix):08x}"):
            raise self._damaged(key)
        return matrix.astype(np.float32) if matrix.dtype == np.float64 else matrix

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _damaged(self, key: str) -> SecateurError:
        return SecateurError(
            f"{self._folder}: the {self._what} of {key!r} are damaged; delete the folder and run again"
        )


def _copies(
    utterance: Utterance, front_end: Callable[[np.ndarray], np.ndarray], speeds: Sequence[float]
) -> list[tuple[float, str, np.ndarray]] | str:
    """(speed, key, features) of an utterance at every speed, or why there are none."""
    try:
        samples = audio.read(utterance.audio, utterance.start, utterance.end, SAMPLE_RATE, utterance.channel)
    except SecateurError as error:
        return f"{utterance.id}: {error}"
    copies = []
    for speed in speeds:
        matrix = front_end(change_speed(samples, speed))
        if len(matrix) == 0:
            return f"{utterance.id}: shorter than one 25 ms window at speed {speed:g}; exclude it"
        copies.append((speed, speed_prefix(speed) + utterance.id, matrix))
    return copies


def _ordered(function: Callable, items: Sequence, workers: int) -> Iterator:
    """Map `function` over `items` in order, in processes, with a bounded number of results in flight."""
    if workers == 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
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
