"""Reading speech: any format that libsndfile knows, and G.722, as 16 kHz mono."""

import functools
import logging
from pathlib import Path

import numpy as np

from secateur.core.errors import SecateurError

G722_RATE = 16000
G722_BYTES_PER_SECOND = 8000  # 64 kbit/s: one byte holds two samples


def info(path: str | Path) -> tuple[int, int]:
    """Return (frames, rate in Hz) of a recording, from its header or size only.

    Raises SecateurError if the file is missing, empty or not audio.
    """
    path = Path(path)
    if path.suffix == ".g722":
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error.strerror) from error
        frames, rate = size * G722_RATE // G722_BYTES_PER_SECOND, G722_RATE
    else:
        import soundfile

        try:
            header = soundfile.info(str(path))
        except (RuntimeError, OSError) as error:
            raise _unreadable(path, error) from error
        frames, rate = header.frames, header.samplerate
    if frames == 0:
        raise SecateurError(f"{path}: the recording is empty; fetch it again or exclude its utterances")
    return frames, rate


def read(path: str | Path, start: float | None = None, end: float | None = None, rate: int = 16000) -> np.ndarray:
    """Read a recording, or the part between `start` and `end` seconds, as float32 in [-1, 1], shape (samples,).

    Channels are averaged; other sampling rates are converted to `rate` Hz, which is logged once per source rate.
    Raises SecateurError if the file is missing, empty, not audio, or ends before `start`.
    """
    path = Path(path)
    samples, source_rate = _read_g722(path, start, end) if path.suffix == ".g722" else _read(path, start, end)
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float32)
    if len(samples) == 0:
        part = "" if start is None else f" between {start} s and {end} s"
        raise SecateurError(f"{path}: no audio{part}; mend the segment or fetch the file again")
    if source_rate != rate:
        import soxr

        _log_resampling(source_rate, rate)
        samples = soxr.resample(samples, source_rate, rate)
    return samples


def _read_g722(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    from G722 import G722

    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    samples = np.asarray(G722(G722_RATE, 64000).decode(encoded), dtype=np.float32) / 32768 if encoded else np.empty(0)
    first, last = _bounds(start, end, G722_RATE)
    return samples[first:last].astype(np.float32), G722_RATE


def _read(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as stream:
            first, last = _bounds(start, end, stream.samplerate)
            if first >= stream.frames > 0:
                return np.empty(0, dtype=np.float32), stream.samplerate
            stream.seek(first)
            return stream.read(-1 if last is None else last - first, dtype="float32"), stream.samplerate
    except (RuntimeError, OSError) as error:
        raise _unreadable(path, error) from error


def _bounds(start: float | None, end: float | None, rate: int) -> tuple[int, int | None]:
    return round((start or 0) * rate), None if end is None else round(end * rate)


@functools.cache
def _log_resampling(source_rate: int, rate: int) -> None:
    logging.info("converting recordings at %d Hz to %d Hz", source_rate, rate)


def _unreadable(path: Path, why: object) -> SecateurError:
    if not path.exists():
        return SecateurError(f"{path}: no such recording; fetch it again or mend the path")
    return SecateurError(f"{path}: cannot be read as audio ({why}); fetch it again or exclude its utterances")
