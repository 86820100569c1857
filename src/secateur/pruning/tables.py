"""What pruning did, beside error rates: schedules, masks, their adaptations, and what storing the result takes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from secateur.pruning import methods
from secateur.pruning.study import levels_of
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import SIZES_FILE, Results
from secateur.study.runs import ModelRun, languages, model_runs, parents, steps, steps_before

RUN_AXES = ("corpus", "model", "method", "scope", "sparsity_target", "seed")
MASK_AXES = ("corpus", "model", "scope", "seed", "method", "level")
OVERLAP_COLUMNS = (*MASK_AXES, "level_b", "language_a", "language_b", "iou", "source")
MATRIX_COLUMNS = (*MASK_AXES, "language", "matrix", "weights", "sparsity", "source")
SCHEDULE_COLUMNS = (*RUN_AXES, "stage", "made_by", "sparsity", "first_step", "last_step", "source")
ADAPTATION_COLUMNS = (
    *(*RUN_AXES, "language", "step", "total_step", "sparsity", "kept", "removed", "regrown", "changed", "source"),
)
BYTES = ("theta_bytes", "mask_bytes", "total_bytes", "separate_bytes", "ratio")
SPARSE_BYTES = ("sparse_total_bytes", "sparse_separate_bytes", "sparse_ratio")
STORAGE_COLUMNS = (*RUN_AXES, "languages", *BYTES, *SPARSE_BYTES, "source")
MASKS_FILE = "masks.json"


@dataclass(frozen=True)
class Piece:
    """A part of a schedule with one sparsity: steps `first` + 1 to `last`, counted from the dense model on.

    `made_by` is the run that these steps belong to. Stage 1 makes masks, stage 2 trains pathways over them.
    """

    stage: int
    made_by: ModelRun
    sparsity: float
    first: int
    last: int


def lineage(config: Mapping[str, Any], run: ModelRun) -> list[ModelRun]:
    """A pruned model and those that it is made from, in order, without the dense one; of pathways the first mask's."""
    chain = [run]
    while (made_from := parents(config, chain[0])) is not None:
        chain.insert(0, made_from.parent)
    return chain[1:]


def pieces(config: Mapping[str, Any], run: ModelRun) -> Iterator[Piece]:
    """The schedule of a pruned model, from the dense model on."""
    first = 0
    for part in lineage(config, run):
        made_from = parents(config, part)
        levels = made_from.sparsities or [part.sparsity]
        for sparsity in levels:
            last = first + steps(config, part) // len(levels)
            yield Piece(2 if made_from.masks else 1, part, sparsity, first, last)
            first = last


def total_steps(config: Mapping[str, Any], run: ModelRun) -> int:
    """Training steps behind a model from random weights on, along the chain that it is made from."""
    return steps_before(config, run) + steps(config, run)


def stage_steps(config: Mapping[str, Any], run: ModelRun) -> float:
    """Training steps of each language in the training that made a model; where batches mix languages, its share."""
    return steps(config, run) / len(languages(config, run.corpus, run.scope))


def at_target(config: Mapping[str, Any], run: ModelRun) -> bool:
    """Whether a run is a dense control or a pruned model at the end of its schedule, not a level on the way.

    Pathways with fixed masks have the sparsity of these masks, and no other level.
    """
    if (parsed := methods.find(run.method)) is None:
        return False
    return run.sparsity in (0.0, levels_of(config, run)[-1]) or parsed.method.levels == methods.MASKS


def schedules(results: Results) -> Iterator[Row]:
    """The sparsity that every pruned model and dense control has had while it was trained, level by level."""
    for run in filter(partial(at_target, results.config), model_runs(results.config)):
        for piece in pieces(results.config, run):
            yield {
                **_axes(run),
                "stage": piece.stage,
                "made_by": piece.made_by.method,
                "sparsity": piece.sparsity,
                "first_step": piece.first,
                "last_step": piece.last,
                "source": f"{run.folder}/run.json",
            }


def adaptations(results: Results) -> Iterator[Row]:
    """How much every adaptation changed a mask: `changed` is the share of the new mask that the old one lacked.

    `step` counts from the beginning of the run, `total_step` as the schedule does.
    """
    for run in model_runs(results.config):
        if not run.mask_changes:
            continue
        source = f"{run.folder}/adaptations.tsv"
        before = next(piece.first for piece in pieces(results.config, run) if piece.made_by.folder == run.folder)
        for row in results.tsv(source, "step", "kept", "removed", "regrown"):
            yield {
                **_axes(run),
                "language": row["language"] if methods.parse(run.method).method.shared else run.scope,
                "step": row["step"],
                "total_step": before + int(row["step"]),
                "sparsity": row.get("sparsity", run.sparsity),
                **{column: row[column] for column in ("kept", "removed", "regrown")},
                "changed": int(row["regrown"]) / int(row["kept"]),
                "source": source,
            }


