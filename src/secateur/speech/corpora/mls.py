"""Multilingual LibriSpeech (Pratap et al., Interspeech 2020) in its official layout.

`mls_{language}[_opus]/{train,dev,test}/` with `transcripts.txt` (id, text), `segments.txt` (id, source, start, end) and
`audio/{speaker}/{book}/{id}.{flac,opus}`; training lists in `train/limited_supervision/{9hr,1hr/0…5}/handles.txt`.
Read here rather than through lhotse for the reason given in `librispeech.py`.

Options: `root` (the folder around `mls_french` and so on), or `url` and `checksum` to download; `subset` of the
training set: `full`, `10h` (9h and 1h together), `9h` or `1h`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.core.foreign import no_folder
from secateur.speech import audio
from secateur.speech.corpora import Dropped, Prepared, check_language, fetched_record, noted
from secateur.speech.corpora.download import fetch_archive, file_hash
from secateur.speech.corpora.transcripts import Transcripts
from secateur.speech.datadir import Utterance, read_lines

SCHEMA = {
    "root": {"$ref": "#/$defs/root", "default": None},
    "url": {"$ref": "#/$defs/url", "default": None},
    "checksum": {"$ref": "#/$defs/checksum", "default": {}},
    "languages": {
        "description": "Languages of Multilingual LibriSpeech.",
        "items": {"enum": ["de", "en", "es", "fr", "it", "nl", "pl", "pt"]},
    },
    "subset": {
        "description": "Training set: everything, or the limited-supervision lists (10h is 9h and 1h together).",
        "enum": ["full", "10h", "9h", "1h"],
        "default": "full",
    },
}

LANGUAGES = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pl": "polish",
    "pt": "portuguese",
}
FETCH_OPTIONS = ("root", "url", "checksum")
SPLITS = ("train", "dev", "test")
SHOWN = {
    "hours": {
        "subset": {
            "full": {"de": 1967, "en": 44660, "es": 918, "fr": 1077, "it": 247, "nl": 1554, "pl": 104, "pt": 161},
            "10h": 10,
            "9h": 9,
            "1h": 1,
        }
    },
    "source": "Pratap et al. 2020",
}
SUBSETS = {"full": None, "10h": ("9hr", "1hr"), "9h": ("9hr",), "1h": ("1hr",)}


def inputs(options: Mapping[str, Any], language: str) -> list[str]:
    """Transcripts and segments, where they are the user's own; the lists of subsets."""
    folder = _find(Path(options["root"]), language) if options["root"] else None
    return [str(path) for path in _tables(folder)] if folder else []


def fetch(options: Mapping[str, Any], language: str, cache: Path) -> None:
    """Check that the language is there, or download it; record where."""
    check_language(options, language, LANGUAGES)
    name, archive = LANGUAGES[language], {}
    if options["root"]:
        base = Path(options["root"])
        if not base.is_dir():
            raise no_folder(base, "corpora.<name>.root")
    elif options["url"]:
        base = Path(cache) / language / "archive"
        archive = fetch_archive(options["url"].format(language=name), options["checksum"], base)
    else:
        raise SecateurError(
            "corpora.<name> with recipe 'mls': neither root nor url is set; set root to the folder around mls_*"
        )
    folder = _find(base, language)
    if folder is None:
        raise SecateurError(f"{base}: no folder mls_{name} or mls_{name}_opus in it; mend root")
    tables = {str(path.relative_to(folder)): file_hash(path, "sha256") for path in _tables(folder)}
    write_json(fetched_record(cache, language), {"folder": str(folder), "archive": archive, "sha256": tables})


