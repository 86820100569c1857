"""Layer pruning on demand: error rates and time by depth, how alike layers are, and late regularisers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from secateur.decoding.timing import AGAIN, RATIO
from secateur.layers import study as layers
from secateur.layers.rtf import depth_name
from secateur.layers.study import late_run
from secateur.reporting import rates, views
from secateur.reporting.grid import Cell, Grid, Row, listing, measure, pivot
from secateur.reporting.results import Results
from secateur.reporting.systems import RATES, System, scored
from secateur.reporting.times import SOUND, Times, on_gpu, soundness
from secateur.study.runs import Decoding, ModelRun, languages, reported_splits

WHOLE, TRAINED, WITH = "whole", "trained", "trained with regularisers"
AXES = ("corpus", "model", "seed", "strategy", "depth", "layers_kept", "split", "language", "search")
COLUMNS = (*AXES, *RATES, "rtf", "device", *SOUND, "layer_forwards", "searched_on", "same_choice", "source")
MEASURED = ("rtf", "rtf_low", "rtf_high", *RATIO)
RTF_COLUMNS = (
    *("corpus", "model", "seed", "measured_model", "depth", "search", "device", *MEASURED, "rounds", "utterances"),
    *("threads", *SOUND, "budgets", "source"),
)
SVCCA_COLUMNS = ("corpus", "seed", "measure", "model_a", "layer_a", "model_b", "layer_b", "value", "source")
LOSSES = ("initial_loss", "regularised_loss", "peak_loss", "final_loss")
FINETUNE_COLUMNS = (
    *("corpus", "model", "seed", "variant", "regulariser", "intermediate_layers", "weight", "stochastic_depth"),
    "ramp",
    *("schedule", "steps", *LOSSES, "split", "language", "search", *RATES),
    "source",
)
SCRATCH, DENSE = "from scratch", "dense"


@dataclass(frozen=True)
class Part:
    """The whole model, a sub-model or a model trained alone, with one search on one split."""

    strategy: str
    depth: int
    kept: str
    system: System


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per sub-model, whole model and model trained alone, in every language; as language `avg` their mean."""
    times = Times(results)
    for entry, run in layers.runs(results.config):
        files = layers.order_files(entry, run)
        costs = {name: results.json(file, "depths") for name, file in files.items()}
        for split in reported_splits(results.config, run.corpus):
            for search in entry["searches"]:
                found = list(_parts(results, entry, run, costs, split, search))
                for part in found:
                    cost = costs.get(part.strategy, {})
                    timed = _time(times, entry, run, part, search)
                    for language, values in scored(results, part.system):
                        axes = (
                            run.corpus,
                            layers.name(run, entry["of"]),
                            run.seed,
                            part.strategy,
                            part.depth,
                            part.kept,
                        )
                        yield {
                            **dict(zip(AXES, (*axes, split, language, search), strict=True)),
                            **values,
                            **{column: timed.get(column) for column in ("rtf", "device", *SOUND)},
                            "layer_forwards": cost.get("layer_forwards"),
                            "searched_on": cost.get("dev_utterances"),
                            "same_choice": _same_choice(cost, part.depth),
                        }


def _same_choice(order: Mapping[str, Any], depth: int) -> float | None:
    """Of a greedy search, the share of resampled dev sets on which the removal that led to a depth is the same."""
    found = [one["same"] for one in order.get("rounds", ()) if "same" in one]
    removals = len(found) + 1 - depth  # of n layers, n − 1 go one by one
    return found[removals - 1] if found and removals else None


def _parts(
    results: Results, entry: Mapping[str, Any], run: ModelRun, orders: Mapping[str, Any], split: str, search: str
) -> Iterator[Part]:
    """The whole model, its sub-models, and the models that were trained at a smaller depth."""
    codes = languages(results.config, run.corpus, run.scope)
    size = layers.whole_depth(results.config, entry)
    whole = ",".join(str(number) for number in range(1, size + 1))
    yield Part(WHOLE, size, whole, System({code: Decoding(run, split, code, search) for code in codes}))
    decodings = {code: layers.decoding_of(entry)(run, split, code, search) for code in codes}
    for strategy, order in orders.items():
        for depth in entry["depths"]:
            kept = ",".join(map(str, order["depths"][str(depth)]["layers"]))
            yield Part(strategy, depth, kept, System(decodings, layers.sub_model(entry, kept)))
    for depth in entry["trained"]:
        for other in layers.trained_runs(results.config, entry, depth, run.seed):
            name = WITH if other.model.endswith(layers.REGULARISED) else TRAINED
            yield Part(name, depth, "", System({code: Decoding(other, split, code, search) for code in codes}))


