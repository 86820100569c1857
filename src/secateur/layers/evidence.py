"""What a study has on the claims about layers: sub-models (S2), and regularisers that come late (S1)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, log
from statistics import fmean
from typing import Any

import numpy as np

from secateur.decoding.timing import RATIO
from secateur.layers import study as layers
from secateur.layers.rtf import depth_name
from secateur.reporting import evidence
from secateur.reporting.claims import Claim, Finding, Missing, Part
from secateur.reporting.compared import compared
from secateur.reporting.results import Results, main_split
from secateur.reporting.systems import System, rated
from secateur.reporting.times import Times
from secateur.statistics.estimates import over_seeds
from secateur.statistics.verdicts import Ratio
from secateur.study.runs import DEV, Decoding, ModelRun, languages, searches

PUBLISHED_RATIO = 0.4
"""0.002 / 0.005, the real-time factors of S2."""
REGULARISERS = ("intermediate_ctc", "stochastic_depth", "training", "start")
ONE_SEED = "one seed: a loss has no interval over utterances; run several seeds"


def sub_models(
    results: Results, entry: Mapping[str, Any], strategy: str, depth: int, search: str, split: str
) -> list[System]:
    """A depth of every seed's model, by a strategy, with a search."""
    found = []
    for seed in results.config["seeds"]:
        run = layers.whole(entry, seed)
        order = results.json(layers.order_file(run, strategy, entry["of"]), "depths")
        kept = ",".join(map(str, order["depths"][str(depth)]["layers"]))
        codes = languages(results.config, run.corpus, run.scope)
        decodings = {code: layers.decoding_of(entry)(run, split, code, search) for code in codes}
        found.append(System(decodings, layers.sub_model(entry, kept)))
    return found


def whole_models(results: Results, runs: Sequence[ModelRun], search: str, split: str) -> list[System]:
    """Models with all that they have; none if the study does not decode them with this search."""
    if any(search not in searches(results.config, run) for run in runs):
        return []
    return [
        System({code: Decoding(run, split, code, search) for code in languages(results.config, run.corpus, run.scope)})
        for run in runs
    ]


def trained_alone(results: Results, entry: Mapping[str, Any], depth: int, search: str, split: str) -> list[System]:
    """The models that were trained at a depth by themselves: of those with and without regularisers, `rivals`."""
    return whole_models(results, rivals(results, entry, depth), search, split)


def rivals(results: Results, entry: Mapping[str, Any], depth: int) -> list[ModelRun]:
    """The models trained alone at a depth, of every seed, with the fewest errors on dev by the entry's first search.

    Which of them had regularisers is told by their name. If there is one kind only, no dev data are looked at.
    """
    seeds, search = results.config["seeds"], entry["searches"][0]
    kinds = list(zip(*(layers.trained_runs(results.config, entry, depth, seed) for seed in seeds), strict=True))

    def on_dev(runs: Iterable[ModelRun]) -> float:
        systems = whole_models(results, list(runs), search, DEV)
        return fmean(rated(results, system)["wer"] for system in systems) if systems else inf

    return list(min(kinds, key=on_dev) if len(kinds) > 1 else kinds[0])


def regularised(results: Results, entry: Mapping[str, Any]) -> bool:
    """Whether the model of an entry of `layers` has intermediate CTC or stochastic depth, from the start or late."""
    if entry["variant"]:
        return True
    model = results.config["models"][entry["model"]]
    return bool((model.get("intermediate_ctc") or {}).get("layers") or model.get("stochastic_depth"))


