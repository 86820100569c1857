"""The tables of self-supervised encoders, for reading."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from secateur.reporting import published, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.times import on_gpu, soundness
from secateur.ssl.known_tasks import DEV, TASKS, missing
from secateur.ssl.limits import APART
from secateur.ssl.scales import SUPERB
from secateur.ssl.tables import SCORE, own


def view(tables: views.Tables) -> list[Grid]:
    """All tasks of all encoders, measured and published, and without straight-through gradients (S4, tables 1, 3)."""
    grids = []
    shown = [row for row in tables["superb"] if not row["metric"].startswith(DEV)]
    for (corpus, upstream), rows in views.grouped(shown, "corpus", "upstream").items():
        parameters = {row["model"]: row for row in own(tables) if row["upstream"] == upstream}

        def cells(row: Row, parameters: Mapping[str, Row] = parameters) -> list[tuple[str, Cell]]:
            known = parameters.get(row["model"])
            size = [("Parameters (M)", measure(known, "parameters", 3, 1e-6))] if known else []
            heading = _heading(row)
            beside = [
                (f"published {heading}{where}", measure(row, column, 2))
                for column, where in (("published", ""), ("published_ste", ", table 3"))
                if row[column]
            ]
            return [*size, (heading, measure(row, "value", 0 if row["task"] == SCORE else 1, interval=True)), *beside]

        where = f"{upstream}, {views.named(tables, corpus)}"
        score = next((row for row in rows if row["task"] == SCORE), None)
        left_out = [task for task in TASKS.names() if task not in {row["task"] for row in rows}]
        notes = [
            "Frozen encoder, learned weighted sum of its layers, a small head for each task; percent.",
            _scale(rows, score),
            "In brackets: 95 % interval over test items, and over heads where a task trains several; of the score, "
            "with the ends of its scale as given. fbank: log-mel features; fbank-cmvn: the same, normalised per clip; "
            "random: the teacher with random weights.",
            *(f"{task}: not run; {missing(task)}." for task in left_out if missing(task)),
            _chances(rows),
            published.S4_NOTE if any(row["published"] for row in rows) else "",
            published.S4_STE_NOTE if any(row["published_ste"] for row in rows) else "",
            _about(tables, corpus, upstream, rows),
        ]
        grid = pivot(f"Tasks on frozen encoders: {where}", rows, ("model",), cells, keep=("model",))
        grids.append(replace(grid, caption=" ".join(filter(None, notes))))
        grids.append(_over_zero(rows, where))
        pairs = _without_ste(tables, upstream)
        if pairs:
            chosen = [row for row in rows if row["model"] in pairs]
            title = f"With and without straight-through gradients: {where}"
            grid = pivot(title, chosen, ("model",), cells, keep=("model",))
            grids.append(replace(grid, caption=_about(tables, corpus, upstream, chosen)))
    return grids


def _over_zero(rows: list[Row], where: str) -> Grid:
    """By how much every encoder is better or worse than log-mel features, task by task."""

    def cells(row: Row) -> list[tuple[str, Cell]]:
        return [(_heading(row), measure(row, "over_zero", 1, interval=True))]

    chosen = [row for row in rows if row["task"] != SCORE]
    grid = pivot(f"Above log-mel features: {where}", chosen, ("model",), cells, keep=("model",))
    caption = (
        "Points by which a task's metric is above that of the better of fbank and fbank-cmvn; in brackets the 95 % "
        "interval over the same test items and the heads of both. Where it holds 0, the two are not told apart."
    )
    return replace(grid, caption=caption)


def _scale(rows: list[Row], score: Row | None) -> str:
    """What the score of these rows is, and what it is not."""
    if score is not None and score["metric"] == SUPERB:
        said = (
            "SUPERB score: Eq. 6 over SUPERB's ten tasks on its data, with its fixed scale, 0 for FBANK and 1000 for "
            "WavLM Large on its public leaderboard; of slot filling, F1 alone."
        )
        return said + (f" {published.S4_SCORE_NOTE}" if any(row["published"] for row in rows) else "")
    tasks = score["notes"].split() if score else []
    counted = {row["task"] for row in rows if row["scored"] == "true"}
    confounded = list(dict.fromkeys(row["task"] for row in rows if row["task"] not in (SCORE, *counted)))
    others = dict.fromkeys(row["task"] for row in rows if row["task"] not in (SCORE, *tasks, *confounded))
    notes = [
        "Own score: Eq. 6 on a scale of this study's own, which is not SUPERB's: 0 for log-mel features (in every task "
        "the better of fbank and fbank-cmvn), 1000 for the teacher, over the tasks in which the teacher is better "
        f"beyond chance: {', '.join(tasks)}."
        if score
        else "No score: in no task is the teacher better than log-mel features beyond chance."
    ]
    if others:
        notes.append(f"Not in the score, for the teacher is not better beyond chance: {', '.join(others)}.")
    if confounded:
        notes.append(f"Nor {', '.join(confounded)}, which tell voices and languages together.")
    return " ".join(notes)


def _without_ste(tables: views.Tables, upstream: str) -> list[str]:
    """Models that differ in straight-through gradients alone."""
    made = {row["model"]: row for row in own(tables) if row["upstream"] == upstream and row["ste"]}
    groups: dict[tuple[str, ...], set[str]] = {}
    for row in made.values():
        groups.setdefault((row["fahp"], row["sparsity_target"]), set()).add(row["ste"])
    return [model for model, row in made.items() if len(groups[row["fahp"], row["sparsity_target"]]) > 1]


def structured_view(tables: views.Tables) -> list[Grid]:
    """Parameters, arithmetic and time of encoders (S4, table 2)."""
    grids = []
    for (corpus, upstream), rows in views.grouped(tables["structured"], "corpus", "upstream").items():

        def cells(row: Row) -> list[tuple[str, Cell]]:
            heading = {"published_parameters": "published (M)", "published_speedup": "published speed-up"}
            beside = [(name, measure(row, column, 2)) for column, name in heading.items() if row[column]]
            return [
                ("Target (%)", measure(row, "sparsity_target", 0, 100)),
                *([("Expected (%)", measure(row, "expected", 1, 100))] if row["expected"] else []),
                *([("Reached (%)", measure(row, "reached", 1, 100))] if row["reached"] else []),
                ("Sparsity (%)", measure(row, "sparsity", 1, 100)),
                *([("Convolutions (%)", measure(row, "conv_sparsity", 1, 100))] if row["conv_sparsity"] else []),
                *([("Decided gates (%)", measure(row, "polarisation", 1, 100))] if row["polarisation"] else []),
                *([("Missed (%)", measure(row, "missed", 1, 100))] if row["missed"] else []),
                ("Parameters (M)", measure(row, "parameters", 3, 1e-6)),
                ("MMAC per s of speech", measure(row, "macs_per_second", 1, 1e-6)),
                ("Audio (s)", measure(row, "audio_seconds", 0)),
                ("Utterances", measure(row, "utterances", 0)),
                ("Seconds", measure(row, "seconds", 2)),
                ("Speed-up", measure(row, "speedup", 2, interval=True)),
                *beside,
            ]

        index = ("model", "type", "fahp", "ste", "size", "device", "threads")
        title = f"What structured pruning leaves: {upstream}, {views.named(tables, corpus)}"
        grid = pivot(title, rows, index, cells, keep=("model", "type"))
        notes = [
            "Sparsity: of the parameters of the Transformer's blocks, Convolutions: of those of the front end. "
            "After training, the gates with the lowest log α "
            "close until the target is met, by one threshold for all kinds; one that alone would overshoot (a block) "
            "is passed over, unless it comes nearest. Seconds: features of so much dev audio, one utterance at a time, "
            "medians over rounds in which all encoders take turns. Speed-up: in brackets its 95 % interval "
            f"over rounds and utterances. {soundness(rows)}",
            "fahp: fine-grained head pruning; ste: straight-through gradients.",
            "Expected: the sparsity that the gates promised when training ended, of what the target counts (parameters "
            "if nothing else is said); Reached: after the last ones were closed or opened by rank. Decided gates: the "
            "share that is 0 or 1 when gates are drawn. Missed: squared distance from the teacher's layers on dev, of "
            "their variance.",
            _undecided(rows),
            published.S4_SPEED_NOTE if any(row["published_speedup"] for row in rows) else "",
            on_gpu(rows),
            _about(tables, corpus, upstream, rows),
        ]
        grids.append(replace(grid, caption=" ".join(filter(None, notes))))
    return grids


def _undecided(rows: list[Row]) -> str:
    """A warning of students whose gates promised another sparsity than the one that was reached."""
    found = {
        row["model"]: f"{row['model']} {100 * float(row['expected']):.1f} and {100 * float(row['reached']):.1f} %"
        for row in rows
        if row["expected"] and abs(float(row["expected"]) - float(row["reached"])) > APART
    }
    if not found:
        return ""
    return (
        f"Expected and reached are more than a point apart ({'; '.join(found.values())}): these gates did not decide."
    )


def _heading(row: Row) -> str:
    if row["task"] == SCORE:
        return "SUPERB score" if row["metric"] == SUPERB else "Own score"
    arrow = "↑" if row["higher_is_better"] == "true" else "↓"
    return f"{row['task'].upper()} {row['metric']} {arrow}"


def _chances(rows: Sequence[Row]) -> str:
    """What guessing gives."""
    found = {row["task"]: float(row["chance"]) for row in rows if row["chance"]}
    listed = ", ".join(f"{task} {chance:.1f}" for task, chance in found.items())
    return f"Chance: {listed}." if listed else ""


def _about(tables: views.Tables, corpus: str, upstream: str, rows: Sequence[Row]) -> str:
    trained = [
        run
        for run in tables["runs"]
        if run["stage"] == "upstream" and run["model"].startswith(f"{upstream}/") and run["corpus"] == corpus
    ]
    return views.summary(tables, corpus, rows, trained)
