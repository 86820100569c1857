"""Reading speech: any format that libsndfile knows, and G.722, as 16 kHz mono."""

import functools
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from secateur.core.errors import SecateurError
from secateur.core.foreign import no_recording, pointer

G722_RATE = 16000
G722_BYTES_PER_SECOND = 8000  # 64 kbit/s: one byte holds two samples
SLACK = 0.1
"""Seconds that a recording may lack of what its header promises: encoders round to their blocks."""
CANCELS = 0.1
"""Channels cancel each other out where their average has less than this share of their amplitude: 20 dB below."""
BLOCK = 1 << 16
STREAMED = 0x7FFF0000
"""Bytes of a header whose writer did not know how long the recording would become; or more."""
UNKNOWN_LENGTH = 1 << 62


@dataclass(frozen=True)
class Header:
    """What a recording promises: samples of each channel, rate in Hz, channels."""

    frames: int
    rate: int
    channels: int = 1

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def info(path: str | Path) -> Header:
    """What the header, or the size, of a recording says; of a file that was cut, still how long it was.

    Raises SecateurError if the file is missing, empty or not audio.
    """
    path = Path(path)
    if path.suffix == ".g722":
        try:
            size = path.stat().st_size
        except OSError as error:
            raise no_recording(path, error.strerror) from error
        if size < 1024 and (problem := pointer(path)):
            raise problem
        header = Header(size * G722_RATE // G722_BYTES_PER_SECOND, G722_RATE)
    else:
        with _opened(path) as stream:
            header = _header(stream)
    if header.frames == 0:
        raise SecateurError(f"{path}: the recording is empty; fetch it again or exclude its utterances")
    return header


def read(
    path: str | Path,
    start: float | None = None,
    end: float | None = None,
    rate: int = 16000,
    channel: int | None = None,
) -> np.ndarray:
    """Read a recording, or the part between `start` and `end` seconds, as float32 in [-1, 1], shape (samples,).

    Channels are averaged unless one is chosen, counted from 0; other sampling rates are converted to `rate` Hz, which
    is logged once per source rate.
    Raises SecateurError if the file is missing, empty, not audio, without that channel, ends before `start` or before
    its header says, and for samples that are no numbers.
    """
    path = Path(path)
    samples, source_rate = _read_g722(path, start, end) if path.suffix == ".g722" else _read(path, start, end)
    samples = _mono(path, samples, channel)
    if len(samples) == 0:
        part = "" if start is None else f" between {start} s and {end} s"
        raise SecateurError(f"{path}: no audio{part}; mend the segment or fetch the file again")
    _check_numbers(path, samples, round((start or 0) * source_rate), source_rate)
    if source_rate != rate:
        import soxr

        _log_resampling(source_rate, rate)
        samples = soxr.resample(samples, source_rate, rate)
    return samples


def examine(path: str | Path, channel: int | None = None) -> tuple[float, float]:
    """Return the seconds that a recording promises, and those that can be decoded.

    Only the end is decoded, but for what can hide a fault anywhere: several channels, and samples that are floats.
    Raises SecateurError if it cannot be read, for samples that are no numbers, a channel that is not there, channels
    that cancel each other out when they are averaged, and a file of Ogg that breaks off.
    """
    path = Path(path)
    promised = info(path)
    if path.suffix == ".g722":
        _mono(path, np.empty((0, 1), np.float32), channel)
        return promised.seconds, promised.seconds
    with _opened(path) as stream:
        if stream.format == "OGG" and _ogg_is_cut(path):
            raise SecateurError(f"{path}: breaks off in the middle of a page of Ogg; fetch it again")
        suspect = stream.channels > 1 or stream.subtype in ("FLOAT", "DOUBLE")
        if not suspect and stream.frames == promised.frames and _ends_well(stream):
            _mono(path, np.empty((0, 1), np.float32), channel)
            return promised.seconds, promised.seconds
    return promised.seconds, _decoded(path, channel) / promised.rate


def _ends_well(stream) -> bool:
    """Whether the last samples that the header promises can be decoded."""
    import soundfile

    wanted = min(stream.frames, round(SLACK * stream.samplerate))
    try:
        stream.seek(stream.frames - wanted)
        return len(stream.read(wanted, dtype="float32")) == wanted
    except soundfile.SoundFileError:
        return False


def _decoded(path: Path, channel: int | None) -> int:
    """Decode a recording from its beginning: how many samples that gives; what is wrong with them is an error."""
    import soundfile

    count, apart, together = 0, 0.0, 0.0
    with _opened(path) as stream:
        while True:
            try:
                block = stream.read(BLOCK, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:  # it breaks off here
                break
            if not len(block):
                break
            _check_numbers(path, block, count, stream.samplerate)
            mixed = _mono(path, block, channel)
            apart += np.square(block, dtype=np.float64).mean(axis=1).sum()
            together += np.square(mixed, dtype=np.float64).sum()
            count += len(block)
        if channel is None and together < CANCELS**2 * apart:
            raise SecateurError(
                f"{path}: its {stream.channels} channels cancel each other out when they are averaged; choose one: "
                "corpora.<name>.channel, or a fifth column in segments (channels count from 0)"
            )
    return count


def _mono(path: Path, samples: np.ndarray, channel: int | None) -> np.ndarray:
    """The average of all channels, or one of them, of samples (N,) or (N, C)."""
    channels = samples.shape[1] if samples.ndim == 2 else 1
    if channel is not None and channel >= channels:
        raise SecateurError(
            f"{path}: channel {channel} is wanted, it has {channels}, counted from 0; mend corpora.<name>.channel, or "
            "the fifth column of segments"
        )
    if samples.ndim == 1:
        return samples
    return samples.mean(axis=1, dtype=np.float32) if channel is None else samples[:, channel]


def _check_numbers(path: Path, samples: np.ndarray, first: int, rate: int) -> None:
    finite = np.isfinite(samples)
    if not finite.all():
        seconds = (first + np.argwhere(~finite)[0][0]) / rate
        raise SecateurError(
            f"{path}: its sample at {seconds:.3f} s is no number (NaN or infinite); write the recording again, or "
            "exclude its utterances"
        )


def _read_g722(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    from G722 import G722

    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise no_recording(path, error.strerror) from error
    if len(encoded) < 1024 and (problem := pointer(path)):
        raise problem
    samples = np.asarray(G722(G722_RATE, 64000).decode(encoded), dtype=np.float32) / 32768 if encoded else np.empty(0)
    first, last = _bounds(start, end, G722_RATE)
    return samples[first:last].astype(np.float32), G722_RATE


def _read(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    with _opened(path) as stream:
        header = _header(stream)
        first, last = _bounds(start, end, header.rate)
        last = header.frames if last is None else min(last, header.frames)
        if first >= header.frames:
            return np.empty(0, dtype=np.float32), header.rate
        stream.seek(min(first, stream.frames))
        samples = stream.read(last - first, dtype="float32")
        if len(samples) < last - first - SLACK * header.rate:
            raise cut(path, header.seconds, (first + len(samples)) / header.rate)
        return samples, header.rate


def cut(path: str | Path, promised: float, found: float) -> SecateurError:
    """The error to raise for a recording that is shorter than its header says, both in seconds."""
    return SecateurError(
        f"{path}: its header promises {promised:.2f} s, {found:.2f} s can be decoded; the file is cut or damaged: "
        "fetch it again or exclude its utterances"
    )


@contextmanager
def _opened(path: Path) -> Iterator:
    """A file of libsndfile's; what it cannot read is a SecateurError."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as stream:
            yield stream
    except (RuntimeError, OSError) as error:
        raise no_recording(path, str(error).removeprefix(f"Error opening {str(path)!r}: ")) from error


def _header(stream) -> Header:
    """What a file promises. libsndfile shortens the length that a header states to what is there, but logs it."""
    frames = stream.frames
    if frames > UNKNOWN_LENGTH:
        raise SecateurError(
            f"{stream.name}: its header does not say how long it is; write it once more, e.g. "
            f"`ffmpeg -i {Path(stream.name).name} {Path(stream.name).stem}-whole.flac`"
        )
    stated = re.search(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", stream.extra_info, re.MULTILINE)
    if stated and 0 < int(stated[2]) < int(stated[1]) < STREAMED:
        whole = round(frames * int(stated[1]) / int(stated[2]))
        frames = whole if whole > frames + SLACK * stream.samplerate else frames
    return Header(frames, stream.samplerate, stream.channels)


def _ogg_is_cut(path: Path) -> bool:
    """Whether the last page of a file of Ogg (RFC 3533, section 6) goes beyond the file's end."""
    longest = 27 + 255 + 255 * 255
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - longest))
        tail = stream.read()
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > 26 else 255
    return len(page) < 27 + segments or len(page) < 27 + segments + sum(page[27 : 27 + segments])


def _bounds(start: float | None, end: float | None, rate: int) -> tuple[int, int | None]:
    return round((start or 0) * rate), None if end is None else round(end * rate)


@functools.cache
def _log_resampling(source_rate: int, rate: int) -> None:
    logging.info("converting recordings at %d Hz to %d Hz", source_rate, rate)
