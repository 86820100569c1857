"""Self-supervised encoders: what tasks say of them, what structured pruning left of them, and how its gates moved.

The published figures beside them are of WavLM base pretrained on LibriSpeech and of SUPERB's own tasks.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from secateur.decoding.timing import AGAIN
from secateur.reporting import published, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import Results
from secateur.reporting.times import SOUND, soundness
from secateur.ssl import study as upstreams
from secateur.ssl.known_tasks import TASKS, missing
from secateur.ssl.scales import SUPERB, Scale, scale_of, scored
from secateur.ssl.study import FBANK, TEACHER, UpstreamRun

OWN = "own"
"""The size of an encoder as it was trained; its time is also measured in WavLM base's."""
SCORE = "score"
"""The task that Eq. 6 of S4 stands under."""
SCORES_COLUMNS = (
    *("corpus", "upstream", "model", "seed", "task", "metric", "value", "value_low", "value_high", "chance"),
    *("higher_is_better", "published", "published_ste", "notes", "source"),
)
STRUCTURED_COLUMNS = (
    *("corpus", "upstream", "model", "seed", "type", "fahp", "ste", "sparsity_target", "sparsity", "conv_sparsity"),
    *("steps", "cpu_seconds", "size", "parameters", "macs_per_second", "audio_seconds", "seconds", "speedup"),
    *("speedup_low", "speedup_high", "device", "threads", *SOUND, "published_parameters", "published_speedup"),
    "source",
)
GATES_COLUMNS = (
    *("corpus", "upstream", "model", "seed", "step", "z_mha", "z_ffn", "sparsity", "target", "lambda1", "lambda2"),
    "source",
)
BLOCKS_COLUMNS = ("corpus", "upstream", "model", "seed", "layer", "attention", "feed_forward", "source")
LARGE = 90e6
"""Parameters, at least, of an encoder that is as large as the published ones, of 94.7M."""
BASE = {"hidden_size": 768, "num_hidden_layers": 12}
"""The shape of the published teachers."""
FINE = {"mha", "ffn", "qk", "vo", "int"}
WHOLE_HEADS = {"mha", "ffn", "heads", "int"}
"""The document's gates, with and without fine-grained head pruning."""
NAMES = {"wavlm": "WavLM Base", "hubert": "HuBERT Base", "wav2vec2": "w2v2 Base"}
DISTILLED = {"wavlm": "DistilWavLM", "hubert": "DistilHuBERT"}


def scores(results: Results) -> Iterator[dict[str, Any]]:
    """One row per model, task and metric, and one with the score (Eq. 6), whose metric is the name of its scale:
    `secateur.ssl.scales`.
    """
    found = {run: results.json(run.scores, "tasks")["tasks"] for _, run in upstreams.runs(results.config)}
    for entry, run in upstreams.runs(results.config):
        name = _published_name(results, entry, run) if _base(results, entry, run) else ""
        figures, ste = (table.get(name, {}) for table in (published.S4_SUPERB, published.S4_STE))
        axes = _axes(entry, run)
        for task, measured in found[run].items():
            for metric, value in measured["metrics"].items():
                yield {
                    **axes,
                    "task": task,
                    "metric": metric,
                    "value": value["value"],
                    "value_low": value["low"],
                    "value_high": value["high"],
                    "chance": value["chance"],
                    "higher_is_better": value["higher_is_better"],
                    "published": figures.get((task, metric)) if _official(entry, task) else None,
                    "published_ste": ste.get((task, metric)) if _official(entry, task) else None,
                    "notes": measured["notes"],
                    "source": run.scores,
                }
        zero, reference = (found[replace(run, model=name)] for name in (FBANK, TEACHER))
        scale = scale_of(entry["tasks"], zero, reference)
        if scale.tasks:
            yield {**axes, **_score(scale, run, found[run], figures)}


def _score(scale: Scale, run: UpstreamRun, measured: Mapping[str, Any], figures: Mapping[Any, float]) -> dict[str, Any]:
    """The row of an encoder's score. The published one is beside it on SUPERB's scale alone."""
    ends = () if scale.name == SUPERB else (FBANK, TEACHER)
    sources = dict.fromkeys(replace(run, model=name).scores for name in (run.model, *ends))
    return {
        "task": SCORE,
        "metric": scale.name,
        "value": scale.score(scored(measured)),
        "published": figures.get((SCORE, SCORE)) if scale.name == SUPERB else None,
        "notes": " ".join(scale.tasks),
        "source": " ".join(sources),
    }