def most_changed(results: Results, runs: Iterable[ModelRun]) -> float | None:
    """The largest share of a mask that was taken up at any adaptation of some models; None if their masks stay.

    0 says that no comparison with fixed masks is a test of adaptation.
    """
    adapting = [run for run in runs if run.mask_changes]
    rows = [row for run in adapting for row in results.tsv(f"{run.folder}/adaptations.tsv", "kept", "regrown")]
    return max((int(row["regrown"]) / int(row["kept"]) for row in rows), default=0.0) if adapting else None


def overlaps(results: Results) -> Iterator[Row]:
    """Intersection over union of masks: between languages at one level, and between levels of one language."""
    for row in results.json(MASKS_FILE, "overlaps")["overlaps"]:
        yield row | {"source": MASKS_FILE}


def matrices(results: Results) -> Iterator[Row]:
    """The size and the sparsity of every matrix under every mask."""
    for row in results.json(MASKS_FILE, "matrices")["matrices"]:
        yield row | {"source": MASKS_FILE}


def storage(results: Results) -> Iterator[Row]:
    """Bytes of one θ with its masks against a model for each language, of every model that languages share.

    All are of files that were written. With zeros: θ, and as a separate model the same file again. Sparse: one file
    of all masks and what any of them keeps, against one for each language of its mask and what it keeps.
    """
    for run in model_runs(results.config):
        if not (at_target(results.config, run) and methods.parse(run.method).method.shared):
            continue
        size = results.size(run, "bytes", "mask_bytes", "sparse_bytes", "sparse_bytes_each")
        count = len(languages(results.config, run.corpus, run.scope))
        theta, masks, separate = size["bytes"], size["mask_bytes"], count * size["bytes"]
        # Where there is one mask for all languages, a separate model has the same file.
        copies = count // len(size["sparse_bytes_each"])
        sparse, sparse_apart = size["sparse_bytes"], copies * sum(size["sparse_bytes_each"].values())
        values = (theta, masks, theta + masks, separate, (theta + masks) / separate)
        sparse_values = (sparse, sparse_apart, sparse / sparse_apart)
        yield {
            **_axes(run),
            "languages": count,
            **dict(zip((*BYTES, *SPARSE_BYTES), (*values, *sparse_values), strict=True)),
            "source": SIZES_FILE,
        }


def storage_view(tables: views.Tables) -> list[Grid]:
    """Megabytes together and separate, and their ratio."""
    headings = {"theta_bytes": "θ (MB)", "mask_bytes": "Masks (MB)", "total_bytes": "θ + masks (MB)"}
    headings |= {"separate_bytes": "Separate models (MB)", "ratio": "Ratio"}
    headings |= {"sparse_total_bytes": "Sparse: θ + masks (MB)", "sparse_separate_bytes": "Sparse: separate (MB)"}
    headings |= {"sparse_ratio": "Sparse: ratio"}
    notes = (
        "One shared θ and its masks against a model of the same architecture for each language: bytes of files that "
        "were written. θ is stored with its zeros, and so is each separate model, which needs no mask; a mask takes "
        "one bit for each prunable weight. Sparse: without the weights that are pruned; from θ those that every mask "
        "prunes, from a separate model those that its language's mask prunes, and it holds that mask. LAP has one mask "
        "for all languages. `secateur export-sparse` writes such files.",
    )
    grids = []
    for corpus, rows in views.by_corpus(tables["storage"]).items():

        def cells(row: Row) -> list[tuple[str, Cell]]:
            return [
                (heading, measure(row, column, 2 if "ratio" in column else None, 1 if "ratio" in column else 1e-6))
                for column, heading in headings.items()
            ]

        title = f"Storage, {views.named(tables, corpus)}"
        index = ("model", "method", "sparsity_target", "scope", "languages")
        grid = pivot(title, rows, index, cells, keep=("model", "method", "languages"))
        grids.append(views.captioned(grid, tables, corpus, rows, *notes))
    return grids


def _axes(run: ModelRun) -> dict[str, Any]:
    return {axis: run.sparsity if axis == "sparsity_target" else getattr(run, axis) for axis in RUN_AXES}
