"""What a study has on S1's claims about heads and the language model, and on ours about heads on top of layers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from secateur.heads import study as heads
from secateur.heads.measured import Times, relative_times
from secateur.heads.study import DEPTH, HEADS, RECOVERED, THEN, HeadsDecoding, smaller_run, system_name
from secateur.heads.tables import AGAINST
from secateur.layers.evidence import whole_models
from secateur.reporting import evidence
from secateur.reporting.claims import Claim, Finding, Missing, Part
from secateur.reporting.compared import compared
from secateur.reporting.results import Results, main_split
from secateur.reporting.systems import System
from secateur.study.runs import Decoding, ModelRun, languages

Entry = Mapping[str, Any]
NORMALISED = ("gradient-layer-l2", "gradient-layer-max", "gradient-min-max")
PLAIN, BY_LAYER = "gradient", "by-layer"


def without_lm(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Decoding without an LM against decoding with the largest: errors, within so many points or percent."""
    unit, most = claim.options["unit"], claim.options["most"]
    for entry in results.config["heads"]:
        if not (pair := _searches(results, entry)):
            yield Missing(f"{_name(results, entry)} has no `lms` with and without a neural language model")
            continue
        split, runs = main_split(results.config, entry["corpus"]), whole_runs(results, entry)
        mine, largest = (whole_models(results, runs, search, split) for search in pair)
        found = compared(results, mine, largest)
        if unit == "%" and found.relative is None:
            yield Missing(f"{_name(results, entry)} makes no errors by {pair[1]}, to which none can be relative")
            continue
        number = found.relative if unit == "%" else found.absolute
        part = Part(evidence.ERRORS, number, above=-most, below=most, unit=unit)
        yield evidence.finding(f"{_name(results, entry)}: {pair[0]} with {pair[1]}", found, [part])


