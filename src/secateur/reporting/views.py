"""What the views of tables share: rows grouped and averaged, and captions.

A caption says on which corpus, whether its speech is synthetic, with which budget, and from how many seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from secateur.reporting.grid import Grid, Row, figure
from secateur.reporting.rates import in_characters
from secateur.study.runs import DEV

Tables = Mapping[str, Sequence[Row]]

MODEL_INDEX = ("model", "method", "initialization", "mask_changes", "sparsity_target", "scope")
DECODING_INDEX = (*MODEL_INDEX, "split", "search", "lm")
INTERVALS = "In brackets: 95 % interval over utterances, by speaker where a language has ten speakers."
AVERAGES = "avg is the unweighted mean over languages."
STEPS = "Steps: training steps behind one model, from random weights on, along the longest chain that it is made from."


def captioned(grid: Grid, tables: Tables, corpus: str, rows: Sequence[Row], *notes: str) -> Grid:
    """`grid` with a caption: what all its lines share, the notes, the speech, the budget and the seeds."""
    shared = ", ".join(f"{name.lower() if name != 'LM' else name} {value}" for name, value in grid.constant.items())
    parts = [f"All lines: {shared}." if shared else "", *notes, speech(tables, corpus), _budget(tables, corpus, rows)]
    return replace(grid, caption=" ".join(part for part in parts if part))


def averages(rows: Iterable[Row]) -> list[Row]:
    """Rows of language `avg`, and the single languages of those models that have no average."""

    def family(row: Row) -> tuple[str, ...]:
        joined = monolingual_together(row)
        return tuple(joined[column] for column in (*DECODING_INDEX, "corpus", "seed"))

    rows = list(rows)
    averaged = {family(row) for row in rows if row["language"] == "avg"}
    return [row for row in rows if row["language"] == "avg" or family(row) not in averaged]


def by_corpus(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["corpus"], []).append(row)
    return groups


def grouped(rows: Iterable[Row], *axes: str) -> dict[tuple[str, ...], list[Row]]:
    """Rows by their values of some columns, in order."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[axis] for axis in axes), []).append(row)
    return groups


def synthetic(tables: Tables, corpus: str) -> bool:
    """Whether any speech of the corpus was made by a machine."""
    return any(row["synthetic"].lower() == "true" for row in tables["corpora"] if row["corpus"] == corpus)


def named(tables: Tables, corpus: str) -> str:
    """The corpus for a title; synthetic speech is called so."""
    return f"corpus {corpus}" + (" (SYNTHETIC SPEECH)" if synthetic(tables, corpus) else "")


def span(values: Iterable[float], digits: int | None = 0) -> str:
    """`smallest–largest`, or the one value that all share."""
    values = list(values)
    low, high = figure(min(values), digits), figure(max(values), digits)
    return low if low == high else f"{low}–{high}"


def effort(trained: Sequence[Row]) -> str:
    """Steps and time of trainings, measured: by the clock, and of the processor where it is known.

    Where models are made from others, the steps of the whole chain are told apart from a model's own training.
    The clock depends on what else the machine does. The processor's time of a training that was killed is not known.
    """
    steps = [float(run["steps"]) for run in trained if run["steps"]]
    processor = [float(run["cpu_seconds"]) for run in trained if run["cpu_seconds"]]
    totals = [float(run["total_steps"]) for run in trained if run["steps"]]
    parts = [f"{span(totals)} training steps a model"] if steps else []
    if totals != steps:
        parts = [f"{parts[0]} from random weights on, along its longest chain; its own training: {span(steps)} steps"]
    parts.append(f"{span(float(run['seconds']) for run in trained)} s by the clock")
    if processor:
        parts.append(f"{span(processor)} s of CPU time")
    return ", ".join(parts)


def main_split(tables: Tables) -> str:
    """`test` if the study decodes it, else the first split that it decodes."""
    splits = list(dict.fromkeys(row["split"] for row in tables["wer"]))
    splits = [split for split in splits if split != DEV] or splits
    return "test" if "test" in splits or not splits else splits[0]


def reported(rows: Iterable[Row]) -> list[Row]:
    """Rows of all splits but the one that systems are chosen on, if there are others."""
    rows = list(rows)
    return [row for row in rows if row["split"] != DEV] or rows


def monolingual_together(row: Row) -> Row:
    """Monolingual models share one line: each column is the model of that language."""
    return {**row, "scope": "each"} if row["scope"] == row["language"] else row


def trained_model(row: Row) -> tuple[str, ...]:
    """The columns that name a model."""
    return tuple(row[axis] for axis in ("corpus", "model", "method", "scope", "sparsity_target", "seed"))


def speech(tables: Tables, corpus: str) -> str:
    """Whether people or a machine spoke, and which languages are counted in characters, in a sentence or two."""
    codes = in_characters(tables, corpus)
    counted = f" Counted in characters, not words: {', '.join(codes)}." if codes else ""
    if synthetic(tables, corpus):
        return f"Corpus {corpus} was spoken by a machine; the numbers say nothing about human speech.{counted}"
    return f"Corpus {corpus}: recordings of people.{counted}"


def about(tables: Tables, corpus: str, rows: Sequence[Row], named: set[str]) -> str:
    """Corpus, budget and seeds of multilingual models, by the names that tables of sub-models call them."""
    trained = [
        run
        for run in tables["runs"]
        if run["stage"] == "model"
        and run["corpus"] == corpus
        and run["scope"] == "all"
        and (run["model"] if run["method"] == "dense" else f"{run['model']}/{run['method']}") in named
    ]
    return summary(tables, corpus, rows, trained)


def summary(tables: Tables, corpus: str, rows: Sequence[Row], trained: Sequence[Row]) -> str:
    """Corpus, budget and seeds of `rows`, by the rows of `runs` of what was trained for them."""
    seeds = sorted({row["seed"] for row in rows}, key=int)
    budget = f" Budget: {effort(trained)}." if trained else ""
    return f"{speech(tables, corpus)}{budget} Seeds: {len(seeds)} ({', '.join(seeds)})."


def _budget(tables: Tables, corpus: str, rows: Sequence[Row]) -> str:
    """Training steps, measured seconds, processors and seeds of the models that `rows` are about."""
    kind = itemgetter("model", "method", "sparsity_target")
    shown = {kind(row) for row in rows}
    trained = [
        run for run in tables["runs"] if run["stage"] == "model" and run["corpus"] == corpus and kind(run) in shown
    ]
    if not trained:
        return ""
    where = ", ".join(sorted({run["processor"] if run["device"] == "cpu" else run["device"] for run in trained}))
    seeds = sorted({row["seed"] for row in rows}, key=int)
    several = ": mean ± standard deviation over seeds" if len(seeds) > 1 else ""
    return f"Budget: {effort(trained)} ({where}). Seeds: {len(seeds)} ({', '.join(seeds)}){several}."
