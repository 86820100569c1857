"""Attention heads, fewer layers with fewer heads, and language models."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.heads import study as heads
from secateur.reporting.figure import Figure
from secateur.reporting.results import SIZES_FILE, counted_of, files_of
from secateur.reporting.table import Table
from secateur.study.runs import decodings
from secateur.study.timing import files


def removals(config: Mapping[str, Any]) -> Iterator[str]:
    yield from times(config)
    yield from (heads.removals_file(run) for _, run in heads.runs(config))
    yield from counted_of((*heads.decodings(config), *decodings(config)))


def times(config: Mapping[str, Any]) -> Iterator[str]:
    yield from files(config, (run for _, run in heads.runs(config)), utterances=True)


def importances(config: Mapping[str, Any]) -> Iterator[str]:
    return (heads.importance_file(run) for _, run in heads.runs(config))


def stabilities(config: Mapping[str, Any]) -> Iterator[str]:
    return (heads.stability_file(run) for _, run in heads.runs(config))


def combinations(config: Mapping[str, Any]) -> Iterator[str]:
    yield SIZES_FILE
    yield from times(config)
    yield from counted_of((*heads.combined_decodings(config), *decodings(config)))


def tunings(config: Mapping[str, Any]) -> Iterator[str]:
    return (heads.tuning_file(run) for entry, run in heads.runs(config) if entry.get("tuning"))


def language_models(config: Mapping[str, Any]) -> Iterator[str]:
    yield from times(config)
    yield from tunings(config)
    yield from (heads.perplexity_file(*lm) for lm in heads.perplexities(config))
    yield from counted_of(decodings(config))


def recovered(config: Mapping[str, Any]) -> Iterator[str]:
    yield from files_of(heads.trained_on_runs(config), "run.json", "history.tsv")


def evidence_files(config: Mapping[str, Any]) -> Iterator[str]:
    """What the claims about heads and language models are made of."""
    yield from times(config)
    yield from (heads.removals_file(run) for _, run in heads.runs(config))
    yield from (heads.perplexity_file(*lm) for lm in heads.perplexities(config))
    yield from counted_of((*heads.decodings(config), *heads.combined_decodings(config), *decodings(config)))


TABLES = (
    Table(
        name="head_comparisons",
        title="Heads, layers and language models, compared",
        caption=(
            "Policies against global removal at the same share, what lost heads or layers against the whole model, and "
            "language models against none: time, and errors over seeds and utterances, with the smallest difference "
            "that could be shown."
        ),
        section="heads",
        columns="secateur.heads.verdicts:COLUMNS",
        rows="secateur.heads.verdicts:rows",
        files=evidence_files,
        view="secateur.heads.verdicts:view",
        order=10,
    ),
    Table(
        name="recovery",
        title="Does training on help?",
        caption=(
            "Dev losses of models that lost heads or layers, and of the whole one as a control, before and after "
            "training on at several learning rates."
        ),
        section="heads",
        columns="secateur.heads.recovery:COLUMNS",
        rows="secateur.heads.recovery:rows",
        files=recovered,
        view="secateur.heads.recovery:view",
        order=35,
    ),
    Table(
        name="combined",
        title="Fewer layers and fewer heads",
        caption=(
            "Fewer layers and fewer heads, alone and in both orders: word error rate, parameters, arithmetic and time."
        ),
        section="heads",
        columns="secateur.heads.tables:COMBINED_COLUMNS",
        rows="secateur.heads.tables:combinations",
        files=combinations,
        view="secateur.heads.tables:combined_view",
        order=30,
    ),
    Table(
        name="heads",
        title="Time and error rate by share of heads removed",
        caption=(
            "Word error rate, time and cost by importance, policy and share of the heads removed, with and "
            "without training on."
        ),
        section="heads",
        columns="secateur.heads.tables:COLUMNS",
        rows="secateur.heads.tables:rows",
        files=removals,
        view="secateur.heads.tables:view",
        order=40,
    ),
    Table(
        name="importance_stability",
        title="How stable is the order of heads?",
        caption=(
            "How much of the order of heads, by each importance, is the same on resampled utterances, and on how many "
            "it was estimated."
        ),
        section="heads",
        columns="secateur.heads.tables:STABILITY_COLUMNS",
        rows="secateur.heads.tables:stabilities",
        files=stabilities,
        view="secateur.heads.tables:stability_view",
        order=50,
    ),
    Table(
        name="lm_tuning",
        title="LM weights and length bonuses that were tried",
        caption="Error rates on a sample of the dev sets by LM weight and length bonus.",
        section="heads",
        columns="secateur.heads.lms:GRID_COLUMNS",
        rows="secateur.heads.lms:grids",
        files=tunings,
    ),
    Table(
        name="importance",
        title="Which heads matter",
        caption="Importance of every attention head, by all measures.",
        section="heads",
        columns="secateur.heads.tables:IMPORTANCE_COLUMNS",
        rows="secateur.heads.tables:importances",
        files=importances,
    ),
)

FIGURES = (
    Figure(
        name="heads",
        title="Time and word error rate by share of heads removed",
        caption=(
            "Left: milliseconds of one utterance on average, all systems in turn on the same utterances of "
            "the dev sets. Right: average word error rate. One line a policy from the whole model at 0; "
            "dashed are other importances; diamonds are models trained on after the removal. Bars are 95 % "
            "intervals over utterances, or ± one standard deviation over seeds. Points at one "
            "share are set apart for reading. Beam search removes heads of a decoder, too; where it is not "
            "decoded with, its time alone is shown."
        ),
        section="heads",
        draw="secateur.heads.plots:heads",
        tables=("heads", "wer"),
        order=10,
    ),
    Figure(
        name="lm",
        title="What the language model costs",
        caption=(
            "Left: perplexity of each language model on the test sets, by token, against the time of "
            "decoding with it. Right: word error rate against that time; none is decoding without. The "
            "whole model in all; searches as the configuration has them. Bars are 95 % intervals "
            "over utterances, or ± one standard deviation over seeds."
        ),
        section="heads",
        draw="secateur.heads.plots:lm",
        tables=("lm", "wer"),
        order=20,
    ),
    Figure(
        name="importance",
        title="Which heads matter",
        caption=(
            "Importance of every head, by layer and number: the mean over utterances of the dev sets of "
            "|∂L/∂ξ|, ξ being a gate on the head, as a share of the model's largest. Dark heads hardly "
            "change the loss, to first order. Other importances and seeds are in `importance.tsv`."
        ),
        section="heads",
        draw="secateur.heads.plots:importance",
        tables=("importance",),
        order=30,
    ),
)
