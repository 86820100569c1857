"""Asterisk core sounds: the prompts of a telephone exchange, recorded by one professional speaker per language.

Debian and Ubuntu carry the transcripts (`asterisk-core-sounds-XX`) and the recordings in G.722, 16 kHz (`…-XX-g722`).
`apt-get download` fetches them without root; nothing is installed. About 24 minutes a language. Transcripts are one
`id: text` a line; `;` starts a comment.

Options: `root` (folder with the `.deb` files, or with their unpacked contents; null downloads), `dev_utterances`,
`test_utterances`, `max_seconds`.
"""

import gzip
import hashlib
import re
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, written_aside
from secateur.core.foreign import no_folder, pointer
from secateur.speech import audio
from secateur.speech.corpora import Dropped, Prepared, check_language, fetched_record
from secateur.speech.corpora import text as texts
from secateur.speech.corpora.splits import closed_vocabulary
from secateur.speech.datadir import Utterance

SCHEMA = {
    "languages": {
        "description": "`ru` is meant for self-supervised training: its transcripts are Cyrillic.",
        "items": {"enum": ["en", "es", "fr", "it", "ru"]},
    },
    "root": {
        "description": (
            "Folder with the Debian packages asterisk-core-sounds-XX and asterisk-core-sounds-XX-g722, as "
            ".deb files or unpacked; null downloads them with apt-get into data/."
        ),
        "type": ["string", "null"],
        "default": None,
    },
    "dev_utterances": {
        "description": "Size of each language's dev set; less where too few prompts can be held out.",
        "$ref": "#/$defs/size",
        "default": 40,
    },
    "test_utterances": {
        "description": "Size of each language's test set; less where too few prompts can be held out.",
        "$ref": "#/$defs/size",
        "default": 100,
    },
    "max_seconds": {
        "description": "Longer prompts are dropped.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 45,
    },
}

CREDITS = {  # from the packages' copyright files
    "en": ("CC BY-SA 3.0", "Allison Smith"),
    "es": ("CC BY-SA 3.0", "Allison Smith"),
    "fr": ("CC BY-SA 3.0", "June Wallack"),
    "it": ("CC BY 3.0", "Carlo Flora"),
    "ru": ("CC BY 3.0", "Maxim Topal (ivrvoice.ru)"),
}
NOTES = {
    "es": "The transcripts lack most accents and every tilde (numero, contrasena); they are used as they are.",
    "fr": "Some transcripts lack accents (etait, numero) or have spelling mistakes; they are used as they are.",
}
SOUNDS = re.compile(r"silence/|(beep|beeperr|(a|de)scending-2tone|confbridge-(join|leave)|tt-monkeys)$")
KNOWN_MISTAKES = {"fr": {"digits/h-80": "the transcript is that of digits/h-70"}}
KEYS = {"en": {"*": "star", "#": "pound"}, "fr": {"*": "étoile", "#": "dièse"}}

FETCH_OPTIONS = ("root",)
SPLITS = ("train", "dev", "test")
MIN_SECONDS = 0.2
RATE_RANGE = (0.45, 1.55)  # characters per second of a line of text, relative to the language's median
RATE_CHARACTERS = 20

WAYS_OUT = (
    "set corpora.<name>.root in config.yaml to a folder with the files "
    "(packages asterisk-core-sounds-{language} and asterisk-core-sounds-{language}-g722, as .deb or unpacked), "
    "or run `make results STUDY=synthetic`, which needs no download"
)


def fetch(options: Mapping[str, Any], language: str, cache: Path) -> None:
    """Find or download the two packages of `language`, unpack them under `cache`, record versions and checksums.

    Raises SecateurError, with the two ways out, when there is neither apt nor a `root` with the files.
    """
    check_language(options, language, CREDITS)
    folder = Path(cache) / language
    root = Path(options["root"]) if options["root"] else None
    packages = [f"asterisk-core-sounds-{language}", f"asterisk-core-sounds-{language}-g722"]
    if root and not root.is_dir():
        raise SecateurError(f"{no_folder(root, 'corpora.<name>.root')}; {_ways_out(language)}")
    archives = [_archive(root or folder, package) for package in packages]
    if not root:
        missing = [package for package, archive in zip(packages, archives, strict=True) if not archive]
        if missing:
            _download(missing, folder, language)
        archives = [_archive(folder, package) for package in packages]
    if all(archives):
        trees = [_unpack(archive, folder) for archive in archives]
        files = {archive.name: hashlib.sha256(archive.read_bytes()).hexdigest() for archive in archives}
    else:
        trees, files = [root], {}
    transcripts, sounds = _locate(trees, language)
    if not files:
        files = {transcripts.name: hashlib.sha256(transcripts.read_bytes()).hexdigest()}
    write_json(
        fetched_record(cache, language),
        {
            "versions": {archive.name.split("_")[0]: archive.name.split("_")[1] for archive in archives if archive},
            "sha256": files,
            "transcripts": str(transcripts),
            "sounds": str(sounds),
        },
    )


