"""Models that a study brings along: `models: NAME: {pretrained: FOLDER}`, and language models likewise.

The entry becomes a complete one, of what the folder says. What else the folder decides is in its key `own`: the corpora
that the model is used with get its features, its token list and its alphabet. Weights are looked at by `inspect`.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.decoding import search as registry
from secateur.models import formats, types
from secateur.speech import alphabet, corpora

SECTIONS = ("models", "language_models")
DECODED = ("dense", "prune", "layers", "regularise", "exits", "heads", "compose", "export")
"""Sections whose entries name a model and the searches that it is decoded with."""
AS_IT_IS = "as it is"
"""The training of a model that is not trained on: no steps. No entry of `training` can have this name."""
UNTRAINED = {"steps": 0, "batch_seconds": 60.0, "batch_tokens": 4000, "processes": 1, "nodes": 1}
MATERIAL = {
    "features": "features of another kind",
    "token_list": "another token list",
}
"""What models that share a corpus must have in common, and what is said where they have not."""


def leave_out_nulls(config: Mapping[str, Any]) -> None:
    """Take `pretrained: null` away: so a study that is laid over another one trains what that takes from a folder."""
    for section in SECTIONS:
        entries = config.get(section)
        for entry in entries.values() if isinstance(entries, Mapping) else ():
            if isinstance(entry, dict) and entry.get("pretrained", "") is None:
                del entry["pretrained"]


def expand(config: dict[str, Any]) -> None:
    """Put what the folder says in the place of every entry with `pretrained`. Raises SecateurError as `describe`."""
    for section in SECTIONS:
        for name, entry in config[section].items():
            if "pretrained" in entry:
                config[section][name] = _entry(section, name, entry)
                if not entry["training"]:
                    config["training"][AS_IT_IS] = UNTRAINED
    for section in DECODED:
        for entry in config[section]:
            _choose_searches(config, section, entry)


def _choose_searches(config: Mapping[str, Any], section: str, entry: dict[str, Any]) -> None:
    """Give an entry that names no searches a greedy one that fits its model: the first of `dense`, or of all.

    Those of `dense` have the searches of `decode`, but where none of these fits a model from a folder.
    """
    if entry["searches"]:  # one that a study names and that does not fit is a mistake
        return
    model, known, wanted = config["models"].get(entry["model"], {}), config["searches"], config["decode"]["searches"]
    if section == "dense" and "own" not in model:
        return
    parts = types.parts(model["type"]) if model else ()
    fitting = [name for name, search in known.items() if registry.part(search["type"]) in parts]
    asked = [one for other in config["dense"] if other["model"] == entry["model"] for one in other["searches"] or ()]
    greedy = [name for name in fitting if registry.is_greedy(known[name]["type"])]
    greedy.sort(key=lambda name: name not in asked)
    if (
        section == "layers" and entry["of"] == types.DECODER
    ):  # a search that runs the decoder, asked for if there is one
        running = [name for name in fitting if registry.runs(known[name]["type"], types.DECODER)]
        entry["searches"] = sorted(running, key=lambda name: name not in wanted)[:1] or greedy[:1]
    elif section != "dense":
        entry["searches"] = greedy[:1] or wanted[:1]  # `problems` says what is wrong with the latter
    elif not set(wanted) & set(fitting) and set(wanted) <= known.keys():
        entry["searches"] = greedy[:1]


def _entry(section: str, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    key, folder = f"{section}.{name}.pretrained", entry["pretrained"]
    found = formats.describe(folder, key)
    kind = found.model["type"]
    if types.section(kind) != section:
        raise SecateurError(f"{key}: {folder} holds a {types.called(kind)}; it belongs in {types.section(kind)}")
    own = {
        "folder": folder,
        "module": formats.format_of(folder, key).module,
        "features": dict(found.features),
        "frame_shift_ms": 1000 / found.model.get("frames_per_second", 100),
        "tokens": len(found.tokens),
        "steps": found.steps,
        "token_list": hashlib.sha256("\n".join(found.tokens).encode()).hexdigest(),
        "pieces": "" if found.pieces is None else "tokenizer.json" if found.pieces.suffix == ".json" else "bpe.model",
        "alphabet": alphabet.alphabet(found.tokens),
        "files": [str(file) for file in found.files],
    }
    start = {"start": None} if "start" in types.TYPES.named(kind).options else {}
    text = {"text": None} if section == "language_models" else {}
    return {**found.model, **start, **text, "training": entry["training"] or AS_IT_IS, "own": own}


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Models that cannot share a corpus, and what cannot be made of a model that is not trained from the start."""
    for corpus in config["corpora"]:
        names = own_models(config, corpus)
        for name in names[1:]:
            for key, what in MATERIAL.items():
                ours, theirs = (config["models"][each]["own"][key] for each in (names[0], name))
                if ours != theirs:
                    yield (
                        f"models.{name}: reads or writes {what} than models.{names[0]}, and both are used with "
                        f"corpora.{corpus}; write that corpus down a second time, under another name, for one of them"
                    )
        if any(entry["corpus"] == corpus and entry["model"] not in config["models"] for entry in config["dense"]):
            continue  # which is said of the entry
        material = material_of(config, corpus)
        for lm in _language_models(config, corpus):
            theirs = config["language_models"][lm].get("own")
            if theirs and (material is None or theirs["token_list"] != material["token_list"]):
                whose = f"models.{names[0]}" if names else f"the training text of corpora.{corpus}"
                yield (
                    f"language_models.{lm}.pretrained: {theirs['folder']} has another token list than {whose}; use it "
                    "with a model of the same token list, or train one"
                )
    for index, entry in enumerate(config["layers"]):
        if entry["trained"] and "own" in config["models"][entry["model"]]:
            yield (
                f"layers[{index}].trained: {entry['trained']}; allowed with a model from a folder: none, as its whole "
                "training is not known here"
            )


