"""Kaldi-style data directories: `wav.scp`, optional `segments`, `text`, `utt2spk`, `utt2lang`, `utt2dur`."""

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.files import write_text


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


def write_data_dir(folder: str | Path, utterances: Iterable[Utterance]) -> None:
    """Write `utterances`, sorted by id as Kaldi wants, as a data directory.

    Raises SecateurError for a duplicate id, an id with white space, or an audio path with a line break.
    """
    folder = Path(folder)
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    tables: dict[str, dict[str, str]] = {
        name: {} for name in ("wav.scp", "segments", "text", "utt2spk", "utt2lang", "utt2dur")
    }
    segmented = any(utterance.start is not None for utterance in ordered)  # then Kaldi wants a segment for everyone
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
            tables["segments"][utterance.id] = f"{recording} {start:.3f} {end:.3f}"
        tables["text"][utterance.id] = utterance.text
        tables["utt2spk"][utterance.id] = utterance.speaker
        tables["utt2lang"][utterance.id] = utterance.language
        tables["utt2dur"][utterance.id] = f"{utterance.duration:.3f}"
    (folder / "segments").unlink(missing_ok=True)
    for name, table in tables.items():
        if table or name != "segments":
            write_text(folder / name, "".join(f"{key} {value}\n" for key, value in sorted(table.items())))


def read_table(path: str | Path) -> dict[str, str]:
    """Read a Kaldi table (`key rest of line`) in file order. Raises SecateurError for a duplicate key."""
    path = Path(path)
    table: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; a data directory needs it") from error
    except UnicodeDecodeError as error:
        raise SecateurError(f"{path}: not UTF-8 (byte {error.start}); convert it, e.g. with iconv") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key, *rest = line.split(maxsplit=1)
        if key in table:
            raise SecateurError(f"{path}:{number}: {key!r} occurs twice; every id must be unique")
        table[key] = rest[0].strip() if rest else ""
    return table


def parse_segment(folder: str | Path, key: str, value: str) -> tuple[str, float, float]:
    """Read `recording start end` of a line of `segments`. Raises SecateurError if it is anything else."""
    try:
        recording, start, end = value.split()
        return recording, float(start), float(end)
    except ValueError as error:
        raise SecateurError(
            f"{Path(folder) / 'segments'}: {key!r} has {value!r}; write a recording's id, start and end in seconds"
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
        recording, start, end = key, None, None
        if segments:
            recording, start, end = parse_segment(folder, key, lookup(segments, "segments", key))
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
            )
        )
    return utterances


def _seconds(folder: Path, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SecateurError(f"{folder / 'utt2dur'}: {key!r} has {value!r}; write its duration in seconds") from error


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
