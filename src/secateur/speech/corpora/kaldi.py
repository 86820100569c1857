"""Anybody's Kaldi data directories: `wav.scp` with paths, `text`, `utt2spk`, optional `segments` and `utt2lang`.

A split is the folder `{root}/{language}/{name}` or, if there is none, `{root}/{name}`, from which `utt2lang` picks
the utterances of the language; without `utt2lang` it takes all. Paths in `wav.scp` are relative to the working
directory, as in Kaldi; `~` is the home folder. A fifth column of `segments` chooses a channel, from 0.

The tables are watched: an edit is read again. Recordings are not, there may be millions.

Options: `root`; `splits`, from the split's name here to the folder's name (train, dev and test must be among them);
`normalise` (false takes transcripts as they are), `non_speech_tags`, `unknown_tags`; `channel`, of recordings with
several (null averages them).
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.core.foreign import no_folder
from secateur.speech import audio
from secateur.speech.corpora import Dropped, Prepared, fetched_record, noted
from secateur.speech.corpora.download import file_hash
from secateur.speech.corpora.transcripts import Transcripts
from secateur.speech.datadir import Utterance, line_of, parse_segment, read_table

SCHEMA = {
    "root": {
        "description": (
            "Folder of the data directories: {root}/{language}/{name}, or {root}/{name} with utt2lang "
            "where it holds several languages. Their tables are read again when they change; recordings "
            "are not watched."
        ),
        "type": "string",
    },
    "splits": {
        "description": "Folder's name of every split; train, dev and test are needed, others are further test sets.",
        "type": "object",
        "required": ["train", "dev", "test"],
        "propertyNames": {"pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "additionalProperties": {"type": "string", "format": "path"},
        "default": {"train": "train", "dev": "dev", "test": "test"},
    },
    "channel": {
        "description": (
            "Channel to hear of recordings with several, counted from 0; null averages them all. A fifth "
            "column of `segments` has precedence."
        ),
        "type": ["integer", "null"],
        "minimum": 0,
        "default": None,
    },
    "normalise": {
        "description": (
            "Lower the case, remove punctuation, spell numbers out; false takes transcripts as they are, but for tags."
        ),
        "type": "boolean",
        "default": True,
    },
}

FETCH_OPTIONS = ("root", "splits")
SPLITS = ("{splits}",)
TABLES = ("wav.scp", "segments", "text", "utt2spk", "utt2lang")
REQUIRED = ("train", "dev", "test")


def inputs(options: Mapping[str, Any], language: str) -> list[str]:
    """The tables of all splits."""
    folders = [folder for split in options["splits"] if (folder := _find(options, language, split))]
    return [str(folder / name) for folder in folders for name in TABLES if (folder / name).is_file()]


def check(options: Mapping[str, Any], language: str) -> None:
    """Raise SecateurError where a split has no folder, or its folder lacks a table."""
    for split in options["splits"]:
        folder = _folder(options, language, split)
        for name in ("wav.scp", "text", "utt2spk"):
            if not (folder / name).is_file():
                raise SecateurError(f"{folder / name}: no such file; a data directory needs it")


def fetch(options: Mapping[str, Any], language: str, cache: Path) -> None:
    """Check that every split has its tables and that `wav.scp` has paths; record checksums of the tables."""
    check(options, language)
    found = {}
    for split in options["splits"]:
        folder = _folder(options, language, split)
        _recordings(folder)
        present = [folder / name for name in TABLES if (folder / name).is_file()]
        found[split] = {"folder": str(folder), "sha256": {path.name: file_hash(path, "sha256") for path in present}}
    write_json(fetched_record(cache, language), found)


def prepare(options: Mapping[str, Any], language: str, cache: Path) -> Prepared:
    """Read all splits; durations come from the recordings' headers and `segments`."""
    fetched = read_json(fetched_record(cache, language))
    prepared: dict[str, list[Utterance]] = {}
    transcripts = Transcripts(language, options)
    broken: list[Dropped] = []
    headers: dict[str, audio.Header] = {}
    for split in options["splits"]:
        reader = _DataDir(Path(fetched[split]["folder"]), language, options["channel"])
        prepared[split] = []
        transcripts.dropped += [Dropped(key, "no transcript", split=split) for key in reader.without_transcript()]
        for key, raw in reader.texts.items():
            with noted(broken, key):
                if reader.mine(key) and (text := transcripts.read(split, key, raw)):
                    prepared[split].append(reader.utterance(key, text))
        headers |= reader.headers
    rates = Counter(header.rate for header in headers.values())
    channels = Counter(header.channels for header in headers.values())
    resampled = {str(rate): count for rate, count in sorted(rates.items()) if rate != 16000}
    several = {str(number): count for number, count in sorted(channels.items()) if number > 1}
    notes = []
    if resampled:
        notes.append(f"recordings that are resampled to 16 kHz: {_counted(resampled, 'Hz')}")
    if several:
        notes.append(f"recordings with several channels: {_counted(several, 'channels')}")
    source = {
        "name": Path(options["root"]).name,
        "description": "Kaldi data directories of the user",
        "licence": "not stated",
        "credits": "not stated",
        "synthetic": False,
        "notes": "; ".join(notes),
        "resampled": resampled,
        "tables": fetched,
        "non_speech_tags": transcripts.tags,
    }
    return Prepared(prepared, transcripts.dropped, source, broken)


def _counted(counts: Mapping[str, int], unit: str) -> str:
    """How many there are of each, for reading."""
    return ", ".join(f"{count} of {of} {unit}" for of, count in counts.items())


