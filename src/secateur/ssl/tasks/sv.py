"""Speaker verification: equal error rate of telling whether two clips are of one voice.

On data directories: every trial joins clips in two different languages, so the language does not give the answer away.
That wants a voice with two languages; the default corpus has one, Allison Smith, in English and Spanish. Matching
trials join her two languages, the others a clip of hers with another voice's. The head learns from the other voices
alone (three in the default corpus), so hers is new to it, as in VoxCeleb1, while theirs are not; and what differs
between voices may also be their recording equipment. Clips are `seconds` out of the middle of prompts.

Official: VoxCeleb1 (Nagrani et al. 2017): training on its dev speakers, the trials of `veri_test.txt` (or
`veri_test2.txt`, the cleaned list). It has no dev set: SUPERB takes the checkpoint that is best on the trials, this one
that is best on clips of training speakers that are held out.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from secateur.core.errors import SecateurError
from secateur.speech.datadir import Utterance
from secateur.ssl.options import head_training
from secateur.ssl.tasks import Data, Item, Metric, Pair, Result, Task, prompts
from secateur.ssl.tasks.clips import QUIETER, Clip, middle, recording
from secateur.ssl.tasks.fit import Examples, Fit
from secateur.ssl.tasks.heads import XVector
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import Measured, equal_error_rate
from secateur.ssl.tasks.sid import find

OFFICIAL = ("trials",)
SHOWN = {"order": 90}
SCHEMA = {
    "trials": {"type": ["string", "null"], "format": "path", "default": None, "description": "`veri_test.txt`."},
    "languages": {"$ref": "#/$defs/languages", "default": None},
    "seconds": {"type": "number", "exclusiveMinimum": 0, "default": 1.0, "description": "Length of a clip."},
    "clips": {"$ref": "#/$defs/clips", "default": {}},
    "min_seconds": {
        "type": "number",
        "minimum": 0,
        "default": 0.0,
        "description": "Shortest training clip, for `official`.",
    },
    "max_seconds": {"$ref": "#/$defs/longest", "default": None},
    "crop": {"$ref": "#/$defs/crop", "default": "middle"},
    "projection": {"$ref": "#/$defs/projection", "default": 256},
    "hidden": {
        "type": "integer",
        "minimum": 1,
        "default": 128,
        "description": "Width of the time-delay layers and the voice's embedding.",
    },
    "pooled": {"type": "integer", "minimum": 1, "default": 256, "description": "Width before pooling over time."},
    "scale": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 30.0,
        "description": "Of the additive margin softmax.",
    },
    "margin": {
        "type": "number",
        "minimum": 0,
        "default": 0.4,
        "description": "Taken off the right voice's cosine in training.",
    },
    "normalize": {"$ref": "#/$defs/normalize", "default": False},
    "training": {"$ref": "#/$defs/training", "default": {}},
}

TASK = Task("sv", "speaker verification", (Metric("eer", higher=False),))
DEV_SHARE = 100  # VoxCeleb1: one training clip in so many shows the loss on clips of known speakers


def from_directories(corpus: prompts.Corpus, options: Mapping[str, Any]) -> Data:
    """`options`: languages, seconds, and clips: {train, dev, test} per voice and language."""
    chosen = prompts.of(corpus, options["languages"], TASK.name)
    spoken = defaultdict(set)
    for utterance in prompts.joined(chosen, "train"):
        spoken[utterance.speaker].add(utterance.language)
    bilingual = sorted(voice for voice, languages in spoken.items() if len(languages) > 1)
    others = sorted(set(spoken) - set(bilingual))
    if not bilingual or len(others) < 2:
        raise SecateurError(
            f"sv: {len(bilingual)} voices with two languages and {len(others)} others; wanted are one and two at least "
            "(the recipe asterisk with en, es and two further languages), or leave sv out of ssl[].tasks"
        )

    def items(split: str, voice: str, language: str) -> list[Item]:
        utterances = [utterance for utterance in chosen[language][split] if utterance.speaker == voice]
        members = prompts.drawn(utterances, options["clips"][split], "voices")
        return [Item(middle(utterance, options["seconds"]), (voice, language)) for utterance in members]

    splits = {
        split: [
            item for voice in others for language in sorted(spoken[voice]) for item in items(split, voice, language)
        ]
        for split in ("train", "dev")
    }
    splits["test"] = [
        item
        for voice in sorted(spoken)
        for language in sorted(spoken[voice])
        for item in items("test", voice, language)
    ]
    trials = [
        Pair(first.id, second.id, first.target[0] == second.target[0])
        for place, first in enumerate(splits["test"])
        for second in splits["test"][place + 1 :]
        if first.target[1] != second.target[1] and {first.target[0], second.target[0]} & set(bilingual)
    ]
    targets = "; ".join(f"{voice} in {', '.join(sorted(spoken[voice]))}" for voice in bilingual)
    return Data(
        splits,
        {"test": trials},
        notes=f"trials across languages: {targets}, or against the voices of training, {', '.join(others)}; "
        f"{prompts.counts(splits)} clips, "
        f"{sum(trial.match for trial in trials)} of {len(trials)} trials match",
        chance={"eer": 50.0},
        confounded=prompts.one_voice_each(chosen),
    )


def official(options: Mapping[str, Any]) -> Data:
    """`options`: root (with dev/wav and test/wav), trials (`veri_test.txt`), min_seconds and max_seconds (of training
    clips: shorter ones are left out, longer ones cut), crop (where)."""
    root, table = Path(options["root"]), Path(options["trials"])
    try:
        lines = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise SecateurError(f"{table}: no such file; it comes with VoxCeleb1's metadata") from error
    for number, fields in enumerate(lines, 1):
        if len(fields) != 3 or fields[0] not in "01":
            raise SecateurError(f"{table}:{number}: {' '.join(fields)!r}; wanted are 0 or 1 and two paths")
    names = sorted({name for _, *pair in lines for name in pair})
    test = [Item(_clip(find(root, name), name), (name.split("/")[0],)) for name in names]
    known = []
    for path in sorted((root / "dev" / "wav").glob("*/*/*.wav")):
        name = path.relative_to(root / "dev" / "wav").as_posix()
        clip = _clip(path, name)
        if clip.seconds < options["min_seconds"]:
            continue
        if options["crop"] == "middle" and clip.seconds > (options["max_seconds"] or clip.seconds):
            piece = middle(Utterance(name, str(path), "", "", "", clip.seconds), options["max_seconds"])
            clip = replace(piece, parts=(replace(piece.parts[0], gain=QUIETER),))
        known.append(Item(clip, (name.split("/")[0],)))
    if len({item.target for item in known}) < 2:
        raise SecateurError(f"{root / 'dev' / 'wav'}: no recordings of two speakers; unpack VoxCeleb1's dev part there")
    known.sort(key=lambda item: prompts.digest("sv", item.id))
    held_out = max(1, len(known) // DEV_SHARE)
    items = {"train": known[held_out:], "dev": known[:held_out], "test": test}
    trials = [Pair(first, second, match == "1") for match, first, second in lines]
    notes = f"VoxCeleb1, {table.name}: {len(trials)} trials; {prompts.counts(items)} clips"
    return Data(items, {"test": trials}, notes=notes, chance={"eer": 50.0}, crops=prompts.crops(options))


def _clip(path: Path, name: str) -> Clip:
    return recording(str(path), name=name, gain=QUIETER)


def run(data: Data, hidden: Hidden, fit: Fit, options: Mapping[str, Any]) -> Result:
    """An x-vector trained with additive margin softmax; trials are scored by the cosine of embeddings."""
    speakers = {name: place for place, name in enumerate(sorted({item.target[0] for item in data.items["train"]}))}
    known = {split: [item for item in data.items[split] if item.target[0] in speakers] for split in ("train", "dev")}
    examples = [
        Examples(hidden, members, lambda item, _: {"labels": torch.tensor([speakers[item.target[0]]])}, False,
                 data.crops.get(split))
        for split, members in known.items()
    ]  # fmt: skip
    layers, width = hidden.shape(data.items["train"][0].clip)
    head = fit(TASK.name, lambda: XVector(layers, width, len(speakers), options), *examples, head_training(options))
    test = Examples(hidden, data.items["test"], lambda item, _: {}, pooled=False)
    embeddings = {}
    for keys in test.batches():
        tensors = test.load(keys).tensors
        with torch.no_grad():
            vectors = head.embed(tensors["hidden"].to(fit.device), tensors["lengths"].to(fit.device))
        embeddings |= dict(zip(keys, functional.normalize(vectors, dim=1).cpu(), strict=True))
    trials = data.pairs["test"]
    scores = [float(embeddings[trial.first] @ embeddings[trial.second]) for trial in trials]
    eer = equal_error_rate(
        scores,
        [trial.match for trial in trials],
        [trial.first for trial in trials],
        [trial.second for trial in trials],
        fit.resampling,
    )
    return Result({"eer": Measured.of(eer)}, {"layer_shares": head.sum.shares()})