def prepare(options: Mapping[str, Any], language: str, cache: Path) -> Prepared:
    """Clean the transcripts, drop what is not usable speech, split with a closed vocabulary."""
    fetched = read_json(fetched_record(cache, language))
    sounds = Path(fetched["sounds"])
    recordings = {path.relative_to(sounds).with_suffix("").as_posix(): path for path in sounds.rglob("*.g722")}
    entries = list(read_transcripts(Path(fetched["transcripts"])))
    dropped = [
        Dropped(_utterance_id(key, language), "recording without transcript")
        for key in sorted(set(recordings) - {_match(key, recordings) for key, _ in entries})
    ]
    speaker = sounds.name.rpartition("_")[2].lower()
    occurrences = Counter(key for key, _ in entries)
    utterances = []
    for key, raw in entries:
        name = _utterance_id(key, language)
        recording = _match(key, recordings)
        text, problem = transcript(key, raw, language, occurrences)
        if not problem and occurrences[key] > 1:
            problem = "id occurs twice"
        if not problem and recording is None:
            problem = "no recording"
        if problem:
            dropped.append(Dropped(name, problem, raw))
            continue
        path = recordings[recording]
        seconds = path.stat().st_size / audio.G722_BYTES_PER_SECOND
        if seconds < MIN_SECONDS:
            dropped.append(Dropped(name, f"shorter than {MIN_SECONDS} s", f"{seconds:.3f} s: {raw}"))
        elif seconds > options["max_seconds"]:
            dropped.append(Dropped(name, "longer than max_seconds", f"{seconds:.1f} s: {raw}"))
        else:
            utterances.append(Utterance(name, str(path), text, speaker, language, seconds))
    utterances, misfits = drop_misfits(utterances)
    chosen = closed_vocabulary(utterances, options["dev_utterances"], options["test_utterances"])
    licence, voice = CREDITS[language]
    source = {
        "name": "Asterisk core sounds",
        "description": "Telephone prompts read by one professional speaker, G.722, 16 kHz",
        "licence": licence,
        "credits": f"voice: {voice}; Asterisk project, Sangoma (Digium)",
        "synthetic": False,
        "versions": fetched["versions"],
        "sha256": fetched["sha256"],
        "notes": NOTES.get(language, ""),
    }
    return Prepared(chosen, dropped + misfits, source)


def read_transcripts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of every line of a `core-sounds-XX.txt[.gz]`; comments and byte-order mark are left out."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as stream:
            for line in stream:
                key, colon, text = line.strip().partition(":")
                if colon and not key.startswith(";"):
                    yield key.strip(), text.strip()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise SecateurError(f"{path}: cannot be read as transcripts ({error}); fetch the package again") from error


def transcript(key: str, raw: str, language: str, keys: Mapping[str, int]) -> tuple[str, str]:
    """Return (normalised text, "") or ("", reason why the line is not used). `keys` are all ids of the file."""
    if SOUNDS.match(key) or re.fullmatch(r"[\[(<].*[\])>]", raw):
        return "", "not speech"
    if not raw:
        return "", "no transcript"
    if key in KNOWN_MISTAKES.get(language, {}):
        return "", "known mistake in the transcript"
    if any("-" in word and word in keys for word in re.findall(r"([\w/-]+):", raw)):
        return "", "two entries on one line"
    text = re.sub(r"[\[(][^\w\])]*[\])]", " ", raw)  # `dash [-]`: the symbol that the word stands for
    if re.search(r"[\[(<]", text):
        return "", "remark in brackets: unclear what is spoken"
    if re.search(r"\?\s*(?=[^\W\d_])(?![A-ZÀ-Þ])", text):
        return "", "accent lost to a question mark"
    if re.search(r"\d{3}|\d[.,]\d|\d[^\W\d_]{3}|[A-Za-z]-?\.?\d", text):
        return "", "digits that may be read in several ways"
    if re.search(r"\w\.\w{2,}\.\w", text):
        return "", "internet address"
    for symbol, word in KEYS.get(language, {}).items():
        text = text.replace(symbol, f" {word} ")
    if re.search(r"[*#/%&@+=<>|\\^~$]", text):
        return "", "symbol that may be read in several ways"
    if language == "it":
        text = re.sub(r"\bE'(?!\w)", "È", text)
    return texts.transcript(text, language)