def time_without_lm(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The time of decoding without an LM, in times of that with the largest."""
    for entry in results.config["heads"]:
        if not (pair := _searches(results, entry)):
            yield Missing(f"{_name(results, entry)} has no `lms` with and without a neural language model")
            continue
        runs = whole_runs(results, entry)
        names = [[(system_name(heads.WHOLE, search), "")] * len(runs) for search in pair]
        said = f"{_name(results, entry)}: {pair[0]} with {pair[1]}"
        yield _timed(results, runs, said, names, below=evidence.tolerated(results.config, 0.5))


def normalisation(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """At the middle share: the heads that a normalised importance removes against those that the plain one does."""
    for entry in results.config["heads"]:
        known = [name for name in NORMALISED if name in entry["importances"]]
        if PLAIN not in entry["importances"] or not known or AGAINST not in entry["policies"]:
            yield Missing(f"{_name(results, entry)} has not the importance {PLAIN} and a normalised one")
            continue
        runs, share = whole_runs(results, entry), _middle(entry)
        sets = [sets_of(results, run) for run in runs]
        name, same = system_name(heads.WHOLE, entry["latency"]["searches"][0]), evidence.tolerated(results.config, 1.0)
        for importance in known:
            pair = [[found[one, AGAINST, share] for found in sets] for one in (importance, PLAIN)]
            if pair[0] == pair[1]:
                yield Missing(f"{importance} and {PLAIN} remove the same heads of {_name(results, entry)}")
                continue
            said = f"{_name(results, entry)}, {100 * share:g} % of the heads by {importance} with those by {PLAIN}"
            names = [[(name, part) for part in side] for side in pair]
            yield _timed(results, runs, said, names, above=1 / same, below=same)


def locality(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """At the middle share: the lowest layers first, against the least important heads; faster, with more errors."""
    for entry in results.config["heads"]:
        if not {BY_LAYER, AGAINST} <= set(entry["policies"]):
            yield Missing(f"{_name(results, entry)} has not both policies, {BY_LAYER} and {AGAINST}")
            continue
        share, importance, split = _middle(entry), entry["importances"][0], main_split(results.config, entry["corpus"])
        search = next((one for one in entry["searches"] if one in entry["latency"]["searches"]), None)
        runs = whole_runs(results, entry)
        sets = [sets_of(results, run) for run in runs]
        pair = [[found[importance, policy, share] for found in sets] for policy in (BY_LAYER, AGAINST)]
        if search is None or pair[0] == pair[1]:
            yield Missing(
                f"{_name(results, entry)}: no search is decoded and timed, or both policies remove the same heads"
            )
            continue
        mine, other = (
            [part_of(results, run, part, search, split) for run, part in zip(runs, parts, strict=True)]
            for parts in pair
        )
        found, name = compared(results, mine, other), system_name(heads.WHOLE, search)
        times = relative_times(
            [Times(results, run) for run in runs], *([(name, part) for part in side] for side in pair)
        )
        if times is None:
            yield Missing(f"{_name(results, entry)}, {BY_LAYER} and {AGAINST}: not timed")
            continue
        errors, unit = (found.absolute, "points") if found.relative is None else (found.relative, "%")
        parts = [evidence.faster(times.number), Part(evidence.ERRORS, errors, above=0.0, unit=unit)]
        said = f"{_name(results, entry)}, {100 * share:g} % of the heads, {BY_LAYER} with {AGAINST}, {search}"
        yield evidence.finding(said, found, parts, times.doubt, times.files)


def heads_on_layers(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Fewer layers and then fewer heads against fewer layers alone: faster, and no worse."""
    for entry in results.config["heads"]:
        if not (chosen := entry["combine"]):
            yield Missing(f"{_name(results, entry)} has no `combine`")
            continue
        depth = f"{DEPTH}{chosen['strategy']}-{chosen['depth']}"
        both = depth + THEN + heads.heads_step(chosen["policy"], chosen["share"])
        search, suffix = entry["latency"]["searches"][0], RECOVERED if chosen["recovery"] else ""
        if search not in entry["searches"]:
            yield Missing(f"{_name(results, entry)} is timed by {search}, but not decoded by it")
            continue
        names = [[(system_name(method, search), "")] * len(results.config["seeds"]) for method in (both, depth)]
        times = relative_times([Times(results, run) for run in whole_runs(results, entry)], *names)
        if times is None:
            yield Missing(f"{both} and {depth} of {_name(results, entry)} were not timed")
            continue
        sides = []
        split, codes = main_split(results.config, entry["corpus"]), languages(results.config, entry["corpus"], "all")
        for method in (both, depth):
            runs = [smaller_run(entry, method + suffix, seed) for seed in results.config["seeds"]]
            sides.append([system_of(run, codes, search, split) for run in runs])
        found = compared(results, sides[0], sides[1])
        parts = [evidence.faster(times.number), evidence.no_worse(results, found)]
        after = ", trained on" if suffix else ""
        said = f"{_name(results, entry)}: {both.removeprefix(HEADS)} with {depth}{after}, {search}"
        yield evidence.finding(said, found, parts, times.doubt, times.files)


def _timed(
    results: Results, runs: Sequence[ModelRun], said: str, systems: Sequence[Sequence[tuple[str, str]]], **bounds: float
) -> Finding | Missing:
    """A finding about times alone: those of two systems, each as (name, sub-model) by seed."""
    found = relative_times([Times(results, run) for run in runs], *systems)
    if found is None:
        return Missing(f"{said}: not timed")
    relative = 100 * (float(found.number.value) - 1)
    part = Part(evidence.TIME, found.number, unit="times", **bounds)
    return Finding(
        said,
        [part],
        found.files,
        found.seeds,
        found.utterances,
        relative=relative,
        interval=found.interval,
        doubt=found.doubt,
    )


def _searches(results: Results, entry: Entry) -> tuple[str, str] | None:
    """The search of `lms` without a language model, and that with the one of most parameters."""
    having = {search: lm for search in entry["lms"] if (lm := results.lm_of(search))}
    without = [search for search in entry["lms"] if not results.lm_of(search)]
    if not having or not without:
        return None
    seed = results.config["seeds"][0]

    def parameters(search: str) -> int:
        file = heads.perplexity_file(entry["corpus"], having[search], seed)
        return results.json(file, "parameters")["parameters"]

    return without[0], max(having, key=parameters)


def sets_of(results: Results, run: ModelRun) -> dict[tuple[str, str, float], str]:
    """The set of heads that a model lacks, by importance, policy and share."""
    rows = results.json(heads.removals_file(run), "systems")["systems"]
    return {(row["importance"], row["policy"], row["share"]): row["set"] for row in rows}


def part_of(results: Results, run: ModelRun, part: str, search: str, split: str) -> System:
    """A model without one of its sets of heads."""
    codes = languages(results.config, run.corpus, run.scope)
    return System({code: HeadsDecoding(run, split, code, search) for code in codes}, part)


def system_of(run: ModelRun, codes: Sequence[str], search: str, split: str) -> System:
    """A model that has a checkpoint of its own."""
    return System({code: Decoding(run, split, code, search) for code in codes})


def _middle(entry: Entry) -> float:
    """The share next to a half."""
    return min(entry["shares"], key=lambda share: abs(share - 0.5))


def whole_runs(results: Results, entry: Entry) -> list[ModelRun]:
    """The models of all seeds that heads are removed from."""
    return [ModelRun(entry["corpus"], entry["model"], "all", seed) for seed in results.config["seeds"]]


def _name(results: Results, entry: Entry) -> str:
    return f"{evidence.model_name(results.config, entry['model'])} on {entry['corpus']}"
