"""What a study runs of unstructured pruning (`prune`), and what each model is made from. No heavy imports."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from secateur.pruning import methods
from secateur.pruning.options import RankingOptions, ScheduleOptions
from secateur.study.runs import Kind, ModelRun, Parents, languages, level_name, scope_of


@dataclass(frozen=True, kw_only=True)
class Schedule(ScheduleOptions):
    """An entry of `pruning`.

    Attributes:
        levels: sparsities in rising order, the last one being the target.
        own: the options of methods.
    """

    levels: tuple[float, ...]
    own: Mapping[str, Any]

    @property
    def ranked(self) -> RankingOptions:
        """What of it says what is ranked."""
        return RankingOptions(ranking=self.ranking, include=self.include, exclude=self.exclude)


SHARED = tuple(one.name for one in fields(ScheduleOptions))


def schedule_named(config: Mapping[str, Any], name: str) -> Schedule:
    """The pruning schedule of this name."""
    entry = {key: tuple(value) if isinstance(value, list) else value for key, value in config["pruning"][name].items()}
    shared = {key: entry.pop(key) for key in (*SHARED, "levels") if key in entry}
    return Schedule(**shared, own=entry)


def levels_named(config: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """The levels of the pruning schedule of this name."""
    return tuple(config["pruning"][name]["levels"])


def entry_of(config: Mapping[str, Any], run: ModelRun) -> Mapping[str, Any]:
    """The entry of `prune` that a pruned model belongs to."""
    wanted = (run.corpus, run.model, methods.parse(run.method).variant or None)
    return next(entry for entry in config["prune"] if (entry["corpus"], entry["model"], entry["variant"]) == wanted)


def schedule_of(config: Mapping[str, Any], run: ModelRun) -> Schedule:
    """The pruning schedule of a pruned model."""
    return schedule_named(config, entry_of(config, run)["schedule"])


def levels_of(config: Mapping[str, Any], run: ModelRun) -> tuple[float, ...]:
    """The levels of the schedule of a pruned model."""
    return levels_named(config, entry_of(config, run)["schedule"])


def runs(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    """The pruned models of a study: every level of its methods, and its pathways where they end."""
    for entry in config["prune"]:
        for seed in config["seeds"]:
            yield from _of_methods(config, entry, seed)
            yield from _pathways(config, entry, seed)


def _of_methods(config: Mapping[str, Any], entry: Mapping[str, Any], seed: int) -> Iterator[ModelRun]:
    levels = levels_named(config, entry["schedule"])
    for method in map(methods.named, entry["methods"]):
        found = {methods.EVERY: levels, methods.TARGET: levels[-1:], methods.ZERO: (0.0,)}[method.levels]
        scopes = ["all"] if method.scope == methods.ALL else config["corpora"][entry["corpus"]]["languages"]
        for scope in scopes:
            for sparsity in found:
                yield ModelRun(
                    corpus=entry["corpus"],
                    model=entry["model"],
                    scope=scope,
                    seed=seed,
                    method=method.name + _variant(entry),
                    sparsity=sparsity,
                    initialization="dense",
                    mask_changes=method.adapts if method.masks else None,
                )


def _pathways(config: Mapping[str, Any], entry: Mapping[str, Any], seed: int) -> Iterator[ModelRun]:
    target = levels_named(config, entry["schedule"])[-1]
    for pathways in entry["pathways"]:
        method = methods.named(pathways["method"])
        for masks, sparsity in pathways["start"]:
            yield ModelRun(
                corpus=entry["corpus"],
                model=entry["model"],
                scope=scope_of(config, entry["corpus"], pathways["languages"]),
                seed=seed,
                method=f"{method.name}-{masks}-{level_name(sparsity)}{_variant(entry)}",
                sparsity=sparsity if method.levels == methods.MASKS else target,
                initialization=f"{methods.named(masks).shown.label}-{100 * sparsity:g}%",
                mask_changes=method.adapts,
            )


def _variant(entry: Mapping[str, Any]) -> str:
    return f"+{entry['variant']}" if entry["variant"] else ""


def dense_of(run: ModelRun) -> ModelRun:
    """θ0 of a pruned model: the dense multilingual one."""
    return ModelRun(run.corpus, run.model, "all", run.seed)


def parents(config: Mapping[str, Any], run: ModelRun) -> Parents:
    """What a pruned model is made from."""
    parsed, schedule = methods.parse(run.method), schedule_of(config, run)
    method, levels = parsed.method, schedule.levels
    dense = dense_of(run)
    sharing = len(languages(config, run.corpus, run.scope)) if schedule.steps_per == "language" else 1

    def other(scope: str, name: str, sparsity: float) -> ModelRun:
        variant = f"+{parsed.variant}" if parsed.variant else ""
        return ModelRun(run.corpus, run.model, scope, run.seed, name + variant, sparsity)

    if method.from_masks:
        one = "all" if parsed.masks.scope == methods.ALL else ""
        codes = languages(config, run.corpus, run.scope)
        count = _pathways_levels(config, run)
        steps = [] if method.levels == methods.MASKS else _steps_up(levels, parsed.level)
        steps += levels[-1:] * (count - len(steps)) if steps else []
        masks = {code: other(one or code, parsed.masks.name, parsed.level) for code in codes}
        return Parents(dense, masks=masks, levels=count, languages=sharing, sparsities=steps)
    before, first = dense, False
    if methods.BEFORE in (method.start, method.ranked):
        index = [level_name(level) for level in levels].index(level_name(run.sparsity))
        first = index == 0 or method.levels == methods.TARGET
        name, sparsity = (methods.first_level().name, 0.0) if first else (method.name, levels[index - 1])
        before = other(run.scope, name, sparsity)
    known = {methods.BEFORE: before, methods.DENSE: dense, None: None}
    return Parents(
        known[method.start],
        known[method.ranked],
        nested=method.nested and not first,
        levels=len(levels) + 1 if method.all_levels else int(method.trains),
        languages=sharing,
    )


def _steps_up(levels: Sequence[float], start: float) -> list[float]:
    """The levels that masks of the sparsity `start` go through."""
    return [level for level in levels if level >= start]


def _pathways_levels(config: Mapping[str, Any], run: ModelRun) -> int:
    """How many levels' steps pathways are trained for: all of an entry and its languages, so that they can be compared.

    Those that step up from the lowest start need most; the others stay at their last level for the rest.
    """
    entry, levels = entry_of(config, run), levels_of(config, run)
    alike = [part for part in entry["pathways"] if scope_of(config, run.corpus, part["languages"]) == run.scope]
    stepping = [part for part in alike if methods.named(part["method"]).levels != methods.MASKS]
    return max((len(_steps_up(levels, start)) for part in stepping for _, start in part["start"]), default=1)


def ends(config: Mapping[str, Any], run: ModelRun) -> bool:
    """Whether the training of a pruned model ends a schedule: it has a settling phase, and the learning rate goes down.

    Levels on the way have neither, nor has the training that the first of them begins with.
    """
    method, target = methods.parse(run.method).method, levels_of(config, run)[-1]
    return not method.first_level and (method.levels != methods.EVERY or run.sparsity == target)


def _shape(config: Mapping[str, Any]) -> dict[str, Any]:
    levels = {name: {"levels": schedule["levels"]} for name, schedule in config["pruning"].items()}
    return {"pruning": levels, "prune": config["prune"]}


def _leaves_masks(method: str) -> bool:
    return methods.parse(method).method.masks is not None


KIND = Kind(
    owns=lambda method: methods.find(method) is not None,
    runs=runs,
    parents=parents,
    training=lambda config, run: schedule_of(config, run).training,
    searches=lambda config, run: entry_of(config, run)["searches"],
    shape=_shape,
    masks=_leaves_masks,
)