def drop_misfits(utterances: list[Utterance]) -> tuple[list[Utterance], list[Dropped]]:
    """Drop utterances whose duration cannot be that of their transcript.

    Judged by characters per second against the median of the language's lines of at least RATE_CHARACTERS characters.
    """
    rates = {
        utterance.id: len(utterance.text) / utterance.duration
        for utterance in utterances
        if len(utterance.text) >= RATE_CHARACTERS
    }
    median = statistics.median(rates.values()) if rates else 0.0
    low, high = (factor * median for factor in RATE_RANGE)
    wrong = {name: rate for name, rate in rates.items() if not low <= rate <= high}
    dropped = [
        Dropped(
            utterance.id,
            "duration does not fit the transcript",
            f"{wrong[utterance.id]:.1f} characters per second, the median is {median:.1f}: {utterance.text}",
        )
        for utterance in utterances
        if utterance.id in wrong
    ]
    return [utterance for utterance in utterances if utterance.id not in wrong], dropped


def _utterance_id(key: str, language: str) -> str:
    return f"{language}-{key.replace('/', '_')}"


def _match(key: str, recordings: Mapping[str, Path]) -> str | None:
    """The recording of `key`; case differs in a few entries (`letters/O`, `digits/1f`)."""
    if key in recordings:
        return key
    return {name.lower(): name for name in recordings}.get(key.lower())


def _archive(folder: Path, package: str) -> Path | None:
    """The newest `.deb` of `package` in `folder`."""
    return max(folder.glob(f"{package}_*.deb"), default=None)


def _download(packages: list[str], folder: Path, language: str) -> None:
    """Download with apt into `folder`, through package lists of our own where the system has none, or old ones."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".apt-") as private:
        base = Path(private).resolve()
        for needed in ("lists/partial", "cache/archives/partial", "download"):
            (base / needed).mkdir(parents=True)
        common = ["-q", "-o", "APT::Sandbox::User=root"]  # else apt, as root, warns that _apt cannot write here
        own_lists = [*common, "-o", f"Dir::State::Lists={base}/lists", "-o", f"Dir::Cache={base}/cache"]
        try:
            _apt([*common, "download", *packages], base / "download", language)
        except SecateurError:
            _apt([*own_lists, "update"], base / "download", language)
            _apt([*own_lists, "download", *packages], base / "download", language)
        for archive in (base / "download").glob("*.deb"):
            archive.replace(folder / archive.name)


def _apt(arguments: list[str], folder: Path, language: str) -> None:
    try:
        answer = subprocess.run(
            ["apt-get", *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise SecateurError(f"apt-get: not on this machine; {_ways_out(language)}") from error
    if answer.returncode:
        lines = [line for line in answer.stderr.splitlines() if line.startswith("E:")] or ["no message"]
        raise SecateurError(f"apt-get {arguments[-1]} failed ({lines[-1]}); {_ways_out(language)}")


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack a `.deb` below `folder`, once, and return the tree."""
    tree = folder / archive.stem
    if tree.is_dir():
        return tree
    with written_aside(tree) as aside:
        try:
            answer = subprocess.run(["dpkg-deb", "-x", str(archive), str(aside)], capture_output=True, text=True)
        except FileNotFoundError as error:
            raise SecateurError(
                f"{archive}: dpkg-deb is not on this machine to unpack it; unpack it elsewhere and set "
                "corpora.<name>.root in config.yaml to the unpacked tree"
            ) from error
        if answer.returncode:
            raise pointer(archive) or SecateurError(
                f"{archive}: cannot be unpacked ({answer.stderr.strip()}); delete the file and run again"
            )
    return tree


def _locate(trees: list[Path], language: str) -> tuple[Path, Path]:
    """The transcript file and the folder of recordings of `language` below `trees`."""
    texts = sorted(path for tree in trees for path in tree.rglob(f"core-sounds-{language}.txt*"))
    sounds = sorted(
        path
        for tree in trees
        for path in tree.rglob(f"{language}_*")
        if path.is_dir() and next(path.rglob("*.g722"), None)
    )
    if not texts or not sounds:
        missing = f"core-sounds-{language}.txt.gz" if not texts else f"{language}_*/*.g722"
        raise SecateurError(f"{trees[0]}: no {missing} in it; {_ways_out(language)}")
    return texts[0], sounds[0]


def _ways_out(language: str) -> str:
    return WAYS_OUT.format(language=language)
