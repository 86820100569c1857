"""Speaker identification.

On data directories: whose voice it is, from `seconds` out of the middle of a prompt. The default corpus has four voices
in five languages: few classes, known from training (as in SUPERB), and all but one of them tied to a language and its
recording equipment, so the task is easy, and what it tells is whether an upstream throws the voice away. Every voice
gives the same number of clips, spread evenly over its languages.

Official: VoxCeleb1 (Nagrani et al. 2017) with `iden_split.txt`: 1251 speakers.
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.speech.datadir import Utterance
from secateur.ssl.tasks import SPLITS, Data, Item, Metric, Result, Task, classify, prompts
from secateur.ssl.tasks.clips import middle, recording
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden

OFFICIAL = ("split_file",)
SHOWN = {"order": 80}
SCHEMA = {
    "split_file": {"type": ["string", "null"], "format": "path", "default": None, "description": "`iden_split.txt`."},
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "seconds": {"type": "number", "exclusiveMinimum": 0, "default": 1.0, "description": "Length of a clip."},
    "clips": {"$ref": "#/$defs/clips", "default": {}},
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "crop": {"$ref": "#/$defs/crop", "default": "middle"},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "balance": {"$ref": "#/$defs/balance", "default": False},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task("sid", "speaker identification", (Metric("acc", higher=True),), pooled=True)
USES = {"1": "train", "2": "dev", "3": "test"}


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, seconds, and clips: {train, dev, test} per voice. A voice that has fewer gives all."""
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    items: dict[str, list[Item]] = {}
    voices: dict[str, set[str]] = {}
    for split in SPLITS:
        by_voice: dict[str, dict[str, list[Utterance]]] = defaultdict(lambda: defaultdict(list))
        for utterance in prompts.joined(chosen, split):
            by_voice[utterance.speaker][utterance.language].append(utterance)
        items[split] = []
        for voice, languages in sorted(by_voice.items()):
            voices.setdefault(voice, set()).update(languages)
            for place, (_, utterances) in enumerate(sorted(languages.items())):
                share = (options["clips"][split] + place) // len(languages)
                members = prompts.drawn(utterances, share, "voices")
                items[split] += [Item(middle(utterance, options["seconds"]), (voice,)) for utterance in members]
    if len(voices) < 2:
        raise SecateurError(
            f"sid: one speaker only, {', '.join(voices)}; add languages or leave sid out of ssl[].tasks"
        )
    names = "; ".join(f"{voice} ({', '.join(sorted(languages))})" for voice, languages in sorted(voices.items()))
    return Data(
        items,
        notes=f"{len(voices)} voices known from training: {names}; {prompts.counts(items)}",
        chance={"acc": classify.majority(items)},
        confounded=prompts.one_voice_each(chosen),
    )


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (with `dev/wav/{speaker}/{video}/*.wav` and `test/wav/…`), split_file (`iden_split.txt`),
    max_seconds (of training clips), crop (where longer ones are cut)."""
    root = Path(options["root"])
    items: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for number, line in enumerate(_lines(Path(options["split_file"])), 1):
        use, _, name = line.partition(" ")
        if use not in USES or not name:
            raise SecateurError(f"{options['split_file']}:{number}: {line!r}; wanted is 1, 2 or 3 and a path")
        clip = recording(str(find(root, name)), name=name.removesuffix(".wav").replace("/", "-"))
        if USES[use] == "train" and options["crop"] == "middle":
            clip = middle(Utterance(clip.id, clip.parts[0].audio, "", "", "", clip.seconds), options["max_seconds"])
        items[USES[use]].append(Item(clip, (name.split("/")[0],)))
    return Data(
        items,
        notes=f"VoxCeleb1; {prompts.counts(items)}",
        chance={"acc": classify.majority(items)},
        crops=prompts.crops(options),
    )


def find(root: Path, name: str) -> Path:
    """The file `id10001/1zcIwhmdeo4/00001.wav` below VoxCeleb1's root."""
    for half in ("dev", "test"):
        path = root / half / "wav" / name
        if path.exists():
            return path
    raise SecateurError(f"{root}: no dev/wav/{name} or test/wav/{name}; unpack VoxCeleb1 there, or mend ssl[].tasks")


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise SecateurError(f"{path}: no such file; it comes with VoxCeleb1's metadata") from error


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """Linear, mean over time, linear."""
    return classify.run(TASK, data, hidden, fit, options)
