"""What pruning did, beside error rates."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.reporting.figure import Figure
from secateur.reporting.results import SIZES_FILE, files_of
from secateur.reporting.table import Table
from secateur.study.runs import model_runs


def nothing(config: Mapping[str, Any]) -> list[str]:
    return []


def masks(config: Mapping[str, Any]) -> list[str]:
    return ["masks.json"]


def adapted(config: Mapping[str, Any]) -> Iterator[str]:
    return files_of((run for run in model_runs(config) if run.mask_changes), "adaptations.tsv")


def sizes(config: Mapping[str, Any]) -> list[str]:
    return [SIZES_FILE]


TABLES = (
    Table(
        name="schedule",
        title="Sparsity during training",
        caption=(
            "The sparsity that every pruned model and dense control had while it was trained, level by "
            "level. Steps are counted from the dense model on; stage 1 makes masks, stage 2 trains pathways "
            "over them."
        ),
        section="masks",
        columns="secateur.pruning.tables:SCHEDULE_COLUMNS",
        rows="secateur.pruning.tables:schedules",
        files=nothing,
    ),
    Table(
        name="masks",
        title="Overlap of masks",
        caption=(
            "Intersection over union of masks: between languages at one level, and between levels of one language."
        ),
        section="masks",
        columns="secateur.pruning.tables:OVERLAP_COLUMNS",
        rows="secateur.pruning.tables:overlaps",
        files=masks,
    ),
    Table(
        name="matrices",
        title="Sparsity of matrices",
        caption="Number of weights and sparsity of every matrix under every mask.",
        section="masks",
        columns="secateur.pruning.tables:MATRIX_COLUMNS",
        rows="secateur.pruning.tables:matrices",
        files=masks,
    ),
    Table(
        name="adaptations",
        title="Adaptations of masks",
        caption=(
            "Every adaptation of a mask: how many weights it kept, removed and took up, and the share of "
            "the new mask that the old one lacked (`changed`). `step` counts from the beginning of the run, "
            "`total_step` from the dense model on."
        ),
        section="masks",
        columns="secateur.pruning.tables:ADAPTATION_COLUMNS",
        rows="secateur.pruning.tables:adaptations",
        files=adapted,
    ),
    Table(
        name="storage",
        title="Storage",
        caption=(
            "Bytes of one shared set of weights θ with its masks, against a model of the same architecture "
            "for each language: with the zeros, as the files are; and sparse, counted from the same files "
            "without the four bytes of each pruned weight."
        ),
        section="size",
        columns="secateur.pruning.tables:STORAGE_COLUMNS",
        rows="secateur.pruning.tables:storage",
        files=sizes,
        view="secateur.pruning.tables:storage_view",
        order=20,
    ),
)

FIGURES = (
    Figure(
        name="sparsity",
        title="Word error rate against sparsity",
        caption=(
            "One panel a language; avg is the unweighted mean over all languages of the corpus. Methods "
            "that prune level by level are lines from the dense model at 0. In the shaded part stand all "
            "other models of the highest sparsity, each in a place of its own. Colour says where masks come "
            "from (blue: IMP, orange: LTH, green: LAP); squares are adaptive, diamonds pathways, triangles "
            "dynamic pathways, those that point down RigL and movement pruning. "
            "Horizontal lines are dense models. Bars are 95 % intervals over "
            "utterances, or ± one standard deviation over seeds. All are decoded by one search, the first "
            "of the pruned models' searches. The vertical axis does not begin at zero."
        ),
        section="masks",
        draw="secateur.pruning.plots:sparsity",
        tables=("wer",),
        order=10,
    ),
    Figure(
        name="schedule",
        title="Sparsity during training",
        caption=(
            "What it takes to make one model: its sparsity by training step, counted from the dense model "
            "on. Pathways need two stages, first masks (IMP and LTH: a training of its own for each "
            "language), then pathways, which start again from the dense weights. Masks without pathways, "
            "adaptive ones too, need one stage. Short strokes: a mask adapts. Methods with the same "
            "schedule share a panel."
        ),
        section="masks",
        draw="secateur.pruning.plots:schedule",
        tables=("schedule", "adaptations"),
        order=20,
    ),
    Figure(
        name="adaptation",
        title="How much each adaptation changes a mask",
        caption=(
            "Share of the weights in a language's mask that were not in it before the adaptation, by "
            "training step, counted from the dense model on; one line for each language and seed. At a "
            "vertical line the sparsity steps up to the level beside it."
        ),
        section="masks",
        draw="secateur.pruning.plots:adaptation",
        tables=("adaptations", "schedule"),
        order=30,
    ),
    Figure(
        name="overlap",
        title="Overlap of masks",
        caption=(
            "Intersection over union of two masks: 1 where they keep the same weights, 0 where they share "
            "none; the mean over seeds. Panels that end with a sparsity compare the masks of languages at "
            "that sparsity, panels that end with a language compare the levels of its mask. Two masks drawn "
            "independently at sparsity s overlap by (1 − s) / (1 + s), which is 0.18 at 70 %; nested masks, "
            "as those of IMP, LTH and LAP are, overlap by the ratio of what they keep. Fixed pathways have "
            "the masks of the method that they are named after."
        ),
        section="masks",
        draw="secateur.pruning.plots_masks:overlap",
        tables=("masks",),
        order=40,
    ),
    Figure(
        name="matrix_sparsity",
        title="Where weights are pruned",
        caption=(
            "Sparsity in percent of the layers and of the kinds of matrices at the highest sparsity: the "
            "weights of all their matrices together, the mean over languages and seeds. The mask as a whole "
            "has the sparsity in the title."
        ),
        section="masks",
        draw="secateur.pruning.plots_masks:matrix_sparsity",
        tables=("matrices",),
        order=50,
    ),
)
