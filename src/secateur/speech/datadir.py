"""Kaldi-style data directories: `wav.scp`, optional `segments`, `text`, `utt2spk`, `utt2lang`, `utt2dur`."""

import gzip
import logging
import random
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.core.foreign import POINTER, pointer

GZIP = b"\x1f\x8b"  # the first bytes of such a file
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Utterance:
    """One utterance: a whole recording, or the part of one between `start` and `end`.

    Attributes:
        id: unique within a corpus; no white space.
        audio: path of the recording (relative paths resolve against the working directory).
        text: normalised transcript, words separated by single spaces.
        speaker: speaker's identifier.
        language: ISO 639-1 code.
        duration: seconds of speech, i.e. `end - start` for a segment.
        start, end: seconds into the recording, or None for the whole recording.
        recording: identifier of the recording; needed with `start` and `end`.
        channel: the channel to hear, counted from 0, or None for the average of all.
    """

    id: str
    audio: str
    text: str
    speaker: str
    language: str
    duration: float
    start: float | None = None
    end: float | None = None
    recording: str | None = None
    channel: int | None = None


def write_data_dir(folder: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write `utterances`, sorted by id as Kaldi wants, as a data directory. `segments` is empty if all are whole.

    Raises SecateurError for a duplicate id, an id with white space, or an audio path with a line break.
    """
    folder = Path(folder)
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    tables: dict[str, dict[str, str]] = {
        name: {} for name in ("wav.scp", "segments", "text", "utt2spk", "utt2lang", "utt2dur")
    }
    # With one segment Kaldi wants one for everyone; channels are their fifth column.
    segmented = any(utterance.start is not None or utterance.channel is not None for utterance in ordered)
    for utterance in ordered:
        if utterance.id in tables["text"]:
            raise SecateurError(f"{folder}: utterance {utterance.id!r} occurs twice; every id must be unique")
        if not utterance.id or any(character.isspace() for character in utterance.id):
            raise SecateurError(f"{folder}: utterance id {utterance.id!r} has white space or is empty; rename it")
        if "\n" in utterance.audio:
            raise SecateurError(f"{folder}: the audio path of {utterance.id!r} has a line break; rename the file")
        if "\n" in utterance.text:
            raise SecateurError(f"{folder}: the transcript of {utterance.id!r} has a line break; put it on one line")
        recording = utterance.recording or utterance.id
        tables["wav.scp"][recording] = utterance.audio
        if segmented:
            start = utterance.start or 0.0
            end = start + utterance.duration if utterance.end is None else utterance.end
            channel = "" if utterance.channel is None else f" {utterance.channel}"
            tables["segments"][utterance.id] = f"{recording} {start:.3f} {end:.3f}{channel}"
        tables["text"][utterance.id] = utterance.text
        tables["utt2spk"][utterance.id] = utterance.speaker
        tables["utt2lang"][utterance.id] = utterance.language
        tables["utt2dur"][utterance.id] = f"{utterance.duration:.3f}"
    for name, table in tables.items():
        write_text(folder / name, "".join(f"{key} {value}\n" for key, value in sorted(table.items())))


def read_table(path: str | Path) -> dict[str, str]:
    """Read a Kaldi table (`key rest of line`) in file order; byte-order marks at the beginning of lines are left out.

    Raises SecateurError for a file that is missing or not UTF-8, and for a duplicate key.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        key, *rest = line.split(maxsplit=1)
        if key in table:
            raise SecateurError(f"{path}:{number}: {key!r} occurs twice; every id must be unique")
        table[key] = rest[0].strip() if rest else ""
    return table


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file (UTF-8) of somebody's, without byte-order marks; a gzipped file is unpacked.

    Raises SecateurError for a file that is missing, damaged, or not UTF-8, naming the line.
    """
    try:
        content = Path(path).read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP) else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SecateurError(f"{path}: a damaged gzip file ({error}); make it again") from error
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; a data directory needs it") from error
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "LATIN1"
        number, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise SecateurError(
            f"{path}:{number}: not UTF-8 (byte 0x{byte:02x}); convert the file, e.g. from {encoding}: "
            f"`iconv -f {encoding} -t UTF-8 {Path(path).name} > new`"
        ) from error
    if lines[0].startswith(POINTER.decode()):
        raise pointer(path)
    return [line.removeprefix(BYTE_ORDER_MARK) for line in lines]  # files that were joined have several


def line_of(path: str | Path, key: str) -> int:
    """The number of the line of a table that begins with `key`."""
    return next(number for number, line in enumerate(read_lines(path), 1) if line.split(maxsplit=1)[:1] == [key])


def parse_segment(folder: str | Path, key: str, value: str) -> tuple[str, float, float, int | None]:
    """Read `recording start end [channel]` of a line of `segments`. Raises SecateurError if it is anything else.

    As in Kaldi's extract-segments, channels count from 0.
    """
    try:
        recording, start, end, *channel = value.split()
        if len(channel) > 1 or (channel and not channel[0].isdecimal()):
            raise ValueError
        return recording, float(start), float(end), int(channel[0]) if channel else None
    except ValueError as error:
        raise SecateurError(
            f"{Path(folder) / 'segments'}: {key!r} has {value!r}; write a recording's id, start and end in seconds, "
            "and the channel, from 0, if you want one of several"
        ) from error


def read_data_dir(folder: str | Path) -> list[Utterance]:
    """Read a data directory as written by `write_data_dir`, in order of the ids."""
    folder = Path(folder)
    audio = read_table(folder / "wav.scp")
    segments = read_table(folder / "segments") if (folder / "segments").exists() else {}
    speakers, languages, durations = (read_table(folder / name) for name in ("utt2spk", "utt2lang", "utt2dur"))

    def lookup(table: Mapping[str, str], name: str, key: str) -> str:
        try:
            return table[key]
        except KeyError as error:
            raise SecateurError(f"{folder / name}: {key!r} is missing; add a line for it") from error

    utterances = []
    for key, text in read_table(folder / "text").items():
        recording, start, end, channel = key, None, None, None
        if segments:
            recording, start, end, channel = parse_segment(folder, key, lookup(segments, "segments", key))
        utterances.append(
            Utterance(
                id=key,
                audio=lookup(audio, "wav.scp", recording),
                text=text,
                speaker=lookup(speakers, "utt2spk", key),
                language=lookup(languages, "utt2lang", key),
                duration=_seconds(folder, key, lookup(durations, "utt2dur", key)),
                start=start,
                end=end,
                recording=recording if segments else None,
                channel=channel,
            )
        )
    return utterances


def _seconds(folder: Path, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SecateurError(f"{folder / 'utt2dur'}: {key!r} has {value!r}; write its duration in seconds") from error


def speed_prefix(speed: float) -> str:
    """Kaldi's prefix of the utterance ids of a speed-perturbed copy; empty for the original speed."""
    return "" if speed == 1.0 else f"sp{speed:g}-"


def taken_by_copies(ids: Iterable[str], speeds: Iterable[float]) -> list[str]:
    """Ids that the copies of other utterances at these speeds would have, too."""
    ids = set(ids)
    prefixes = [speed_prefix(speed) for speed in speeds if speed != 1.0]
    return sorted(prefix + key for prefix in prefixes for key in ids if prefix + key in ids)


def sample(languages: Mapping[str, str], count: int, seed: int) -> list[str]:
    """`count` utterances of every language, drawn at random; of a language that has fewer, all.

    Args:
        languages: language of every utterance.
    """
    chosen = []
    for language in sorted(set(languages.values())):
        names = sorted(name for name, other in languages.items() if other == language)
        if len(names) < count:
            logging.warning("%s: %d utterances, fewer than the %d asked for", language, len(names), count)
        chosen += random.Random(f"{seed} {language}").sample(names, min(count, len(names)))
    return chosen