def own_models(config: Mapping[str, Any], corpus: str) -> list[str]:
    """The models from folders that a corpus is used with."""
    names = dict.fromkeys(entry["model"] for entry in config["dense"] if entry["corpus"] == corpus)
    return [name for name in names if "own" in config["models"].get(name, {})]


def material_of(config: Mapping[str, Any], corpus: str) -> Mapping[str, Any] | None:
    """What decides the features, the token list and the alphabet of a corpus; None where the study does."""
    names = own_models(config, corpus)
    return config["models"][names[0]]["own"] if names else None


def spelled(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """The corpora that are used with models from folders, by the file that spells text in their token list."""
    found: dict[str, list[str]] = {}
    for corpus in config["corpora"]:
        if material := material_of(config, corpus):
            found.setdefault(material["pieces"], []).append(corpus)
    return found


def entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(key of the configuration, entry) of every model from a folder that something is made of."""
    dense = {entry["model"] for entry in config["dense"]}
    models = dense | {config["models"][name].get("start") for name in dense}
    named = set(_names([config[section] for section in ("decode", *DECODED)]))
    lms = {search.get("lm") for name, search in config["searches"].items() if name in named}
    lms |= {config["language_models"][name].get("pruned", {}).get("of") for name in lms if name}
    for section, used in zip(SECTIONS, (models, lms), strict=True):
        for name, entry in config[section].items():
            if "own" in entry and name in used:
                yield f"{section}.{name}", entry


def _names(value: Any) -> Iterator[str]:
    """All strings in a part of a configuration but its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _names(one)


def _language_models(config: Mapping[str, Any], corpus: str) -> list[str]:
    """The language models that a corpus' models are decoded with."""
    used = {
        config["searches"][search].get("lm")
        for entry in config["dense"]
        if entry["corpus"] == corpus
        for search in entry["searches"] or config["decode"]["searches"]
        if search in config["searches"]
    }
    return sorted(name for name in used if name in config["language_models"])


def inspect(config: Mapping[str, Any], folder: Path) -> None:
    """Load every model from a folder once, and look at the data and the texts that are there, before any job.

    That takes torch, so another process does it, and only when a file has changed since `folder` remembers it.
    Raises SecateurError with what is wrong.
    """
    _check_data(config)
    for key, entry in entries(config):
        own, record = entry["own"], folder / f"{key}.json"
        used = [name for name in config["corpora"] if key.removeprefix("models.") in own_models(config, name)]
        texts = [text for corpus in used for text in _texts(config, corpus)]
        files = [[file, *_signature(Path(file))] for file in (*own["files"], *(text["file"] for text in texts))]
        identity = json.loads(json.dumps([own, texts, files]))
        if record.is_file() and read_json(record).get("identity") == identity:
            continue
        words = [sys.executable, "-m", "secateur", "inspect-model", own["folder"], "--section", key.partition(".")[0]]
        words += ["--texts", json.dumps(texts)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            lines = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
            raise SecateurError(f"{key}.pretrained: {lines[-1] if lines else done.stderr.strip()}")
        print("\n".join(f"{key}: {line}" for line in done.stdout.splitlines()), file=sys.stderr)
        write_json(record, {"identity": identity, "found": done.stdout.splitlines()})


def _check_data(config: Mapping[str, Any]) -> None:
    """Raise SecateurError for data that is to be used with a model from a folder, and is not where it should be."""
    for name, entry in config["corpora"].items():
        for language in entry["languages"] if own_models(config, name) else ():
            if not corpora.fetched_record(Path("data", name), language).is_file():
                try:
                    corpora.check(entry, language)
                except SecateurError as error:
                    raise SecateurError(f"corpora.{name}: {error}") from error


def _texts(config: Mapping[str, Any], corpus: str) -> Iterator[dict[str, Any]]:
    """The transcripts of a corpus that can be read now: file, language, and what says how its lines are read."""
    entry = config["corpora"][corpus]
    options = {key: entry[key] for key in ("normalise", "non_speech_tags", "unknown_tags") if key in entry}
    for language in entry["languages"]:
        for path in map(Path, corpora.inputs(entry, language)):
            if path.name == "text":
                yield {"file": str(path), "language": language, "options": options}


def _signature(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def train_or_take(config: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the job that takes a model over: its folder, and how it is trained on, if it is."""
    training = None if entry["training"] == AS_IT_IS else config["training"][entry["training"]]
    return {"pretrained": entry["own"]["folder"], "training": training}


def as_it_is(config: Mapping[str, Any], model: str) -> bool:
    """Whether a model is taken out of a folder and not trained on: all seeds then have the same."""
    entry = config["models"][model]
    return "own" in entry and entry["training"] == AS_IT_IS
