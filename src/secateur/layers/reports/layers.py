"""Layers on demand: sub-models, how alike layers are, late regularisers."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.layers import study as layers
from secateur.reporting.figure import Figure
from secateur.reporting.results import counted_of, files_of
from secateur.reporting.table import Table
from secateur.study.runs import ModelRun, decodings
from secateur.study.timing import files


def sub_models(config: Mapping[str, Any]) -> Iterator[str]:
    for files_of_model in layers.orders(config).values():
        yield from files_of_model
    yield from counted_of((*layers.decodings(config), *decodings(config)))
    yield from speeds(config)


def speeds(config: Mapping[str, Any]) -> Iterator[str]:
    yield from files(config, (run for _, run in layers.runs(config)))


def similarities(config: Mapping[str, Any]) -> Iterator[str]:
    return (f"{layers.similarity_folder(*one)}/similarity.tsv" for one in layers.comparisons(config))


def finetuned(config: Mapping[str, Any]) -> Iterator[str]:
    yield from counted_of(decodings(config))
    yield from files_of(late(config), "run.json", "history.tsv")


def late(config: Mapping[str, Any]) -> Iterator[ModelRun]:
    for entry in config["regularise"]:
        for variant in entry["variants"]:
            yield from (layers.late_run(entry, variant["name"], seed) for seed in config["seeds"])


def evidence_files(config: Mapping[str, Any]) -> Iterator[str]:
    """What the comparisons and claims about layers are made of."""
    yield from counted_of((*layers.decodings(config), *decodings(config)))
    for files_of_model in layers.orders(config).values():
        yield from files_of_model
    yield from speeds(config)
    yield from files_of(late(config), "run.json", "history.tsv")


TABLES = (
    Table(
        name="layers",
        title="Sub-models by strategy and depth",
        caption=(
            "Word error rate and real-time factor of every sub-model, by strategy and depth, beside models "
            "trained alone at that depth."
        ),
        section="layers",
        columns="secateur.layers.tables:COLUMNS",
        rows="secateur.layers.tables:rows",
        files=sub_models,
        view="secateur.layers.tables:view",
        order=10,
    ),
    Table(
        name="layer_comparisons",
        title="Sub-models and late regularisers, compared",
        caption=(
            "Sub-models against models trained alone at their depth, with a verdict by a margin, and regularisers that "
            "come late against the control: differences of error rates with 95 % intervals over seeds and utterances."
        ),
        section="layers",
        columns="secateur.layers.verdicts:COLUMNS",
        rows="secateur.layers.verdicts:rows",
        files=evidence_files,
        view="secateur.layers.verdicts:view",
        order=15,
    ),
    Table(
        name="depth_rtf",
        title="Time by depth",
        caption="Real-time factor by depth and device; all depths are measured in turn.",
        section="layers",
        columns="secateur.layers.tables:RTF_COLUMNS",
        rows="secateur.layers.tables:speeds",
        files=speeds,
        view="secateur.layers.tables:speed_view",
        order=20,
    ),
    Table(
        name="finetune",
        title="Regularisers that come late",
        caption=(
            "Loss and word error rate of dense models that are trained on with intermediate CTC, stochastic "
            "depth, or both."
        ),
        section="layers",
        columns="secateur.layers.tables:FINETUNE_COLUMNS",
        rows="secateur.layers.tables:finetuned",
        files=finetuned,
        view="secateur.layers.tables:finetune_view",
        order=30,
    ),
    Table(
        name="svcca",
        title="How alike layers are",
        caption="SVCCA and linear CKA of all pairs of layers of the models that are compared.",
        section="layers",
        columns="secateur.layers.tables:SVCCA_COLUMNS",
        rows="secateur.layers.tables:similarities",
        files=similarities,
        kept="secateur.layers.tables:shown_pairs",
    ),
)

FIGURES = (
    Figure(
        name="depth",
        title="Word error rate and time by depth",
        caption=(
            "Left: average word error rate of one model with fewer and fewer of its encoder layers, by the "
            "strategy that chose them; diamonds and crosses are models trained alone at that depth, without "
            "and with regularisers. Bars are 95 % "
            "intervals, or ± one standard deviation over seeds. Right: the real-time factor of "
            "the same depths on the dev sets, one utterance at a time, all depths in turn. Points at one "
            "depth are set apart for reading."
        ),
        section="layers",
        draw="secateur.layers.plots:depth",
        tables=("layers", "depth_rtf", "wer"),
        order=10,
    ),
    Figure(
        name="similarity",
        title="How alike layers are",
        caption=(
            "SVCCA similarity (mean canonical correlation of the directions that hold 99 % of the variance) "
            "of the outputs of all pairs of layers on the dev sets, padding left out; layer 0 is the input "
            "of the first. First each model with itself, with and without regularisers, then pairs of "
            "models. Bright blocks off the diagonal are layers that do much the same: candidates for "
            "removal. Linear CKA, from the same pass, is in `svcca.tsv`, too."
        ),
        section="layers",
        draw="secateur.layers.plots:similarity",
        tables=("svcca",),
        order=20,
    ),
    Figure(
        name="late",
        title="Regularisers that come late",
        caption=(
            "Losses while a trained dense model is trained on with intermediate CTC, stochastic depth, or "
            "both. Left: training loss, with intermediate CTC at the weight of the step, of the same "
            "batches for all. Right: loss of the dev data by the last layer alone; a cross is what the loss "
            "jumps to at step 0 when intermediate CTC comes in at its full weight and layers are skipped."
        ),
        section="layers",
        draw="secateur.layers.plots:late",
        tables=("history", "finetune", "wer"),
        order=30,
    ),
)
