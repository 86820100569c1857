"""What training on does to models that lost heads or layers, by learning rate, and to the whole one, the control."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from secateur.heads import study as heads
from secateur.heads.study import CONTROL, RECOVERED
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import Results
from secateur.study.runs import ModelRun, training_of

NOTHING = "nothing: the control"
COLUMNS = (
    *("corpus", "model", "seed", "removed", "steps", "distil", "rate", "initial_loss", "dev_loss", "chosen"),
    "source",
)


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per model and learning rate; `chosen` says which rate counts, and in all rows 0 is that none helped."""
    for entry, run in heads.runs(results.config):
        methods = heads.recovered(entry)
        for method in [CONTROL, *(one + RECOVERED for one in methods)] if methods else []:
            yield from _of_model(results, heads.smaller_run(entry, method, run.seed))


def _of_model(results: Results, run: ModelRun) -> Iterator[dict[str, Any]]:
    training = results.config["training"][training_of(results.config, run)]
    source = f"{run.folder}/run.json"
    facts = {
        **{"corpus": run.corpus, "model": run.model, "seed": run.seed, "steps": training["steps"], "source": source},
        "removed": NOTHING if run.method == CONTROL else run.method.removesuffix(RECOVERED),
        "distil": heads.of_model(results.config, run).distil,
    }
    record = results.json(source, "initial_loss")
    if "trials" not in record:
        file = f"{run.folder}/history.tsv"
        last = [row["dev_loss"] for row in results.tsv(file, "dev_loss") if row["dev_loss"]][-1]
        rate = training["learning_rate"]
        record |= {"rate": rate, "trials": [{"rate": rate, "dev_loss": float(last)}]}
        facts["source"] += f" {file}"
    for trial in record["trials"]:
        yield facts | trial | {"initial_loss": record["initial_loss"], "chosen": record["rate"]}


def view(tables: views.Tables) -> list[Grid]:
    """By model: dev losses before, and by learning rate."""
    grids = []
    for (corpus, model), members in views.grouped(tables["recovery"], "corpus", "model").items():
        first = members[0]["rate"]  # the loss before is in the rows of all rates

        def cells(row: Row, first: str = first) -> list[tuple[str, Cell]]:
            return [
                *([("Loss before", measure(row, "initial_loss", 2))] if row["rate"] == first else []),
                (f"Rate {float(row['rate']):g}", measure(row, "dev_loss", 2)),
            ]

        chosen = [row | {"chosen": row["chosen"] if float(row["chosen"]) else "none"} for row in members]
        title = f"Does training on help? {model}, {views.named(tables, corpus)}"
        grid = pivot(title, chosen, ("removed", "steps", "distil", "seed", "chosen"), cells, keep=("removed", "chosen"))
        note = (
            "Loss of the dev data in nats an utterance, before and after so many steps at each learning rate, of the "
            "mean of the best checkpoints. The lowest decides which model is kept; none: that of before is, since no "
            "rate had a lower one. What the errors are then is in `head_comparisons`. The control lost nothing."
        )
        grids.append(replace(grid, caption=f"{note} {views.speech(tables, corpus)}"))
    return grids
