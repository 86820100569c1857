"""The jobs that every study has: data, tokens, features, dense models, language models, decoding, sizes and tables.

Each function takes the study's paths and the wildcards of its rule. See `secateur.study.command`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from secateur.decoding import search as searches
from secateur.models import types
from secateur.speech import conditions, corpora, front_ends
from secateur.study import own, pruned_lms, runs
from secateur.study import timing as families
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of

# --- data


def fetch(paths: Paths, at: Any) -> Command:
    """Check that a corpus is there, or download it; on the machine that Snakemake runs on."""
    entry = paths.config["corpora"][at.corpus]
    options = {"options": corpora.fetch_options(entry), "cache": f"data/{at.corpus}", "language": at.language}
    return Command("fetch_corpus", options, tuple(corpora.inputs(entry, at.language)), _recipe(entry))


def prepare(paths: Paths, at: Any) -> Command:
    """Data directories of one language of a corpus."""
    entry = paths.config["corpora"][at.corpus]
    options = {
        "options": {key: value for key, value in entry.items() if key != "languages"},
        "cache": f"data/{at.corpus}",
        "language": at.language,
        "speeds": paths.config["features"]["speeds"],
        "output": f"{paths.root}/data/{at.corpus}/{at.language}",
    }
    if material := own.material_of(paths.config, at.corpus):
        options["alphabet"] = material["alphabet"]
    return Command("prepare_corpus", options, (f"data/{at.corpus}/{at.language}/fetched.json",), _recipe(entry))


def condition(paths: Paths, at: Any) -> Command:
    """A test set under a condition, made from another split."""
    entry = paths.config["conditions"][at.split]
    corpus, split = conditions.source(entry, at.corpus)
    options = {
        "data": f"{paths.root}/data/{corpus}/{at.language}/{split}",
        "name": at.split,
        "condition": {key: value for key, value in entry.items() if key not in conditions.NARROW},
        "output": f"{paths.root}/data/{at.corpus}/{at.language}/{at.split}",
    }
    if corpus != at.corpus and (material := own.material_of(paths.config, at.corpus)):
        options["alphabet"] = material["alphabet"]
    module = conditions.CONDITIONS.named(entry["type"]).module
    return Command("make_condition", options, paths.data(corpus, at.language, split), (module,))


def _recipe(entry: Any) -> tuple[str]:
    return (corpora.RECIPES.named(entry["recipe"]).module,)


def tokens(paths: Paths, at: Any) -> Command:
    """The token list of a corpus."""
    if material := own.material_of(paths.config, at.corpus):
        return Command("tokens", {"pretrained": material["folder"]}, tuple(material["files"]), (material["module"],))
    texts = paths.texts(at.corpus, "train")
    options = {key: paths.config["tokens"][key] for key in ("type", "size")} | {"text": texts}
    return Command("tokens", options, tuple(texts))


def validate(paths: Paths, at: Any) -> Command:
    """The check of a corpus before anything is trained on it."""
    corpus, splits = at.corpus, paths.splits(at.corpus)
    languages = paths.languages(corpus)
    files = [file for language in languages for split in splits for file in paths.data(corpus, language, split)]
    options = {
        "data": f"{paths.root}/data/{corpus}",
        "languages": languages,
        "splits": splits,
        "input_layers": _input_layers(paths, corpus),
        "speeds": paths.config["features"]["speeds"],
        "tokens": paths.tokens(corpus)[0],
    }
    if names := own.own_models(paths.config, corpus):
        options["model"] = names[0]
        options["frame_shift_ms"] = paths.config["models"][names[0]]["own"]["frame_shift_ms"]
    return Command("validate_corpus", options, (*files, *paths.tokens(corpus)))


def _input_layers(paths: Paths, corpus: str) -> list[str]:
    """The input layers of the models that a corpus is for, as the command names them."""
    config = paths.config
    used = [config["models"][run.model] for run in runs.model_runs(config) if run.corpus == corpus]
    return sorted({f"stack:{entry['stack']}" if entry["input"] == "stack" else entry["input"] for entry in used})


def features(paths: Paths, at: Any) -> Command:
    """Log-mel features of a data directory; training data at every speed."""
    tail = f"{at.corpus}/{at.language}/{at.split}"
    options = {
        "data": f"{paths.root}/data/{tail}",
        "mel_bins": paths.config["features"]["mel_bins"],
        "speeds": paths.config["features"]["speeds"] if at.split == "train" else [1.0],
        "output": f"{paths.root}/features/{tail}",
    }
    modules: tuple[str, ...] = ()
    if material := own.material_of(paths.config, at.corpus):
        del options["mel_bins"]
        options["front_end"] = material["features"]
        modules = (front_ends.FRONT_ENDS.named(material["features"]["front_end"]).module,)
    return Command("features", options, paths.data(at.corpus, at.language, at.split), modules)


# --- dense models and language models


def model_module(paths: Paths, model: str) -> str:
    """The module of a model's type, which commands import by name."""
    return types.module(paths.config["models"][model]["type"])