def structured(results: Results) -> Iterator[dict[str, Any]]:
    """What is left of every encoder, and how much faster it is: a row for each size that was timed."""
    for entry in results.config["ssl"]:
        for seed in results.config["seeds"]:
            for base in upstreams.sizes(entry):
                source = upstreams.speed_file(entry["name"], seed, base)
                timed = results.json(source, "models", "device", "threads", "audio_seconds", *SOUND)
                teacher = next(row for row in timed["models"] if row["model"] == TEACHER)
                for row in timed["models"]:
                    run = UpstreamRun(entry["name"], row["model"], seed)
                    ratio, low, high = row["ratio"]
                    about: dict[str, Any] = {"source": source}
                    if row["model"] != AGAIN:
                        about = _student(results, entry, run)
                        about |= _published_speed(results, entry, run) if teacher["parameters"] > LARGE else {}
                        about["source"] = " ".join(filter(None, (source, _record(results, entry, run))))
                    yield {
                        **_axes(entry, run),
                        **about,
                        "size": "WavLM base's, random weights" if base else OWN,
                        **{key: row[key] for key in ("parameters", "macs_per_second")},
                        "audio_seconds": timed["audio_seconds"],
                        "seconds": median(row["seconds"]),
                        **{"speedup": 1 / ratio, "speedup_low": 1 / high, "speedup_high": 1 / low},
                        **{key: timed[key] for key in ("device", "threads", *SOUND)},
                    }


def gates(results: Results) -> Iterator[dict[str, Any]]:
    """How the gates of blocks closed in training, and the sparsity and its price with them."""
    for entry, run in upstreams.runs(results.config):
        if not upstreams.pruned(entry, run):
            continue
        source = f"{run.folder}/gates.tsv"
        for row in results.tsv(source, "step", "z_mha", "z_ffn", "sparsity", "target"):
            yield {**_axes(entry, run), **row, "source": source}


def blocks(results: Results) -> Iterator[dict[str, Any]]:
    """Parameters of the attention and feed-forward blocks of every layer that are left, with biases.

    Norms and position biases, which nothing is pruned of, are left out.
    """
    for entry, run in upstreams.runs(results.config):
        if run.model == FBANK:
            continue
        found, source = blocks_of(results, entry, run)
        for layer, attention, feed_forward in found:
            sizes = {"layer": layer, "attention": attention, "feed_forward": feed_forward}
            yield {**_axes(entry, run), **sizes, "source": source}