def _time(times: Times, entry: Mapping[str, Any], run: ModelRun, part: Part, search: str) -> dict[str, Any]:
    """What was timed of a part, or of another model of as many layers that computes the same."""
    if part.strategy in (TRAINED, WITH):
        decoding = next(iter(part.system.decodings.values()))
        return times.of(decoding.run, search)[0]
    return times.of(run, search, "" if part.strategy == WHOLE else depth_name(part.depth, entry["of"]))[0]


def speeds(results: Results) -> Iterator[dict[str, Any]]:
    """The measured real-time factors of all depths on all devices, and the budgets that a depth is the answer to.

    Of the first seed, whose models were timed for all. What the reference takes when it is timed again is called A/A.
    """
    times = Times(results)
    for entry, run in layers.runs(results.config):
        if run.seed != results.config["seeds"][0]:
            continue
        family = times.family(run)
        for device in family.devices:
            for search in entry["searches"]:
                whole, name = layers.whole_depth(results.config, entry), layers.name(run, entry["of"])
                parts = {whole: "", **{depth: depth_name(depth, entry["of"]) for depth in entry["depths"]}}
                timed = {depth: family.of(run, search, part, device) for depth, part in parts.items()}
                found = [(name, row and row | {"depth": str(depth)}) for depth, row in timed.items()]
                alone = [layers.trained_runs(results.config, entry, depth, run.seed)[:1] for depth in entry["trained"]]
                found += [(other.model, family.of(other, search, device=device)) for (other,) in alone]
                answers = _answers(entry, found[: len(parts)])
                for model, row in (*found, (AGAIN, family.again(search, device))):
                    if row:
                        axes = {"corpus": run.corpus, "model": name, "seed": run.seed}
                        budgets = "" if model != name else answers.get(row["depth"], "")
                        facts = axes | {"measured_model": model, "budgets": budgets, "source": family.source}
                        yield {column: (row | facts).get(column) for column in RTF_COLUMNS}