def lm_module(paths: Paths, lm: str) -> str:
    return types.module(paths.config["language_models"][lm]["type"])


def training_options(paths: Paths, at: Any) -> dict[str, Any]:
    """The options of every job that trains an acoustic model, but for the entry of `training`."""
    return {
        "data": f"{paths.root}/data/{at.corpus}",
        "features": f"{paths.root}/features/{at.corpus}",
        "speeds": paths.config["features"]["speeds"],
        "languages": paths.languages(at.corpus, at.scope),
        "tokens": paths.tokens(at.corpus)[0],
        "seed": at.seed,
        "device": paths.config["device"],
    }


def train(paths: Paths, at: Any) -> Command:
    """A dense acoustic model."""
    config, entry = paths.config, paths.config["models"][at.model]
    run = runs.ModelRun(at.corpus, at.model, at.scope, int(at.seed))
    start = runs.start(config, run)
    model = {key: value for key, value in entry.items() if key not in ("training", "start")}
    options = {
        "model": model | {"features": config["features"]["mel_bins"]},
        "training": config["training"][entry["training"]],
        **training_options(paths, at),
    }
    files = paths.training(at.corpus, at.scope)
    if start:
        options |= {"start": paths.folder(start), "before": runs.steps_before(config, run)}
        files += paths.model(start.folder)
    return Command("train", options, files, (model_module(paths, at.model),))


def import_model(paths: Paths, at: Any) -> Command:
    """A dense acoustic model out of a folder, as it is or trained on."""
    config, entry = paths.config, paths.config["models"][at.model]
    options = {**own.train_or_take(config, entry), **training_options(paths, at)}
    files = (*paths.training(at.corpus, at.scope), *entry["own"]["files"])
    return Command("import_model", options, files, (entry["own"]["module"], model_module(paths, at.model)))


def import_lm(paths: Paths, at: Any) -> Command:
    """A language model out of a folder, as it is or trained on."""
    config, entry = paths.config, paths.config["language_models"][at.lm]
    train, dev, tokens = paths.texts(at.corpus, "train"), paths.texts(at.corpus, "dev"), paths.tokens(at.corpus)
    options = own.train_or_take(config, entry) | {
        "tokens": tokens[0],
        "seed": at.seed,
        "device": config["device"],
        "train": train,
        "dev": dev,
    }
    files = (*tokens, *train, *dev, *entry["own"]["files"])
    return Command("import_lm", options, files, (entry["own"]["module"], lm_module(paths, at.lm)))


def prune_lm(paths: Paths, at: Any) -> Command:
    """A language model without some of another one's layers, heads or weights, as it is or trained on."""
    config, entry = paths.config, paths.config["language_models"][at.lm]
    pruned, training = entry["pruned"], config["training"][entry["training"]]
    whole = paths.lm(at.corpus, pruned["of"], at.seed)
    train, dev, tokens = paths.texts(at.corpus, "train"), paths.texts(at.corpus, "dev"), paths.tokens(at.corpus)
    options = {
        "start": f"{paths.root}/{whole}",
        **{key: pruned[key] or None for key in pruned_lms.WAYS},
        "training": training if training["steps"] else None,
        "tokens": tokens[0],
        "seed": at.seed,
        "device": config["device"],
        "train": train,
        "dev": dev,
    }
    return Command("prune_lm", options, (*paths.model(whole), *tokens, *train, *dev), (lm_module(paths, at.lm),))


