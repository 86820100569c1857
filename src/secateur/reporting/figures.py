"""The figures of the report: their titles, their captions, and the job that draws them from the tables.

A new figure is a function that `secateur.reporting.plots` has or imports, one entry in `FIGURES` with the same name,
and its caption in `workflow/report/` for `snakemake --report`. This module is light: the plotting libraries are
imported when drawing.
"""

from dataclasses import dataclass
from pathlib import Path

from secateur.reporting.tables import read_tables

EMPTY = "Nothing to show"
"""Description of a picture whose data the study lacks; the page leaves it out."""


@dataclass(frozen=True)
class Figure:
    """A figure's name (of its file and of its function in `plots`), title, and how to read it."""

    name: str
    title: str
    caption: str


FIGURES = (
    Figure(
        "wer",
        "Word error rate by language",
        "Each point is the word error rate of one search; lower is better. Bars are 95 % bootstrap intervals over "
        "utterances, or ± one standard deviation where there are several seeds. avg is the unweighted mean over "
        "languages. Where two bars overlap widely, the test set does not tell the two apart.",
    ),
    Figure(
        "latency",
        "Where decoding time goes",
        "Seconds of decoding spent on each second of speech (the real-time factor), mean over languages, split into "
        "encoder, search and language model. A bar that ends left of 1 is faster than real time.",
    ),
    Figure(
        "tradeoff",
        "Word error rate against decoding time",
        "Each point is one model with one search, mean over languages: the best are at the lower left. The horizontal "
        "axis is logarithmic. Bars are 95 % bootstrap intervals, or ± one standard deviation over seeds.",
    ),
    Figure(
        "loss",
        "Loss during training",
        "Training loss (thin) and loss on the development set (thick, with points) by training step; one line for "
        "each seed. A development loss that rises while the training loss falls is over-fitting; a curve that still "
        "falls at its end had too small a budget. Losses of different kinds of models are not comparable.",
    ),
    Figure(
        "sparsity",
        "Word error rate against sparsity",
        "One panel a language; avg is the unweighted mean over all languages of the corpus. Methods that prune level "
        "by level are lines from the dense model at 0. In the shaded part stand all other models of the highest "
        "sparsity, each in a place of its own. Colour says where masks come from (blue: IMP, orange: LTH, green: "
        "LAP); squares are adaptive, diamonds pathways, triangles dynamic pathways. Horizontal lines are dense "
        "models. Bars are 95 % bootstrap intervals over utterances, or ± one standard deviation over seeds. All are "
        "decoded by one search, the first of the pruned models' searches. The vertical axis does not begin at zero.",
    ),
    Figure(
        "schedule",
        "Sparsity during training",
        "What it takes to make one model: its sparsity by training step, counted from the dense model on. Pathways "
        "need two stages, first masks (IMP and LTH: a training of its own for each language), then pathways, which "
        "start again from the dense weights. Masks without pathways, adaptive ones too, need one stage. Short "
        "strokes: a mask adapts. Methods with the same schedule share a panel.",
    ),
    Figure(
        "adaptation",
        "How much each adaptation changes a mask",
        "Share of the weights in a language's mask that were not in it before the adaptation, by training step, "
        "counted from the dense model on; one line for each language and seed. At a vertical line the sparsity steps "
        "up to the level beside it.",
    ),
    Figure(
        "overlap",
        "Overlap of masks",
        "Intersection over union of two masks: 1 where they keep the same weights, 0 where they share none; the mean "
        "over seeds. Panels that end with a sparsity compare the masks of languages at that sparsity, panels that end "
        "with a language compare the levels of its mask. Two masks drawn independently at sparsity s overlap by (1 − "
        "s) / (1 + s), which is 0.18 at 70 %; nested masks, as those of IMP, LTH and LAP are, overlap by the ratio of "
        "what they keep. Fixed pathways have the "
        "masks of the method that they are named after.",
    ),
    Figure(
        "matrix_sparsity",
        "Where weights are pruned",
        "Sparsity in percent of the layers and of the kinds of matrices at the highest sparsity: the weights of all "
        "their matrices together, the mean over languages and seeds. The mask as a whole has the sparsity in the "
        "title.",
    ),
    Figure(
        "depth",
        "Word error rate and time by depth",
        "Left: average word error rate of one model with fewer and fewer of its encoder layers, by the strategy that "
        "chose them; diamonds are models trained alone at that depth. Bars are 95 % bootstrap intervals, or ± "
        "one standard deviation over seeds. Right: the real-time factor of the same depths on the dev sets, one "
        "utterance at a time, all depths in turn. Points at one depth are set apart for reading.",
    ),
    Figure(
        "similarity",
        "How alike layers are",
        "SVCCA similarity (mean canonical correlation of the directions that hold 99 % of the variance) of the outputs "
        "of all pairs of layers on the dev sets, padding left out; layer 0 is the input of the first. First each model "
        "with itself, with and without regularisers, then pairs of models. Bright blocks off the diagonal are layers "
        "that do much the same: candidates for removal. Linear CKA, from the same pass, is in `svcca.tsv`, too.",
    ),
    Figure(
        "late",
        "Regularisers that come late",
        "Losses while a trained dense model is trained on with intermediate CTC, stochastic depth, or both. Left: "
        "training loss, with intermediate CTC at the weight of the step, of the same batches for all. Right: loss of "
        "the dev data by the last layer alone; a cross is what the loss jumps to at step 0 when intermediate CTC comes "
        "in at its full weight.",
    ),
    Figure(
        "heads",
        "Time and word error rate by share of heads removed",
        "Left: milliseconds of one utterance on average, all systems in turn on the same utterances of the dev sets. "
        "Right: average word error rate. One line a policy from the whole model at 0; dashed are other importances; "
        "diamonds are models trained on after the removal. Bars are 95 % bootstrap intervals over utterances, or ± "
        "one standard deviation over seeds. Points at one share are set apart for reading. Beam search removes heads "
        "of a decoder, too; where it is not decoded with, its time alone is shown.",
    ),
    Figure(
        "lm",
        "What the language model costs",
        "Left: perplexity of each language model on the test sets, by token, against the time of decoding with it. "
        "Right: word error rate against that time; none is decoding without. The whole model in all; searches as the "
        "configuration has them. Bars are 95 % bootstrap intervals over utterances, or ± one standard deviation over "
        "seeds.",
    ),
    Figure(
        "importance",
        "Which heads matter",
        "Importance of every head, by layer and number: the mean over utterances of the dev sets of |∂L/∂ξ|, ξ being "
        "a gate on the head, as a share of the model's largest. Dark heads hardly change the loss, to first order. "
        "Other importances and seeds are in `importance.tsv`.",
    ),
    Figure(
        "superb",
        "SUPERB score by size",
        "Each point is an encoder with frozen weights: its score over the tasks (Eq. 6), 0 for log-mel features and "
        "1000 for the teacher, against its parameters; the best are at the upper left. Tasks in which the teacher is "
        "no better than log-mel features are left out of the score. The uncertainty of each task is in the table.",
    ),
    Figure(
        "gates",
        "Gates in training",
        "Mean of the gates on attention and on feed-forward blocks, as they would be at inference, and the expected "
        "sparsity with its target. A block whose gate is 0 is removed. One line a student and seed.",
    ),
    Figure(
        "blocks",
        "What is left of every layer",
        "Parameters of the attention and the feed-forward block of each layer of the encoder, with biases, after "
        "pruning; the teacher has all.",
    ),
)


def write_figures(tables: str | Path, folder: str | Path) -> None:
    """Draw every figure of `FIGURES` from the tables in the folder `tables`, as `folder/{name}.svg`."""
    from secateur.reporting import plots

    rows = read_tables(tables)
    for figure in FIGURES:
        plots.write(figure.name, rows, Path(folder) / f"{figure.name}.svg")
