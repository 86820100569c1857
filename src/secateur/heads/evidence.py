"""What a study has on S1's claims about heads and the language model, and on ours about heads on top of layers."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.decoding.timing import time_ratio
from secateur.heads import study as heads
from secateur.heads.measured import Times
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
OVER_TIMES = "rounds and utterances, one model"


def without_lm(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Decoding without an LM against decoding with the largest: errors, within so many points or percent."""
    unit, most = claim.options["unit"], claim.options["most"]
    for entry in results.config["heads"]:
        if not (pair := _searches(results, entry)):
            yield Missing(f"{_name(entry)} has no `lms` with and without a neural language model")
            continue
        split, runs = main_split(results.config, entry["corpus"]), _runs(results, entry)
        found = compared(results, *(whole_models(results, runs, search, split) for search in pair))
        if unit == "%" and found.relative is None:
            yield Missing(f"{_name(entry)} makes no errors by {pair[1]}, to which none can be relative")
            continue
        number = found.relative if unit == "%" else found.absolute
        part = Part(evidence.ERRORS, number, above=-most, below=most, unit=unit)
        yield evidence.finding(f"{_name(entry)}: {pair[0]} with {pair[1]}", found, [part])


def time_without_lm(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The time of decoding without an LM, in times of that with the largest."""
    for entry in results.config["heads"]:
        if not (pair := _searches(results, entry)):
            yield Missing(f"{_name(entry)} has no `lms` with and without a neural language model")
            continue
        names = [(system_name(heads.WHOLE, search), "") for search in pair]
        said = f"{_name(entry)}: {pair[0]} with {pair[1]}"
        yield _timed(results, entry, said, names, below=evidence.tolerated(results.config, 0.5))


def normalisation(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """At the middle share: the heads that a normalised importance removes against those that the plain one does."""
    for entry in results.config["heads"]:
        known = [name for name in NORMALISED if name in entry["importances"]]
        if PLAIN not in entry["importances"] or not known or AGAINST not in entry["policies"]:
            yield Missing(f"{_name(entry)} has not the importance {PLAIN} and a normalised one")
            continue
        sets, share = _sets(results, entry), _middle(entry)
        name, same = system_name(heads.WHOLE, entry["latency"]["searches"][0]), evidence.tolerated(results.config, 1.0)
        for importance in known:
            pair = [sets[one, AGAINST, share] for one in (importance, PLAIN)]
            if pair[0] == pair[1]:
                yield Missing(f"{importance} and {PLAIN} remove the same heads of {_name(entry)}")
                continue
            said = f"{_name(entry)}, {100 * share:g} % of the heads by {importance} with those by {PLAIN}"
            yield _timed(results, entry, said, [(name, part) for part in pair], above=1 / same, below=same)


def locality(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """At the middle share: the lowest layers first, against the least important heads; faster, with more errors."""
    for entry in results.config["heads"]:
        if not {BY_LAYER, AGAINST} <= set(entry["policies"]):
            yield Missing(f"{_name(entry)} has not both policies, {BY_LAYER} and {AGAINST}")
            continue
        share, importance, split = _middle(entry), entry["importances"][0], main_split(results.config, entry["corpus"])
        search = next((one for one in entry["searches"] if one in entry["latency"]["searches"]), None)
        pair = [_sets(results, entry)[importance, policy, share] for policy in (BY_LAYER, AGAINST)]
        if search is None or pair[0] == pair[1]:
            yield Missing(f"{_name(entry)}: no search is decoded and timed, or both policies remove the same heads")
            continue
        sides = []
        for policy in (BY_LAYER, AGAINST):
            sides.append([_part(results, entry, run, policy, share, search, split) for run in _runs(results, entry)])
        found, name = compared(results, *sides), system_name(heads.WHOLE, search)
        times = Times(results, _runs(results, entry)[0])
        number = time_ratio(*(times.rows(name, part) for part in pair))
        errors, unit = (found.absolute, "points") if found.relative is None else (found.relative, "%")
        parts = [evidence.faster(number), Part(evidence.ERRORS, errors, above=0.0, unit=unit)]
        said = f"{_name(entry)}, {100 * share:g} % of the heads, {BY_LAYER} with {AGAINST}, {search}"
        yield evidence.finding(said, found, parts, times.doubt, times.files)


def heads_on_layers(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Fewer layers and then fewer heads against fewer layers alone: faster, and no worse."""
    for entry in results.config["heads"]:
        if not (chosen := entry["combine"]):
            yield Missing(f"{_name(entry)} has no `combine`")
            continue
        depth = f"{DEPTH}{chosen['strategy']}-{chosen['depth']}"
        both = depth + THEN + heads.heads_step(chosen["policy"], chosen["share"])
        search, suffix = entry["latency"]["searches"][0], RECOVERED if chosen["recovery"] else ""
        if search not in entry["searches"]:
            yield Missing(f"{_name(entry)} is timed by {search}, but not decoded by it")
            continue
        times = Times(results, _runs(results, entry)[0])
        rows = [times.rows(system_name(method, search)) for method in (both, depth)]
        if not all(rows):
            yield Missing(f"{both} and {depth} of {_name(entry)} were not timed")
            continue
        sides = []
        split, codes = main_split(results.config, entry["corpus"]), languages(results.config, entry["corpus"], "all")
        for method in (both, depth):
            runs = [smaller_run(entry, method + suffix, seed) for seed in results.config["seeds"]]
            sides.append([_system(run, codes, search, split) for run in runs])
        found = compared(results, *sides)
        parts = [evidence.faster(time_ratio(*rows)), evidence.no_worse(results, found)]
        after = ", trained on" if suffix else ""
        said = f"{_name(entry)}: {both.removeprefix(HEADS)} with {depth}{after}, {search}"
        yield evidence.finding(said, found, parts, times.doubt, times.files)


def _timed(
    results: Results, entry: Entry, said: str, systems: list[tuple[str, str]], **bounds: float
) -> Finding | Missing:
    """A finding about times alone: those of two systems (name, sub-model) of the first seed's model."""
    times = Times(results, _runs(results, entry)[0])
    rows = [times.rows(*system) for system in systems]
    if not all(rows):
        return Missing(f"{said}: not timed")
    number = time_ratio(*rows)
    relative = 100 * (number.value - 1)
    part = Part(evidence.TIME, number, unit="times", **bounds)
    count = len({row["utterance"] for row in rows[0]})
    return Finding(said, [part], times.files, 1, count, relative=relative, interval=OVER_TIMES, doubt=times.doubt)


def _searches(results: Results, entry: Entry) -> tuple[str, str] | None:
    """The search of `lms` without a language model, and that with the one of most parameters."""
    having = [search for search in entry["lms"] if results.lm_of(search)]
    without = [search for search in entry["lms"] if not results.lm_of(search)]
    if not having or not without:
        return None
    seed = results.config["seeds"][0]

    def parameters(search: str) -> int:
        file = heads.perplexity_file(entry["corpus"], results.lm_of(search), seed)
        return results.json(file, "parameters")["parameters"]

    return without[0], max(having, key=parameters)


def _sets(results: Results, entry: Entry) -> dict[tuple[str, str, float], str]:
    """The set of heads that the first seed's model lacks, by importance, policy and share."""
    return _sets_of(results, _runs(results, entry)[0])


def _sets_of(results: Results, run: ModelRun) -> dict[tuple[str, str, float], str]:
    rows = results.json(heads.removals_file(run), "systems")["systems"]
    return {(row["importance"], row["policy"], row["share"]): row["set"] for row in rows}


def _part(results: Results, entry: Entry, run: ModelRun, policy: str, share: float, search: str, split: str) -> System:
    codes = languages(results.config, run.corpus, run.scope)
    part = _sets_of(results, run)[entry["importances"][0], policy, share]
    return System({code: HeadsDecoding(run, split, code, search) for code in codes}, part)


def _system(run: ModelRun, codes: list[str], search: str, split: str) -> System:
    return System({code: Decoding(run, split, code, search) for code in codes})


def _middle(entry: Entry) -> float:
    """The share next to a half."""
    return min(entry["shares"], key=lambda share: abs(share - 0.5))


def _runs(results: Results, entry: Entry) -> list[ModelRun]:
    return [ModelRun(entry["corpus"], entry["model"], "all", seed) for seed in results.config["seeds"]]


def _name(entry: Entry) -> str:
    return f"{entry['model']} on {entry['corpus']}"