def blocks_of(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> tuple[list[tuple[int, int, int]], str]:
    """(layer, parameters of its attention, of its feed-forward block) of an encoder, and the file that says so."""
    source = f"{_folder(results, entry, run)}/config.json"
    config = results.json(source, "hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    whole = {"heads": range(heads), "qk": [width // heads] * heads, "vo": [width // heads] * heads}
    whole["ffn"] = config["intermediate_size"]
    found = []
    for layer, shape in enumerate(config.get("layers") or [whole] * config["num_hidden_layers"], 1):
        qk, vo, ffn = sum(shape["qk"]), sum(shape["vo"]), shape["ffn"] or 0
        attention = 0 if shape["heads"] is None else 2 * (width + 1) * qk + (2 * width + 1) * vo + width
        found.append((layer, attention, 0 if shape["ffn"] is None else (2 * width + 1) * ffn + width))
    return found, source


def _official(entry: Mapping[str, Any], task: str) -> bool:
    """Whether a task of an entry is SUPERB's own, on its own data."""
    return entry.get("tasks", {}).get(task, {}).get("source") == "official"


def _base(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> bool:
    """Whether the teacher of an encoder has the shape of the published ones."""
    config = results.json(f"{_folder(results, entry, replace(run, model=TEACHER))}/config.json", *BASE)
    return all(config[key] == value for key, value in BASE.items())


def _published_speed(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> Mapping[str, float]:
    """What S4 has beside an encoder of WavLM base's size: parameters, and the speed-up, which is relative."""
    return published.S4_SPEED.get(_published_name(results, entry, run), {})


def _axes(entry: Mapping[str, Any], run: UpstreamRun) -> dict[str, Any]:
    return {"corpus": entry["corpus"], "upstream": run.name, "model": run.model, "seed": run.seed}


def _folder(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> str:
    """The checkpoint of an encoder, relative to the study's folder."""
    if run.model != TEACHER:
        return run.folder
    return Path(os.path.relpath(upstreams.teacher_folder(entry, run.seed, str(results.root)), results.root)).as_posix()


def _record(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> str:
    """The `run.json` of an encoder's training; empty for a teacher that was given."""
    return "" if run.model == TEACHER and entry["folder"] else f"{_folder(results, entry, run)}/run.json"


def _student(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> dict[str, Any]:
    """How an encoder was made."""
    record = _record(results, entry, run)
    facts = results.json(record, "steps") if record else {}
    facts = {key: facts.get(key) for key in ("steps", "cpu_seconds", "sparsity", "conv_sparsity")}
    if run.model == TEACHER:
        return {"type": TEACHER, **facts, "sparsity": 0.0}
    student = upstreams.student_of(entry, run.model)
    made = {"type": student["type"], "sparsity_target": student.get("sparsity")}
    if upstreams.gated(student):
        made |= {"fahp": {"qk", "vo"} <= set(student["kinds"]), "ste": student["straight_through"]}
    return made | facts


def _published_name(results: Results, entry: Mapping[str, Any], run: UpstreamRun) -> str:
    """The row of the document's tables that an encoder is like; empty where there is none."""
    if run.model == FBANK:
        return ""
    teacher = _folder(results, entry, replace(run, model=TEACHER))
    kind = results.json(f"{teacher}/config.json", "model_type")["model_type"]
    if run.model == TEACHER:
        return NAMES.get(kind, "")
    student = upstreams.student_of(entry, run.model)
    if student["type"] == "layers":
        return DISTILLED.get(kind, "")
    if student["type"] != "gates" or kind != "wavlm" or student["sparsity"] != published.S4_SPARSITY:
        return ""
    if student.get("conv_sparsity"):
        return ""  # the document prunes no convolution
    if set(student["kinds"]) == FINE:
        return "Proposed" if student["straight_through"] else "w/o STE"
    return "w/o FAHP" if set(student["kinds"]) == WHOLE_HEADS and student["straight_through"] else ""


# --- for reading


def view(tables: views.Tables) -> list[Grid]:
    """All tasks of all encoders, measured and published, and without straight-through gradients (S4, tables 1, 3)."""
    grids = []
    for (corpus, upstream), rows in views.grouped(tables["superb"], "corpus", "upstream").items():
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
            "In brackets: 95 % bootstrap interval over test items.",
            *(f"{task}: not run; {missing(task)}." for task in left_out if missing(task)),
            _chances(rows),
            published.S4_NOTE if any(row["published"] for row in rows) else "",
            published.S4_STE_NOTE if any(row["published_ste"] for row in rows) else "",
            _about(tables, corpus, upstream, rows),
        ]
        grid = pivot(f"Tasks on frozen encoders: {where}", rows, ("model",), cells, keep=("model",))
        grids.append(replace(grid, caption=" ".join(filter(None, notes))))
        pairs = _without_ste(tables, upstream)
        if pairs:
            chosen = [row for row in rows if row["model"] in pairs]
            title = f"With and without straight-through gradients: {where}"
            grid = pivot(title, chosen, ("model",), cells, keep=("model",))
            grids.append(replace(grid, caption=_about(tables, corpus, upstream, chosen)))
    return grids


def _scale(rows: list[Row], score: Row | None) -> str:
    """What the score of these rows is, and what it is not."""
    if score is None:
        return "No score: in no task is the teacher better than log-mel features (fbank) in all metrics."
    if score["metric"] == SUPERB:
        said = (
            "SUPERB score: Eq. 6 over SUPERB's ten tasks on its data, with its fixed scale, 0 for FBANK and 1000 for "
            "WavLM Large on its public leaderboard; of slot filling, F1 alone."
        )
        return said + (f" {published.S4_SCORE_NOTE}" if any(row["published"] for row in rows) else "")
    tasks = score["notes"].split()
    said = (
        "Own score: Eq. 6 on a scale of this study's own, which is not SUPERB's: 0 for log-mel features (fbank), 1000 "
        f"for the teacher, over the tasks in which the teacher is better in all metrics: {', '.join(tasks)}."
    )
    return " ".join(filter(None, (said, _by_chance(rows, tasks))))


def _by_chance(rows: list[Row], scored: list[str]) -> str:
    """A warning of the scored tasks in which the teacher may be no better than log-mel features."""
    zero = {(row["seed"], row["task"], row["metric"]): float(row["value"]) for row in rows if row["model"] == FBANK}
    unsure = {
        row["task"]
        for row in rows
        if row["model"] == TEACHER
        and row["task"] in scored
        and float(row["value_low"]) <= zero[row["seed"], row["task"], row["metric"]] <= float(row["value_high"])
    }
    if not unsure:
        return ""
    named = ", ".join(task for task in scored if task in unsure)
    return (
        f"In {named} the interval of the teacher holds the value of log-mel features: the difference that the score "
        "divides by may be chance, and so may the score."
    )


def own(tables: views.Tables) -> list[Row]:
    """The rows of `structured` about encoders of their own size."""
    return [row for row in tables["structured"] if row["size"] == OWN and row["model"] != AGAIN]


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
                ("Sparsity (%)", measure(row, "sparsity", 1, 100)),
                *([("Convolutions (%)", measure(row, "conv_sparsity", 1, 100))] if row["conv_sparsity"] else []),
                ("Parameters (M)", measure(row, "parameters", 3, 1e-6)),
                ("MMAC per s of speech", measure(row, "macs_per_second", 1, 1e-6)),
                ("Audio (s)", measure(row, "audio_seconds", 0)),
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
            "median of rounds in which all encoders take turns. Speed-up: in brackets its 95 % bootstrap interval over "
            f"rounds and utterances. {soundness(rows)}",
            "fahp: fine-grained head pruning; ste: straight-through gradients.",
            published.S4_SPEED_NOTE if any(row["published_speedup"] for row in rows) else "",
            _about(tables, corpus, upstream, rows),
        ]
        grids.append(replace(grid, caption=" ".join(filter(None, notes))))
    return grids


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
