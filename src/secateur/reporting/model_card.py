"""The README of a model of the zoo: what a stranger would ask before using it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from secateur.core.files import read_json, read_tsv
from secateur.decoding.scoring import Interval, average_error_rate
from secateur.models import types
from secateur.models.load import Loaded
from secateur.models.upstream.encoder import Encoder

LIMITS = """\
- Dev and test data come from the same recordings as the training data. Other voices, other rooms, noise and free speech
  were not tried; expect far more errors there.
- One seed. The intervals are over the utterances of a test set and say nothing about another seed.
- It is a real, trained, small model to begin pruning with, and no product."""

LM_LIMITS = """\
- It has read the transcripts of the training data and nothing else: the prompts of a telephone exchange, a few thousand
  words a language. Dev text is of the same kind; expect a far higher perplexity of other text.
- One seed. It is a small model to measure with, and no product."""

ENCODER_LIMITS = """\
- It has heard a handful of professional voices, one a language, of one make of recordings, and little of each.
- Test data come from the same recordings as the training data. One seed.
- It is a small encoder to begin pruning with, and no product."""
USE = """\
```python
from secateur.ssl.checkpoints import load_upstream

upstream = load_upstream("pretrained/{name}")
hidden, frames = upstream(waveforms, lengths)  # samples (B, S), their numbers (B,); a tensor (B, T, D) a layer
```