def train_lm(paths: Paths, at: Any) -> Command:
    """A neural language model, on texts of its own or on the training transcripts of its corpus."""
    config, entry = paths.config, paths.config["language_models"][at.lm]
    own = entry["text"]
    train = list(own.values()) if own else paths.texts(at.corpus, "train")
    dev, tokens = paths.texts(at.corpus, "dev"), paths.tokens(at.corpus)
    corpus = config["corpora"][at.corpus]
    tags = {"non_speech": corpus["non_speech_tags"], "unknown": corpus["unknown_tags"]}
    options = {
        "model": {key: value for key, value in entry.items() if key not in ("training", "text")},
        "training": config["training"][entry["training"]],
        "tokens": tokens[0],
        "seed": at.seed,
        "device": config["device"],
        "text_languages": list(own) if own else None,
        "tags": tags if own else None,
        "train": train,
        "dev": dev,
    }
    return Command("train_lm", options, (*tokens, *train, *dev), (lm_module(paths, at.lm),))


# --- decoding

SCORING = "secateur.scripts.score"
"""What `decode` imports by name, so that an edit of how errors are counted decodes nothing again."""


def decode(paths: Paths, at: Any, /, **options: Any) -> Command:
    """One model on all splits and languages with one search; `options` say which sub-models of it, if any."""
    config, run = paths.config, run_of(at)
    search = config["searches"][at.search]
    modules = [model_module(paths, at.model), searches.module(search["type"])]
    sets = [
        (split, language)
        for split in runs.splits(config, at.corpus, narrow=not options)
        for language in paths.languages(at.corpus, at.scope)
        if runs.asked(config, split, language, at.search)
    ]
    files = [*paths.model(run.folder), *masks(paths, run)]
    for split, language in sets:
        files += [*paths.features(at.corpus, language, split), *paths.data(at.corpus, language, split)]
    if search.get("lm"):
        folder = paths.lm(at.corpus, search["lm"], at.seed)
        modules.append(lm_module(paths, search["lm"]))
        options["lm"] = f"{paths.root}/{folder}"
        files += paths.model(folder)
    if file := runs.tuned(config, run, at.search):
        options |= {"tuned": f"{paths.root}/{file}", "tuned_as": at.search}
        files.append(f"{paths.root}/{file}")
    for what in searches.reads(search["type"]):
        found = paths.texts(at.corpus, "train") if what == searches.TRAIN_TEXT else list(paths.tokens(at.corpus))
        options[what] = found if what == searches.TRAIN_TEXT else found[0]
        files += found
    known = {
        "model": paths.folder(run),
        "search": search,
        "languages": [language for _, language in sets],
        "splits": [split for split, _ in sets],
        "data": [f"{paths.root}/data/{at.corpus}/{language}/{split}" for split, language in sets],
        "features": [f"{paths.root}/features/{at.corpus}/{language}/{split}" for split, language in sets],
        "device": config["device"],
    }
    decoder = Command("decode", {}, modules=tuple(modules))
    known["keep"] = decoder.code
    return Command("decode", known | options, tuple(files), (*modules, SCORING))


def reading(command: Command, *files: str) -> Command:
    """`command`, which reads `files`, too."""
    return replace(command, inputs=(*command.inputs, *files))


def masks(paths: Paths, run: runs.ModelRun) -> tuple[str, ...]:
    """The folder of a model's masks; nothing for a dense one."""
    return (f"{paths.folder(run)}/masks",) if runs.leaves_masks(run) else ()


