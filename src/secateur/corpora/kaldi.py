"""Anybody's Kaldi data directories: `wav.scp` with paths, `text`, `utt2spk`, optional `segments` and `utt2lang`.

A split is the folder `{root}/{language}/{name}` or, if there is none, `{root}/{name}`, from which `utt2lang` picks
the utterances of the language; without `utt2lang` it takes all. Paths in `wav.scp` are relative to the working
directory, as in Kaldi.

The tables are watched: an edit is read again. Recordings are not, there may be millions.

Options: `root`; `splits`, from the split's name here to the folder's name (train, dev and test must be among them);
`normalise` (false takes transcripts as they are).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur import audio
from secateur.corpora import Dropped, Prepared, fetched_record, noted
from secateur.corpora.download import file_hash
from secateur.corpora.text import normalise
from secateur.datadir import Utterance, parse_segment, read_table
from secateur.errors import SecateurError
from secateur.files import read_json, write_json

FETCH_OPTIONS = ("root", "splits")
TABLES = ("wav.scp", "segments", "text", "utt2spk", "utt2lang")
REQUIRED = ("train", "dev", "test")


def splits(options: Mapping[str, Any]) -> list[str]:
    """Names of the splits: train, dev, test and whatever else `splits` names."""
    return list(options["splits"])


def inputs(options: Mapping[str, Any], language: str) -> list[str]:
    """The tables of all splits."""
    folders = [folder for split in splits(options) if (folder := _find(options, language, split))]
    return [str(folder / name) for folder in folders for name in TABLES if (folder / name).is_file()]


def fetch(options: Mapping[str, Any], language: str, cache: Path) -> None:
    """Check that every split has its tables and that `wav.scp` has paths; record checksums of the tables."""
    found = {}
    for split in splits(options):
        folder = _folder(options, language, split)
        for name in ("wav.scp", "text", "utt2spk"):
            if not (folder / name).is_file():
                raise SecateurError(f"{folder / name}: no such file; a data directory needs it")
        _recordings(folder)
        present = [folder / name for name in TABLES if (folder / name).is_file()]
        found[split] = {"folder": str(folder), "sha256": {path.name: file_hash(path, "sha256") for path in present}}
    write_json(fetched_record(cache, language), found)


def prepare(options: Mapping[str, Any], language: str, cache: Path) -> Prepared:
    """Read all splits; durations come from the recordings' headers and `segments`."""
    fetched = read_json(fetched_record(cache, language))
    prepared: dict[str, list[Utterance]] = {}
    dropped: list[Dropped] = []
    rates: dict[str, set[str]] = {}
    for split in splits(options):
        utterances, left_out = read_split(Path(fetched[split]["folder"]), options, language, rates)
        prepared[split] = utterances
        dropped += left_out
    resampled = {rate: len(paths) for rate, paths in sorted(rates.items()) if rate != "16000"}
    source = {
        "name": Path(options["root"]).name,
        "description": "Kaldi data directories of the user",
        "licence": "not stated",
        "credits": "not stated",
        "synthetic": False,
        "notes": f"recordings that are resampled to 16 kHz, by rate in Hz: {resampled}" if resampled else "",
        "resampled": resampled,
        "tables": fetched,
    }
    return Prepared(prepared, dropped, source)


def read_split(
    folder: Path, options: Mapping[str, Any], language: str, rates: dict[str, set[str]]
) -> tuple[list[Utterance], list[Dropped]]:
    """Read one data directory; add every recording's path to `rates[its rate in Hz]`.

    Raises SecateurError naming the utterance that has no speaker, language or recording, or a segment that cannot be.
    """
    recordings = _recordings(folder)
    segments = read_table(folder / "segments") if (folder / "segments").is_file() else None
    speakers = read_table(folder / "utt2spk")
    languages = read_table(folder / "utt2lang") if (folder / "utt2lang").is_file() else None
    lengths: dict[str, float] = {}
    utterances, dropped = [], []
    texts = read_table(folder / "text")
    for key in sorted(set(recordings if segments is None else segments) - set(texts)):
        dropped.append(Dropped(key, "no transcript"))
    for key, raw in texts.items():
        if languages is not None and _of(languages, folder / "utt2lang", key) != language:
            continue
        speaker = _of(speakers, folder / "utt2spk", key)
        if key in options.get("exclude", ()):
            dropped.append(Dropped(key, "excluded", raw))
            continue
        text = normalise(raw, language) if options.get("normalise", True) else " ".join(raw.split())
        if not text:
            dropped.append(Dropped(key, "no transcript", raw))
            continue
        recording, start, end = key, None, None
        if segments is not None:
            recording, start, end = parse_segment(folder, key, _of(segments, folder / "segments", key))
        path = _of(recordings, folder / "wav.scp", recording)
        if recording not in lengths:
            frames, rate = audio.info(path)
            lengths[recording] = frames / rate
            rates.setdefault(str(rate), set()).add(path)
        duration = lengths[recording]
        if start is not None:
            end = lengths[recording] if end < 0 else end  # Kaldi: -1 is the end of the recording
            if not 0 <= start < end <= lengths[recording] + 0.5:
                raise SecateurError(
                    f"{folder / 'segments'}: {key!r} is from {start} s to {end} s, the recording {recording!r} lasts "
                    f"{lengths[recording]:.2f} s; mend the segment or remove the utterance"
                )
            end = min(end, lengths[recording])
            duration = end - start
        utterances.append(
            Utterance(
                key, path, text, speaker, language, duration, start, end, recording if segments is not None else None
            )
        )
    return utterances, dropped


def _folders(options: Mapping[str, Any]) -> dict[str, str]:
    """Folder's name of every split."""
    return options.get("splits") or {name: name for name in REQUIRED}


def _folder(options: Mapping[str, Any], language: str, split: str) -> Path:
    root = Path(options["root"])
    missing = [name for name in REQUIRED if name not in _folders(options)]
    if missing:
        raise SecateurError(
            f"splits: {', '.join(missing)} missing; name a folder for each, e.g. "
            "splits: {train: train_si284, dev: test_dev93, test: test_eval92}"
        )
    name = _folders(options)[split]
    for folder in (root / language / name, root / name):
        if folder.is_dir():
            return folder
    raise SecateurError(
        f"{root}: neither {language}/{name} nor {name} in it, which the split {split!r} needs; make the data directory "
        "(take utterances out of train) or name others, e.g. splits: {train: my_train, dev: my_dev, test: my_test}"
    )


def _recordings(folder: Path) -> dict[str, str]:
    """Read `wav.scp`; refuse commands, which would run whatever a file says."""
    recordings = read_table(folder / "wav.scp")
    for key, path in recordings.items():
        if path.endswith("|") or path.startswith("|"):
            raise SecateurError(
                f"{folder / 'wav.scp'}: {key!r} is a command ({path[:60]}), which is not run here; write its output to "
                f"a file once, e.g. `{path.strip('| ')[:60]} > {key}.wav`, and put that file's path into wav.scp"
            )
    return recordings


def _of(table: Mapping[str, str], path: Path, key: str) -> str:
    if not table.get(key):
        raise SecateurError(f"{path}: {key!r} is missing; add a line for it or remove the utterance from text")
    return table[key]
