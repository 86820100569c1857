"""The sections `pruning` and `prune`: unstructured pruning of multilingual models."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.pruning import methods
from secateur.pruning.levels import spelled_out
from secateur.pruning.study import schedule_named
from secateur.study.checks import corpora_of, known_models, trained, unfit, unknown


def fill_schema(schema: dict[str, Any]) -> None:
    """Name the methods, with their summaries and options, in the schema of a configuration, in place."""
    known = list(methods.registry().values())

    def choice(found: list[methods.Method]) -> dict[str, Any]:
        texts = "; ".join(f"{method.name}: {method.summary.removesuffix('.')}" for method in found)
        return {"enum": [method.name for method in found], "description": f"{texts}."}

    entry = schema["properties"]["prune"]["items"]["properties"]
    entry["methods"]["items"] |= choice([method for method in known if not method.from_masks])
    pathways, several = entry["pathways"]["items"]["properties"], [method for method in known if method.from_masks]
    pathways["method"] |= choice(several) | {"default": several[0].name}
    pathways["start"]["items"]["prefixItems"][0] |= choice([method for method in known if method.gives_masks])
    schedule, options = schema["$defs"]["schedule"], methods.options()
    schedule["properties"] |= options
    schedule["required"] += [name for name, option in options.items() if "default" not in option]


def expand(config: dict[str, Any]) -> None:
    """Spell out levels, and put an entry for each corpus that an entry of `prune` is about in its place, with the
    languages of its pathways.

    Raises SecateurError for a model that is not there.
    """
    for schedule in config["pruning"].values():
        schedule["levels"] = spelled_out(schedule["levels"])
    known_models(config, "prune", "model", "reference")
    config["prune"] = [spelled for entry in config["prune"] for spelled in _spelled_out(config, entry)]


def _spelled_out(config: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for corpus in corpora_of(config, entry):
        languages = config["corpora"].get(corpus, {}).get("languages", [])
        pathways = [part | {"languages": part["languages"] or languages} for part in entry["pathways"]]
        dense = [other for other in config["dense"] if other["corpus"] == corpus]
        reference = entry["reference"]
        if not entry["corpus"] and not any(trained(other, reference, "each") for other in dense):
            reference = None
        yield {
            **entry,
            "corpus": corpus,
            "reference": reference,
            "pathways": [part for part in pathways if len(part["languages"]) > 1],
        }


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong in these sections."""
    yield from _of_schedules(config)
    yield from _of_entries(config)


def _of_schedules(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config["pruning"]:
        where, schedule = f"pruning.{name}", schedule_named(config, name)
        levels, training = list(schedule.levels), config["training"].get(schedule.training)
        if levels != sorted(set(levels)):
            yield f"{where}.levels: {levels} does not rise; allowed: sparsities in rising order"
        for level in levels:
            if level != round(level, 3):
                yield f"{where}.levels: {level}; allowed: 0.001 to 0.999, in three decimals, as folders name them"
        if schedule.ranking == "2of4" and levels != [0.5]:
            yield f"{where}.levels: {levels}; allowed with ranking: 2of4: [0.5], which it is by construction"
        if training is None:
            yield unknown(f"{where}.training", schedule.training, "training", config["training"])
            continue
        adapting, every = training["steps"] - round(schedule.settle * training["steps"]), schedule.own["adapt_every"]
        if every >= adapting:
            yield (
                f"{where}.adapt_every: {every}; allowed: less than the steps of a level before it settles, "
                f"training.{schedule.training}.steps = {training['steps']} without {where}.settle = "
                f"{schedule.settle:g} of them: {adapting}"
            )
        if training["average_best"]:
            yield (
                f"training.{schedule.training}.average_best: {training['average_best']}; allowed: 0, because "
                f"{where} uses it: the mean of checkpoints with different masks has no mask"
            )
        if training["ema"]:
            yield (
                f"training.{schedule.training}.ema: {training['ema']}; allowed: 0, because {where} uses it: the "
                "average of weights under masks that change has no mask"
            )


def _of_entries(config: Mapping[str, Any]) -> Iterator[str]:
    models = [(entry["corpus"], entry["model"], entry["variant"]) for entry in config["prune"]]
    for index, entry in enumerate(config["prune"]):
        where = f"prune[{index}]"
        if models.index(models[index]) != index:
            yield (
                f"{where}: a second entry for model {entry['model']!r} of {entry['corpus']!r}; allowed: one, and "
                "others with a `variant` of their own"
            )
        dense = [other for other in config["dense"] if other["corpus"] == entry["corpus"]]
        if not any(trained(other, entry["model"]) for other in dense):
            yield f"{where}.model: {entry['model']!r} is not in `dense` with scope `all`; pruning starts from it"
            continue
        if entry["schedule"] not in config["pruning"]:
            yield unknown(f"{where}.schedule", entry["schedule"], "pruning", config["pruning"])
            continue
        for search in entry["searches"]:
            if search not in config["searches"]:
                yield unknown(f"{where}.searches", search, "searches", config["searches"])
        yield from unfit(config, where, entry["model"], entry["searches"])
        if entry["reference"] and not any(trained(other, entry["reference"], "each") for other in dense):
            yield f"{where}.reference: {entry['reference']!r} is not in `dense` with scope `each`; train it"
        first = entry["searches"][0]
        for other in dense:
            searches = other["searches"] or config["decode"]["searches"]
            fits = all(search in config["searches"] for search in searches)
            fits = fits and not any(unfit(config, where, other["model"], searches))
            if other["model"] in (entry["model"], entry["reference"]) and fits and first not in searches:
                yield (
                    f"{where}.searches: {first!r} is not a search of the dense model {other['model']!r}, which pruned "
                    f"ones are compared with; allowed to come first: {', '.join(searches)}"
                )
        for number, pathways in enumerate(entry["pathways"]):
            yield from _of_pathways(config, f"{where}.pathways[{number}]", entry, pathways)


def _of_pathways(
    config: Mapping[str, Any], below: str, entry: Mapping[str, Any], pathways: Mapping[str, Any]
) -> Iterator[str]:
    languages = config["corpora"][entry["corpus"]]["languages"]
    schedule = schedule_named(config, entry["schedule"])
    levels, every = list(schedule.levels), schedule.own["adapt_every"]
    for language in pathways["languages"]:
        if language not in languages:
            yield unknown(f"{below}.languages", language, f"corpora.{entry['corpus']}.languages", languages)
    for _, sparsity in pathways["start"]:
        if sparsity not in levels:
            yield f"{below}.start: {sparsity} is no level of pruning.{entry['schedule']}; allowed: {levels}"
    turns = config["training"].get(schedule.training, {"steps": 0})["steps"]
    turns //= 1 if schedule.steps_per == "language" else len(pathways["languages"])
    adapts = methods.named(pathways["method"]).adapts
    if adapts and every >= turns > 0:
        yield (
            f"{below}: pruning.{entry['schedule']}.adapt_every is {every}; allowed: less "
            f"than the {turns} steps that each of {len(pathways['languages'])} languages has at a level"
        )