def prepare(options: Mapping[str, Any], language: str, cache: Path) -> Prepared:
    """Read the three splits. Durations come from `segments.txt`, else from the files' headers."""
    fetched = read_json(fetched_record(cache, language))
    folder, subset = Path(fetched["folder"]), options["subset"]
    wanted = handles(folder, subset)
    prepared: dict[str, list[Utterance]] = {}
    transcripts = Transcripts(language, options)
    broken: list[Dropped] = []
    for split in SPLITS:
        prepared[split] = []
        seconds = {row[0]: float(row[3]) - float(row[2]) for row in _rows(folder / split / "segments.txt", 4)}
        texts = dict(_rows(folder / split / "transcripts.txt", 2))
        for key in sorted(seconds.keys() - texts.keys()):
            if split != "train" or wanted is None or key in wanted:
                transcripts.dropped.append(Dropped(key, "recording without transcript", split=split))
        for key, raw in texts.items():
            if split == "train" and wanted is not None and key not in wanted:
                continue
            with noted(broken, key):
                text = transcripts.read(split, key, raw)
                if not text:
                    continue
                path = recording(folder / split, key)
                if key not in seconds:
                    seconds[key] = audio.info(path).seconds
                prepared[split].append(Utterance(key, str(path), text, key.split("_")[0], language, seconds[key]))
    source = {
        "name": "Multilingual LibriSpeech",
        "description": "Read audio books",
        "licence": "CC BY 4.0",
        "credits": "V. Pratap, Q. Xu, A. Sriram, G. Synnaeve, R. Collobert; LibriVox readers",
        "synthetic": False,
        "notes": f"training subset: {subset}",
        "non_speech_tags": transcripts.tags,
        "archives": {LANGUAGES[language]: fetched["archive"]} if fetched["archive"] else {},
    }
    return Prepared(prepared, transcripts.dropped, source, broken)


def handles(folder: Path, subset: str) -> set[str] | None:
    """Ids of a limited-supervision list; None stands for the full training set."""
    if SUBSETS[subset] is None:
        return None
    ids: set[str] = set()
    for name in SUBSETS[subset]:
        lists = sorted((folder / "train" / "limited_supervision" / name).rglob("handles.txt"))
        if not lists:
            raise SecateurError(
                f"{folder / 'train' / 'limited_supervision' / name}: no handles.txt, which subset {subset!r} needs; "
                "unpack the whole archive or set subset to full"
            )
        ids.update(line.strip() for path in lists for line in read_lines(path))
    return ids - {""}


def recording(folder: Path, key: str) -> Path:
    """Path of an utterance: `audio/{speaker}/{book}/{id}.flac` or `.opus`."""
    base = folder / "audio" / Path(*key.split("_")[:2])
    for suffix in (".flac", ".opus"):
        if (base / f"{key}{suffix}").exists():
            return base / f"{key}{suffix}"
    raise SecateurError(f"{base}: no {key}.flac or {key}.opus, but transcripts.txt has it; unpack the archive again")


def _find(base: Path, language: str) -> Path | None:
    """The folder of a language below `base`, if there is one."""
    name = LANGUAGES[language]
    return next((base / folder for folder in (f"mls_{name}", f"mls_{name}_opus") if (base / folder).is_dir()), None)


def _tables(folder: Path) -> list[Path]:
    """The small files that say what the splits hold, as far as they exist."""
    tables = [folder / split / name for split in SPLITS for name in ("transcripts.txt", "segments.txt")]
    lists = sorted((folder / "train" / "limited_supervision").rglob("handles.txt"))
    return [path for path in [*tables, *lists] if path.is_file()]


def _rows(path: Path, columns: int) -> Iterator[list[str]]:
    """Yield the rows of a tab-separated file. `segments.txt` may be missing, `transcripts.txt` may not."""
    if path.name == "segments.txt" and not path.exists():
        return
    if not path.exists():
        raise SecateurError(f"{path}: no such file; unpack the archive again or mend root")
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        row = line.split("\t")
        if line.strip():
            if len(row) != columns:
                raise SecateurError(f"{path}:{number}: {len(row)} columns, wanted {columns}; unpack the archive again")
            yield row