def timing(paths: Paths, at: Any) -> Command:
    """The time of all systems of a family, in turns."""
    config, family = paths.config, families.Family(at.corpus, at.model)
    members = families.families(config)[family]
    reference = members[0].run
    systems: dict[str, dict[str, Any]] = {}
    files: list[str] = []
    modules: list[str] = []
    read: list[str] = []
    for one in members:
        search = config["searches"][one.search]
        parts = {name: paths.of(file)[0] for name in families.PART_FILES if (file := getattr(one, name))}
        entry: dict[str, Any] = dict(parts)
        entry |= {name: list(depths) for name in families.DEPTHS if (depths := getattr(one, name))}
        if file := runs.tuned(config, one.run, one.search):
            entry["tuned"] = paths.of(file)[0]
            files.append(entry["tuned"])
        files += [*paths.model(one.run.folder), *parts.values()]
        modules += [model_module(paths, one.run.model), searches.module(search["type"])]
        read += searches.reads(search["type"])
        if search.get("lm"):
            folder = paths.lm(one.run.corpus, search["lm"], one.run.seed)
            entry["lm"] = f"{paths.root}/{folder}"
            files += paths.model(folder)
            modules.append(lm_module(paths, search["lm"]))
        system = systems.setdefault(one.run.folder, {"model": paths.folder(one.run), "searches": {}})
        system["searches"][one.search] = entry
    names = list(dict.fromkeys(one.search for one in members))
    codes = paths.languages(reference.corpus, reference.scope)
    options: dict[str, Any] = {
        "systems": systems,
        "reference": reference.folder,
        "searches": {name: config["searches"][name] for name in names},
        "groups": _groups(config, names),
        "data": [f"{paths.root}/data/{at.corpus}/{language}/{families.SPLIT}" for language in codes],
        "features": [f"{paths.root}/features/{at.corpus}/{language}/{families.SPLIT}" for language in codes],
        "seed": reference.seed,
        "device": config["device"],
    }
    for language in codes:
        files += paths.features(at.corpus, language, families.SPLIT) + paths.data(at.corpus, language, families.SPLIT)
    if searches.TRAIN_TEXT in read:
        options["train_text"] = paths.texts(at.corpus, "train")
        files += options["train_text"]
    if searches.TOKENS in read:
        options["tokens"] = paths.tokens(at.corpus)[0]
        files += paths.tokens(at.corpus)
    return Command("timing", options, tuple(dict.fromkeys(files)), tuple(sorted(set(modules))))


def _groups(config: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The groups of searches that are timed, with their searches, utterances and rounds."""
    found: dict[str, Any] = {}
    for name in names:
        group = families.group_of(config["searches"][name])
        amount = families.amount(config, group)
        empty = {"searches": [], "utterances": amount.utterances, "rounds": amount.rounds}
        found.setdefault(group, empty)["searches"].append(name)
    return found


# --- what all models cost


def sizes(
    paths: Paths,
    extra: list[runs.ModelRun],
    layers: Mapping[str, list[str]],
    lms: Iterable[tuple[str, str, int]],
    lexicons: Iterable[tuple[str, str]],
) -> Command:
    """What models cost: all of the study, and `extra` ones that are checkpoints of their own.

    Args:
        layers: by folder of a model, the files that say which layers its sub-models keep.
        lms: corpus, name and seed of language models.
        lexicons: corpus and name of searches that make something of the training text.
    """
    found = list(runs.model_runs(paths.config))
    files: list[str] = []
    for run in (*found, *extra):
        files += paths.model(run.folder)
        files += masks(paths, run)
    files += paths.of(*(file for orders in layers.values() for file in orders))
    folders = {runs.lm_folder(*lm): lm_module(paths, lm[1]) for lm in lms}
    for folder in folders:
        files += paths.model(folder)
    made: dict[str, Any] = {}
    for corpus, name in lexicons:
        texts, tokens, search = paths.texts(corpus, "train"), paths.tokens(corpus), paths.config["searches"][name]
        made[runs.lexicon_folder(corpus, name)] = {"search": search, "texts": texts, "tokens": tokens[0]}
        files += [*texts, *tokens]
    modules = sorted(
        {
            *(model_module(paths, run.model) for run in found),
            *folders.values(),
            *(searches.module(one["search"]["type"]) for one in made.values()),
            *runs.KINDS,
        }
    )
    options = {"study": runs.shape(paths.config), "root": paths.root, "layers": layers or None}
    options["lexicons"] = made or None
    return Command("sizes", options | {"lms": list(folders) or None}, tuple(dict.fromkeys(files)), tuple(modules))


def compared_masks(paths: Paths) -> Command:
    """How much the masks of a study have in common."""
    found = [run for run in runs.model_runs(paths.config) if runs.leaves_masks(run)]
    files = tuple(file for run in found for file in (f"{paths.folder(run)}/model.json", *masks(paths, run)))
    return Command("masks", {"study": runs.shape(paths.config), "root": paths.root}, files, runs.KINDS)