`secateur ssl-export-onnx --encoder pretrained/{name} --output {name}.onnx` makes one file of it."""

RATES = (("errors", "words"), ("character_errors", "characters"))
SHARING = "Give the credits above wherever you pass the weights on, and pass them on under the licences of the data."


def card(
    name: str,
    loaded: Loaded,
    folder: Path,
    trained: Mapping[str, Any],
    sources: Mapping[str, Path],
    export: Mapping[str, Any],
) -> str:
    """The model card, in Markdown.

    Args:
        folder: of the trained model, with its decodings and `history.tsv`.
        trained: the record of its training, `run.json`.
        sources: by language, the folder of its data directories, with `source.json` and `run.json`.
        export: what the command that calls this has measured.
    """
    config, languages = loaded.config, ", ".join(sources)
    language_model = types.section(config["type"]) == "language_models"
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    sections = {
        "Model": [f"```yaml\n{yaml.safe_dump(config, sort_keys=False)}```"],
        "Perplexity" if language_model else "Error rates": _error_rates(folder, export),
        "Training": _training(folder, trained),
        "Data and licences": [*_data(sources), SHARING],
        "Limits": [LM_LIMITS if language_model else LIMITS],
        "Made by": _made_by(folder, trained),
    }
    text = [
        f"# {name}",
        f"A {types.called(config['type'])} of {parameters / 1e6:.2f} million parameters for {languages}.",
    ]
    for title, paragraphs in sections.items():
        text += [f"## {title}", *paragraphs]
    return "\n\n".join(text) + "\n"


def encoder_card(
    encoder: Encoder, folder: Path, trained: Mapping[str, Any], sources: Mapping[str, Path], scores: Mapping[str, Path]
) -> str:
    """The card of a self-supervised encoder, in Markdown.

    Args:
        folder: of the pretrained encoder, with its `history.tsv`; its entry in the study names it.
        trained, sources: as `card` has them.
        scores: by name, the `scores.json` of this encoder and of what it is set beside; those that are there.
    """
    name = folder.parts[folder.parts.index("upstreams") + 1]
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    head = trained["arguments"]["head"]
    sections = {
        "Use": [USE.format(name=name)],
        "Model": [f"```yaml\n{yaml.safe_dump(trained['arguments']['encoder'], sort_keys=False)}```"],
        "Tasks": _tasks({model: file for model, file in scores.items() if file.is_file()}),
        "Training": [
            *_prediction(folder),
            *_training(folder, trained | {"arguments": trained["arguments"] | {"start": None}}),
            f"```yaml\n{yaml.safe_dump(head)}```",
        ],
        "Data and licences": [*_data(sources), SHARING],
        "Limits": [ENCODER_LIMITS],
        "Made by": _made_by(folder, trained, "ssl-export-pretrained --encoder"),
    }
    text = [
        f"# {name}",
        f"A self-supervised encoder of {parameters / 1e6:.2f} million parameters, pretrained on speech in "
        f"{', '.join(sources)} {'by targets that know its' if _guide(folder) else 'without'} transcripts. It reads "
        "waveforms at 16 kHz and gives 50 frames a second.",
    ]
    for title, paragraphs in sections.items():
        text += [f"## {title}", *paragraphs]
    return "\n\n".join(text) + "\n"


def _guide(folder: Path) -> str:
    """The model whose layer the targets of a pretrained encoder are clusters of, and the layer; "" of none."""
    made = read_json(folder.parents[1] / folder.parts[-2].replace("iteration", "targets") / folder.name / "run.json")
    guide = made["arguments"].get("guide")
    return f"layer {made['layer']} of `{guide}`" if guide else ""


def _prediction(folder: Path) -> list[str]:
    """What was predicted."""
    if guide := _guide(folder):
        return [
            f"Masked prediction of clusters of {guide}, which was trained on the transcripts of these recordings: the "
            "encoder has seen none, but its targets know them."
        ]
    return [f"The last of {folder.parts[-2].removeprefix('iteration')} iterations of masked prediction:"]


def _tasks(scores: Mapping[str, Path]) -> list[str]:
    """A table of what the tasks measured."""
    found = {model: read_json(file)["tasks"] for model, file in scores.items()}
    if not found:
        return ["It was not scored by itself."]
    names = list(
        dict.fromkeys((task, metric) for tasks in found.values() for task in tasks for metric in tasks[task]["metrics"])
    )
    rows = [
        (model, *(_percent(Interval(**{key: tasks[task]["metrics"][metric][key] for key in ("value", "low", "high")}))
                  for task, metric in names))
        for model, tasks in found.items()
    ]  # fmt: skip
    heading = ("Frozen encoder", *(f"{task} {metric}" for task, metric in names))
    notes = "\n".join(f"- {task}: {measured['notes']}" for task, measured in next(iter(found.values())).items())
    about = "Test data, in percent with 95 % intervals; fbank: log-mel features, fbank-cmvn: normalised per clip."
    return [about, _table(heading, rows), notes]


def _error_rates(folder: Path, export: Mapping[str, Any]) -> list[str]:
    """A table of every search that the model was decoded with, and what half precision changes."""
    rows = []
    found: dict[tuple[str, str], dict[str, list[Mapping[str, str]]]] = {}
    for file in sorted(folder.glob("decode/*/utterances.tsv")):
        for row in read_tsv(file):
            found.setdefault((row["split"], file.parts[-2]), {}).setdefault(row["language"], []).append(row)
    for (split, search), languages in found.items():
        chosen = {language: {language: heard} for language, heard in languages.items()}
        if len(languages) > 1:
            chosen["average"] = languages
        for language, members in chosen.items():
            rows.append((split, search, language, *(_percent(_rate(members, *columns)) for columns in RATES)))
    heading = ("Split", "Search", "Language", "WER (%), 95 % interval", "CER (%), 95 % interval")
    text = [_table(heading, rows)] if rows else []
    if half := export.get("half_precision"):
        text.append(
            f"Weights are stored in half precision. {half['measure'].capitalize()}: {half['before']:.2f} in float32, "
            f"{half['after']:.2f} after rounding."
        )
    return text


def _rate(languages: Mapping[str, Sequence[Mapping[str, str]]], errors: str, units: str) -> Interval:
    """The error rate, mean over languages, of utterances with these columns."""
    return average_error_rate(
        {
            code: ([int(row[errors]) for row in rows], [int(row[units]) for row in rows])
            for code, rows in languages.items()
        }
    )


def _percent(interval: Interval) -> str:
    return f"{interval.value:.1f} ({interval.low:.1f}–{interval.high:.1f})"


def _training(folder: Path, trained: Mapping[str, Any]) -> list[str]:
    arguments = trained["arguments"]
    best = min(read_tsv(folder / "history.tsv"), key=lambda row: float(row["dev_loss"]))
    facts = [
        f"{trained['steps']:,} steps in {trained['seconds'] / 3600:.1f} hours, {trained['threads']} thread(s), "
        f"{trained['processor']}, {trained['precision']}; seed {trained['seed']}.",
        f"Lowest dev loss: {float(best['dev_loss']):.2f}, at step {best['step']}.",
    ]
    if speeds := arguments.get("speeds"):
        facts.append(f"Training speech at speeds {', '.join(f'{speed:g}' for speed in speeds)}.")
    if start := arguments.get("start"):
        facts.append(f"It started from the encoder and the CTC head of `{start}`.")
    return ["\n".join(f"- {fact}" for fact in facts), f"```yaml\n{yaml.safe_dump(arguments['training'])}```"]


def _data(sources: Mapping[str, Path]) -> list[str]:
    rows = []
    for language, folder in sources.items():
        source, prepared = read_json(folder / "source.json"), read_json(folder / "run.json")
        versions = ", ".join(f"{package} {version}" for package, version in source.get("versions", {}).items())
        counts = " / ".join(str(prepared["utterances"].get(split, 0)) for split in ("train", "dev", "test"))
        rows.append(
            (language, source["name"], source["description"], counts, source["licence"], source["credits"], versions)
        )
    head = ("Language", "Corpus", "What", "Utterances (train / dev / test)", "Licence", "Credits", "Versions")
    return [_table(head, rows)]


def _made_by(folder: Path, trained: Mapping[str, Any], command: str = "export-pretrained --model") -> list[str]:
    study = folder.parts[folder.parts.index("results") + 1]
    versions = ", ".join(f"{package} {version}" for package, version in trained["versions"].items())
    return [
        f"`make results STUDY={study}` at revision {trained['git']}, then\n"
        f"`secateur {command} {folder}`. {versions}. `run.json` has every argument."
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