def as_trained_alone(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """At each depth: the sub-model of a model with both regularisers against the one trained alone."""
    for entry in filter(lambda entry: regularised(results, entry), layers.of_encoders(results.config)):
        split, strategy = main_split(results.config, entry["corpus"]), entry["strategies"][0]
        search = entry["searches"][0]
        for depth in entry["trained"]:
            found = compared(
                results,
                sub_models(results, entry, strategy, depth, search, split),
                trained_alone(results, entry, depth, search, split),
            )
            rival = rivals(results, entry, depth)[0].model
            said = f"{_name(results, entry)}, {strategy}, {depth} layers, with {rival}, trained alone at that depth"
            yield evidence.finding(said, found, [evidence.no_worse(results, found)])


def without_regularisers(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """At each depth: the sub-model of a model without regularisers against one trained alone, its own or another's."""
    plain = [entry for entry in layers.of_encoders(results.config) if not regularised(results, entry)]
    for entry in plain:
        others = [entry, *(other for other in layers.of_encoders(results.config) if _alike(results, entry, other))]
        rival = next((other for other in others if set(other["trained"]) & set(entry["depths"])), None)
        if rival is None:
            yield Missing(f"no model of the size of {_name(results, entry)} is trained alone at one of its depths")
            continue
        split, strategy = main_split(results.config, entry["corpus"]), entry["strategies"][0]
        search = entry["searches"][0]
        for depth in (depth for depth in rival["trained"] if depth in entry["depths"]):
            alone = trained_alone(results, rival, depth, search, split)
            if not alone:
                yield Missing(f"{rivals(results, rival, depth)[0].model} is not decoded by {search}")
                continue
            found = compared(results, sub_models(results, entry, strategy, depth, search, split), alone)
            said = f"{_name(results, entry)}, {strategy}, {depth} layers, with {rivals(results, rival, depth)[0].model}"
            yield evidence.finding(said, found, [evidence.worse(results, found)])


def speed_at_equal_errors(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The greatest depth that is fast enough (else the fastest), against the whole model: time, and errors no worse."""
    most, times = evidence.tolerated(results.config, PUBLISHED_RATIO), Times(results)
    for entry in filter(lambda entry: regularised(results, entry), layers.of_encoders(results.config)):
        split, strategy = main_split(results.config, entry["corpus"]), entry["strategies"][0]
        runs = [layers.whole(entry, seed) for seed in results.config["seeds"]]
        family, search = times.family(runs[0]), entry["searches"][0]
        timed = [row for depth in entry["depths"] if (row := family.of(runs[0], search, depth_name(depth)))]
        base = whole_models(results, runs, search, split)
        if not timed or not base:
            yield Missing(
                f"the depths of {_name(results, entry)} are not timed, or it is not decoded whole, by {search}"
            )
            continue
        fast = [row for row in timed if row["ratio"] < most]
        row = max(fast, key=lambda row: int(row["depth"])) if fast else min(timed, key=lambda row: row["ratio"])
        depth = int(row["depth"])
        found = compared(results, sub_models(results, entry, strategy, depth, search, split), base)
        ratio = Ratio(*(row[name] for name in RATIO))
        parts = [evidence.faster(ratio, most), evidence.no_worse(results, found)]
        said = f"{_name(results, entry)}, {strategy}, {depth} layers, with all layers, on {family.device}"
        yield evidence.finding(said, found, parts, family.doubt(search), family.source)


def svcca(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """Layers chosen by SVCCA against layers drawn at random: errors, mean over the depths at which they differ."""
    for entry in layers.of_encoders(results.config):
        if not {"svcca", "random"} <= set(entry["strategies"]):
            yield Missing(f"{_name(results, entry)} has not both strategies, svcca and random")
            continue
        search, split = entry["searches"][0], main_split(results.config, entry["corpus"])
        sides = [
            [sub_models(results, entry, strategy, depth, search, split) for depth in entry["depths"]]
            for strategy in ("svcca", "random")
        ]
        chosen = [place for place, pair in enumerate(zip(*sides, strict=True)) if pair[0] != pair[1]]
        if not chosen:
            yield Missing(f"both strategies keep the same layers of {_name(results, entry)} at all depths")
            continue
        mine, other = ([tuple(side[place][seed] for place in chosen) for seed in range(len(side[0]))] for side in sides)
        found = compared(results, mine, other)
        depths = ", ".join(str(entry["depths"][place]) for place in chosen)
        said = f"{_name(results, entry)}: svcca with random, mean over depths {depths}"
        yield evidence.finding(said, found, [evidence.better(found)])


def jump(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """The highest dev loss while intermediate CTC is brought in, as a multiple of that of the control."""
    for entry in results.config["regularise"]:
        brought = [
            (variant["name"], control["name"])
            for variant in entry["variants"]
            if variant["intermediate_ctc"]["layers"]
            and not variant["stochastic_depth"]
            and not variant["rise"]
            and (control := control_of(entry, variant))
            and variant["training"] == control["training"]
        ]
        if not brought:
            yield Missing(
                f"{entry['model']} has no variant with intermediate CTC alone and a control of the same training"
            )
            continue
        seeds, files, ratios = results.config["seeds"], [], []
        for seed in seeds:
            peaks = []
            for name in brought[0]:
                run = layers.late_run(entry, name, seed)
                peaks.append(peak(results, run))
                files += [f"{run.folder}/history.tsv", f"{run.folder}/run.json"]
            ratios.append(100 * log(peaks[0] / peaks[1]))
        number = over_seeds(ratios)
        effect = 100 * float(np.expm1(number.value / 100))
        yield Finding(
            f"late-{brought[0][0]} with late-{brought[0][1]}: {entry['model']} on {entry['corpus']}",
            [Part("log ratio of highest losses", number, above=0.0, unit="%")],
            " ".join(files),
            len(seeds),
            relative=effect,
            interval="seeds",
            doubt=ONE_SEED if len(seeds) == 1 else "",
        )


def control_of(entry: Mapping[str, Any], like: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
    """The variant of an entry of `regularise` with no regulariser: as many steps, nothing else.

    Of several, that with the training of the variant `like`; the first if none has it.
    """
    found = [one for one in entry["variants"] if not one["intermediate_ctc"]["layers"] and not one["stochastic_depth"]]
    alike = [one for one in found if like and one["training"] == like["training"]]
    return next(iter([*alike, *found]), None)


def peak(results: Results, run: ModelRun) -> float:
    """The highest loss of the dev data by the last layer, from before the first step on."""
    record = results.json(f"{run.folder}/run.json", "initial_loss")
    history = results.tsv(f"{run.folder}/history.tsv", "dev_loss")
    return max(record["initial_loss"], *(float(row["dev_loss"]) for row in history if row["dev_loss"]))


def _name(results: Results, entry: Mapping[str, Any]) -> str:
    whole = layers.whole(entry, 0)
    return f"{evidence.model_name(results.config, whole.model, layers.name(whole))} on {entry['corpus']}"


def _alike(results: Results, entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two entries are about models that differ in their regularisers at most."""
    mine, theirs = (
        {key: value for key, value in results.config["models"][one["model"]].items() if key not in REGULARISERS}
        for one in (entry, other)
    )
    return other is not entry and entry["corpus"] == other["corpus"] and mine == theirs and not other["variant"]