class _DataDir:
    """One data directory of the user's, read for one language.

    Attributes:
        texts: the transcripts as they are, by utterance.
        headers: those of the recordings looked at so far, by path.
    """

    def __init__(self, folder: Path, language: str, channel: int | None):
        def table(name: str) -> dict[str, str] | None:
            return read_table(folder / name) if (folder / name).is_file() else None

        self.folder, self.language, self.channel = folder, language, channel
        self.recordings, self.texts = _recordings(folder), read_table(folder / "text")
        self.speakers = read_table(folder / "utt2spk")
        self.segments, self.languages = table("segments") or None, table("utt2lang")
        self.headers: dict[str, audio.Header] = {}
        self._check_forms()

    def without_transcript(self) -> list[str]:
        """Ids of this language that have audio but no line in `text`."""
        keys = self.recordings if self.segments is None else self.segments
        return sorted(
            key
            for key in set(keys) - set(self.texts)
            if self.languages is None or self.languages.get(key) == self.language
        )

    def mine(self, key: str) -> bool:
        """Whether the utterance is in this language. Raises SecateurError if `utt2lang` does not say."""
        return self.languages is None or self._of(self.languages, "utt2lang", key) == self.language

    def utterance(self, key: str, text: str) -> Utterance:
        """The utterance, with its normalised text.

        Raises SecateurError for a missing speaker or recording, one that cannot be read, and a segment that cannot be.
        """
        speaker = self._of(self.speakers, "utt2spk", key)
        if self.segments is None:
            path = self._of(self.recordings, "wav.scp", key)
            return Utterance(key, path, text, speaker, self.language, self._seconds(path), channel=self.channel)
        recording, start, end, channel = parse_segment(self.folder, key, self._of(self.segments, "segments", key))
        path = self._of(self.recordings, "wav.scp", recording)
        seconds = self._seconds(path)
        end = seconds if end < 0 else end  # Kaldi: -1 is the end of the recording
        if not 0 <= start < end <= seconds + 0.5:
            raise SecateurError(
                f"{self.folder / 'segments'}: {key!r} is from {start} s to {end} s, the recording {recording!r} lasts "
                f"{seconds:.2f} s; mend the segment or remove the utterance"
            )
        end = min(end, seconds)
        channel = self.channel if channel is None else channel
        return Utterance(key, path, text, speaker, self.language, end - start, start, end, recording, channel)

    def _check_forms(self) -> None:
        """Raise SecateurError for ids that look alike but are different characters, which no table lookup would find.

        Letters with marks are written in two ways in Unicode (NFC; NFD, as in file names of macOS).
        """
        tables = {"text": self.texts, "utt2spk": self.speakers, "wav.scp": self.recordings}
        tables |= {"segments": self.segments or {}, "utt2lang": self.languages or {}}
        ids = [(key, name, key) for name, table in tables.items() for key in table]
        ids += [(value.partition(" ")[0], "segments", key) for key, value in tables["segments"].items()]
        known: dict[str, tuple[str, str, str]] = {}  # by its composed form: the id, the table, the id that its line has
        strange = {}
        for found in ids:
            if not found[0].isascii():
                form = unicodedata.normalize("NFC", found[0])
                if known.setdefault(form, found)[0] != found[0]:
                    strange.setdefault(form, found)
        if strange:
            form, (key, name, line) = next(iter(strange.items()))
            _, place, other = known[form]
            here, there = self.folder / name, self.folder / place
            raise SecateurError(
                f"{here}:{line_of(here, line)}: {key!r} looks like that of {there}:{line_of(there, other)}, but is "
                f"other characters (Unicode's forms NFC and NFD; {len(strange)} ids are so); bring all tables into one "
                f"form, e.g. `uconv -x any-nfc {name} > new`"
            )

    def _seconds(self, path: str) -> float:
        if path not in self.headers:
            self.headers[path] = audio.info(path)
        return self.headers[path].seconds

    def _of(self, table: Mapping[str, str], name: str, key: str) -> str:
        if not table.get(key):
            raise SecateurError(
                f"{self.folder / name}: {key!r} is missing; add a line for it or remove the utterance from text"
            )
        return table[key]


def _find(options: Mapping[str, Any], language: str, split: str) -> Path | None:
    """The folder of a split, if there is one."""
    root, name = Path(options["root"]), options["splits"][split]
    return next((folder for folder in (root / language / name, root / name) if folder.is_dir()), None)


def _folder(options: Mapping[str, Any], language: str, split: str) -> Path:
    missing = [name for name in REQUIRED if name not in options["splits"]]
    if missing:
        raise SecateurError(
            f"splits: {', '.join(missing)} missing; name a folder for each, e.g. "
            "splits: {train: train_si284, dev: test_dev93, test: test_eval92}"
        )
    root, folder = Path(options["root"]), _find(options, language, split)
    if not root.is_dir():
        raise no_folder(root, "corpora.<name>.root")
    if folder is None:
        name = options["splits"][split]
        raise SecateurError(
            f"{root}: neither {language}/{name} nor {name} in it, which the split {split!r} needs; make the "
            "data directory (take utterances out of train) or name others, e.g. "
            "splits: {train: my_train, dev: my_dev, test: my_test}"
        )
    return folder


def _recordings(folder: Path) -> dict[str, str]:
    """Read `wav.scp`, `~` expanded; refuse commands, which would run whatever a file says."""
    recordings = read_table(folder / "wav.scp")
    for key, path in recordings.items():
        if path.startswith("~"):
            recordings[key] = os.path.expanduser(path)
        if path.endswith("|") or path.startswith("|"):
            raise SecateurError(
                f"{folder / 'wav.scp'}: {key!r} is a command ({path[:60]}), which is not run here; write its output to "
                f"a file once, e.g. `{path.strip('| ')[:60]} > {key}.wav`, and put that file's path into wav.scp"
            )
    return recordings
