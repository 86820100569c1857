"""LibriSpeech (Panayotov et al., ICASSP 2015) in its official layout: `{part}/{speaker}/{chapter}/*.flac, *.trans.txt`.

Read here rather than through lhotse: the layout takes a few lines, lhotse brings a dozen packages and its own
manifests, which would have to be turned into data directories all the same.

Options: `root` (the folder `LibriSpeech`, or the one around it), or `url` and `checksum` to download; `train`, `dev`
and `test`, lists of parts. Each test part is a split of its own name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.core.foreign import no_folder
from secateur.speech import audio
from secateur.speech.corpora import Dropped, Prepared, check_language, fetched_record, noted
from secateur.speech.corpora.download import fetch_archive
from secateur.speech.corpora.transcripts import Transcripts
from secateur.speech.datadir import Utterance, read_lines

SCHEMA = {
    "root": {"$ref": "#/$defs/root", "default": None},
    "url": {"$ref": "#/$defs/url", "default": None},
    "checksum": {"$ref": "#/$defs/checksum", "default": {}},
    "languages": {"items": {"enum": ["en"]}, "description": "LibriSpeech is English."},
    "train": {"$ref": "#/$defs/parts", "default": ["train-clean-100"], "description": "Parts to train on."},
    "dev": {"$ref": "#/$defs/parts", "default": ["dev-clean", "dev-other"], "description": "Parts of the dev set."},
    "test": {
        "$ref": "#/$defs/parts",
        "default": ["test-clean", "test-other"],
        "description": "Parts to test on; each is a split of its own.",
    },
}

FETCH_OPTIONS = ("root", "url", "checksum", "train", "dev", "test")
SPLITS = ("train", "dev", "{test}")
SHOWN = {
    "hours": {"train": {"train-clean-100": 100.6, "train-clean-360": 363.6, "train-other-500": 496.7}},
    "source": "Panayotov et al. 2015",
}


def fetch(options: Mapping[str, Any], language: str, cache: Path) -> None:
    """Check that every part is there, or download it; record where."""
    check_language(options, language, ["en"])
    folders, archives = {}, {}
    for part in sorted({part for parts in _parts(options).values() for part in parts}):
        if options["root"]:
            base = Path(options["root"])
            if not base.is_dir():
                raise no_folder(base, "corpora.<name>.root")
        elif options["url"]:
            base = Path(cache) / language / part
            archives[part] = fetch_archive(options["url"].format(part=part), options["checksum"], base)
        else:
            raise SecateurError(
                "corpora.<name> with recipe 'librispeech': neither root nor url is set; set root to the folder "
                "LibriSpeech"
            )
        found = [folder for folder in (base / part, base / "LibriSpeech" / part) if folder.is_dir()]
        if not found:
            there = sorted({path.name for path in (*base.glob("*/"), *base.glob("LibriSpeech/*/"))} - {"LibriSpeech"})
            raise SecateurError(
                f"{base}: no folder {part} or LibriSpeech/{part} in it, only {', '.join(there) or 'none'}; mend root, "
                "or train, dev and test of the corpus"
            )
        folders[part] = str(found[0])
    write_json(fetched_record(cache, language), {"folders": folders, "archives": archives})


def prepare(options: Mapping[str, Any], language: str, cache: Path) -> Prepared:
    """Read all parts. Durations come from the files' headers."""
    fetched = read_json(fetched_record(cache, language))
    prepared: dict[str, list[Utterance]] = {}
    read = Transcripts(language, options)
    broken: list[Dropped] = []
    for split, parts in _parts(options).items():
        prepared[split] = []
        for part in parts:
            for key, raw, path in transcripts(Path(fetched["folders"][part])):
                if raw is None:
                    read.dropped.append(Dropped(key, "recording without transcript", str(path), split))
                    continue
                with noted(broken, key):
                    text = read.read(split, key, raw)
                    if not text:
                        continue
                    seconds = audio.info(path).seconds
                    prepared[split].append(Utterance(key, str(path), text, key.split("-")[0], language, seconds))
    source = {
        "name": "LibriSpeech",
        "description": "Read English audio books",
        "licence": "CC BY 4.0",
        "credits": "V. Panayotov, G. Chen, D. Povey, S. Khudanpur; LibriVox readers",
        "synthetic": False,
        "notes": "; ".join(f"{split}: {', '.join(parts)}" for split, parts in _parts(options).items()),
        "archives": fetched["archives"],
        "non_speech_tags": read.tags,
    }
    return Prepared(prepared, read.dropped, source, broken)


def transcripts(folder: Path) -> Iterator[tuple[str, str | None, Path]]:
    """Yield (utterance id, transcript, path of the FLAC file) of one part, in order.

    The transcript is None for a recording that no line of its chapter's `trans.txt` names, or without such a file.
    """
    for chapter in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        lines = [line for table in sorted(chapter.glob("*.trans.txt")) for line in read_lines(table)]
        texts = {key: text for key, _, text in (line.partition(" ") for line in lines) if key}
        for key in sorted(texts | {path.stem: "" for path in chapter.glob("*.flac")}):
            yield key, texts.get(key), chapter / f"{key}.flac"


def _parts(options: Mapping[str, Any]) -> dict[str, list[str]]:
    """The parts of every split."""
    return {"train": options["train"], "dev": options["dev"], **{part: [part] for part in options["test"]}}