def _answers(entry: Mapping[str, Any], found: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """By depth, the real-time factors of `rtf_budgets` that it is the greatest to keep within."""
    answers: dict[str, list[str]] = {}
    for budget in entry["rtf_budgets"]:
        fits = [int(row["depth"]) for _, row in found if row and row["rtf"] <= budget]
        if fits:
            answers.setdefault(str(max(fits)), []).append(f"{budget:g}")
    return {depth: " ".join(budgets) for depth, budgets in answers.items()}


def similarities(results: Results) -> Iterator[dict[str, Any]]:
    """SVCCA and linear CKA of all pairs of layers, each once."""
    for corpus, rate, seed in layers.comparisons(results.config):
        source = f"{layers.similarity_folder(corpus, rate, seed)}/similarity.tsv"
        for row in results.tsv(source, "measure", "value"):
            yield {"corpus": corpus, "seed": seed, **row, "source": source}


def shown_pairs(rows: Sequence[Row]) -> list[Row]:
    """Of similarities, those of the figure: SVCCA of the first seed, each model with itself and the first with each."""
    if not rows:
        return []
    first = {key: rows[0][key] for key in ("corpus", "seed", "measure")}  # CKA is the other measure
    rows = [row for row in rows if all(row[key] == value for key, value in first.items())]
    return [row for row in rows if row["model_a"] in (row["model_b"], rows[0]["model_a"])]


def finetuned(results: Results) -> Iterator[dict[str, Any]]:
    """What regularisers do that come late: the dense model, its variants, and the model that had them from scratch."""
    for entry in results.config["regularise"]:
        model = results.config["models"][entry["model"]]
        for seed in results.config["seeds"]:
            start = ModelRun(entry["corpus"], entry["model"], "all", seed)
            facts = regularisers(model.get("intermediate_ctc"), model["stochastic_depth"])
            yield from _finetuned(results, entry, start, {"variant": DENSE, **facts})
            for variant in entry["variants"]:
                run = late_run(entry, variant["name"], seed)
                facts = regularisers(
                    variant["intermediate_ctc"], variant["stochastic_depth"], variant.get("flat", False)
                )
                record = results.json(f"{run.folder}/run.json", "initial_loss", "regularised_loss", "steps")
                history = results.tsv(f"{run.folder}/history.tsv", "dev_loss")
                losses = [float(row["dev_loss"]) for row in history if row["dev_loss"]]
                training = results.config["training"][variant["training"]]
                rise = f", weight rises for {variant['rise']} steps" if variant["rise"] else ""
                yield from _finetuned(
                    results,
                    entry,
                    run,
                    {
                        "variant": variant["name"],
                        **facts,
                        "schedule": f"rate {training['learning_rate']:g} after {training['warmup']} steps{rise}",
                        "steps": record["steps"],
                        "initial_loss": record["initial_loss"],
                        "regularised_loss": record["regularised_loss"],
                        "peak_loss": max(record["initial_loss"], *losses),
                        "final_loss": losses[-1],
                    },
                )
            if entry["scratch"]:
                other = results.config["models"][entry["scratch"]]
                facts = regularisers(other.get("intermediate_ctc"), other["stochastic_depth"])
                yield from _finetuned(
                    results, entry, replace(start, model=entry["scratch"]), {"variant": SCRATCH} | facts
                )


def regularisers(intermediate: Mapping[str, Any] | None, stochastic_depth: float, flat: bool = False) -> dict[str, Any]:
    """What a model is regularised by, for the columns of `finetune.tsv`."""
    places = list(intermediate["layers"]) if intermediate else []
    name = {(True, True): "both", (True, False): "intermediate CTC", (False, True): "stochastic depth"}
    return {
        "regulariser": name.get((bool(places), bool(stochastic_depth)), "none"),
        "intermediate_layers": ",".join(map(str, places)),
        "weight": intermediate["weight"] if places else None,
        "stochastic_depth": stochastic_depth,
        "ramp": ("flat" if flat else "rising") if stochastic_depth else "",
    }


def _finetuned(
    results: Results,
    entry: Mapping[str, Any],
    run: ModelRun,
    facts: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    codes = languages(results.config, run.corpus, run.scope)
    for split in reported_splits(results.config, run.corpus):
        for search in entry["searches"]:
            system = System({code: Decoding(run, split, code, search) for code in codes})
            for language, values in scored(results, system):
                axes = {"corpus": run.corpus, "model": entry["model"], "seed": run.seed}
                place = {"split": split, "language": language, "search": search}
                yield {**axes, **facts, **place, **values}


# --- for reading


def view(tables: views.Tables) -> list[Grid]:
    """By model: error rates by strategy and depth, and what finding the layers cost."""
    grids = []
    for (corpus, model, search), members in views.grouped(tables["layers"], "corpus", "model", "search").items():
        where = f"{model}, {search}, {views.named(tables, corpus)}"
        chosen = averaged(members)
        about = _about(tables, corpus, model, members)
        index = ("strategy", "split")

        notes = (views.INTERVALS, f"Strategies `{TRAINED}` and `{WITH}`: models trained alone at that depth.", about)
        for column, named in (("wer", "Word"), ("cer", "Character")):

            def by_depth(row: Row, column: str = column) -> list[tuple[str, Cell]]:
                return [(f"depth {row['depth']}", measure(row, column, 1, interval=True))]

            title = f"{named} error rate (%) by depth: {where}"
            title = rates.rate(tables, corpus)(title) if column == "wer" else title
            by_strategy = pivot(title, chosen, index, by_depth, keep=("strategy",))
            grids.append(replace(by_strategy, caption=" ".join(("Mean over languages.", *notes))))
        costly = {row["strategy"]: row for row in members if row["layer_forwards"]}
        columns = {"strategy": "Strategy", "layer_forwards": "Layer-forwards", "searched_on": "Utterances"}
        numbers = {"layer_forwards": 0, "searched_on": 0}
        grid = listing(f"What it costs to find the layers: {where}", list(costly.values()), columns, numbers)
        stable = {row["depth"]: row["same_choice"] for row in members if row["same_choice"]}
        said = ", ".join(f"to depth {depth} {100 * float(share):.0f} %" for depth, share in stable.items())
        same = f"On resampled utterances greedy removes the same layer, given those before: {said}. " if said else ""
        text = f"A layer-forward is one layer run on one batch of dev data. {same}{about}"
        grids.append(replace(grid, caption=text))
    return grids


def speed_view(tables: views.Tables) -> list[Grid]:
    """Real-time factors by depth."""
    grids = []
    for (corpus, model), members in views.grouped(tables["depth_rtf"], "corpus", "model").items():

        def cells(row: Row) -> list[tuple[str, Cell]]:
            return [
                ("RTF", measure(row, "rtf", None, interval=True)),
                ("Over the whole model's", measure(row, "ratio", 2, interval=True)),
                ("Within a budget of", Cell(text=row["budgets"])),
            ]

        title = f"Real-time factor by depth: {model}, {views.named(tables, corpus)}"
        index = ("measured_model", "depth", "search", "device", "threads")
        grid = pivot(title, members, index, cells, keep=("measured_model", "depth", "device"))
        note = (
            f"{members[0]['utterances']} utterances of the dev sets, one at a time; all depths take turns, the time "
            f"of an utterance is its median over {members[0]['rounds']} rounds. In brackets: 95 % interval "
            f"over rounds and utterances. {soundness(members)}"
        )
        notes = (note, on_gpu(members), _about(tables, corpus, model, members))
        grids.append(replace(grid, caption=" ".join(filter(None, notes))))
    return grids


def finetune_view(tables: views.Tables) -> list[Grid]:
    """Losses and error rates of late regularisers."""
    grids = []
    for (corpus, model), members in views.grouped(tables["finetune"], "corpus", "model").items():
        wer = rates.rate(tables, corpus)("WER (%)")
        headings = dict(zip(LOSSES, ("Loss before", "Regularised", "Highest", "At last"), strict=True))

        def cells(row: Row, headings: Mapping[str, str] = headings, wer: str = wer) -> list[tuple[str, Cell]]:
            losses = [(heading, measure(row, column, 2)) for column, heading in headings.items()]
            return [*losses, (wer, measure(row, "wer", 1, interval=True)), ("CER (%)", measure(row, "cer", 1))]

        title = f"Regularisers that come late: {model}, {views.named(tables, corpus)}"
        about = ("variant", "regulariser", "intermediate_layers", "stochastic_depth", "ramp", "schedule")
        index = (*about, "split", "search")
        grid = pivot(title, averaged(members), index, cells, keep=("variant", "regulariser"))
        note = (
            "Loss of the dev data by the last layer alone, as the model was trained before: before the first step, the "
            "highest and the last of the training; and, regularised, the loss before the first step with intermediate "
            "CTC at its full weight and layers skipped, which makes it jump. Word error rate: mean over languages. "
            + views.INTERVALS
        )
        named = {f"{model}/late-{row['variant']}" for row in members} | {model, row_scratch(members)}
        caption = f"{rates.rate(tables, corpus)(note)} {_about(tables, corpus, model, members, named)}"
        grids.append(replace(grid, caption=caption))
    return grids


def row_scratch(members: Sequence[Row]) -> str:
    """The model that had its regularisers from scratch, by the file that its row is from; empty if there is none."""
    return next((row["source"].split("/")[2] for row in members if row["variant"] == SCRATCH), "")


def averaged(rows: Sequence[Row]) -> list[Row]:
    """The rows of the mean over languages; if there is one language, its own."""
    return [row for row in rows if row["language"] == "avg"] or list(rows)


def _about(tables: views.Tables, corpus: str, model: str, rows: Sequence[Row], named: set[str] | None = None) -> str:
    """Corpus, budget and seeds of the models that rows of layers are about."""
    if not named:
        alone = {layers.trained_name(model, int(row["depth"]), kept) for row in rows for kept in (False, True)}
        named = {layers.of_name(model), *alone}
    return views.about(tables, corpus, rows, named)
