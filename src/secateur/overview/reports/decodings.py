"""Error rates and time of all models."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.heads import study as heads
from secateur.reporting.figure import Figure
from secateur.reporting.results import SCORE, SIZES_FILE, counted_of, files_of
from secateur.reporting.table import Table
from secateur.study import timing
from secateur.study.runs import decodings, model_runs


def scored(config: Mapping[str, Any]) -> list[str]:
    return [*files_of(decodings(config), SCORE), *counted_of(decodings(config)), SIZES_FILE]


def utterances(config: Mapping[str, Any]) -> Iterator[str]:
    return counted_of(decodings(config))


def timed(config: Mapping[str, Any]) -> list[str]:
    removals = (heads.removals_file(run) for entry, run in heads.runs(config) if entry["recovery"])
    return [*timing.files(config, model_runs(config)), *removals, SIZES_FILE]


TABLES = (
    Table(
        name="wer",
        title="Word and character error rates",
        caption=(
            "Word and character error rates in percent with 95 % intervals over utterances (by speaker where a "
            "language has ten), one row per model, seed, language and search. Language `avg` is the unweighted mean "
            "over languages; scope `each` stands for the monolingual models together."
        ),
        section="accuracy",
        columns="secateur.overview.decodings:WER_COLUMNS",
        rows="secateur.overview.decodings:wer",
        files=scored,
        view="secateur.overview.decodings:wer_view",
        order=10,
    ),
    Table(
        name="comparisons",
        title="Which differences are real",
        caption=(
            "Pairs of systems compared on the same utterances (with a language model or without, another "
            "search or greedy search, multilingual or monolingual, pruned or dense, adaptive or fixed masks): "
            "the difference of their word error rates, A minus B, in points and in percent, with 95 % "
            "intervals over seeds and utterances, p-values, and the smallest difference that could be shown."
        ),
        section="accuracy",
        columns="secateur.overview.comparisons:COLUMNS",
        rows="secateur.overview.comparisons:rows",
        files=utterances,
        view="secateur.overview.comparisons:view",
        order=20,
    ),
    Table(
        name="latency",
        title="Decoding time",
        caption=(
            "Decoding time in seconds per utterance of all systems in turns, split into encoder, search and language "
            "model, with the median, the 95th percentile and the real-time factor, and what the same system takes when "
            "it is timed again (A/A). A model that computes what another one does has its time."
        ),
        section="time",
        columns="secateur.overview.times:LATENCY_COLUMNS",
        rows="secateur.overview.times:rows",
        files=timed,
        view="secateur.overview.times:view",
        order=10,
    ),
)

FIGURES = (
    Figure(
        name="wer",
        title="Word error rate by language",
        caption=(
            "Each point is the word error rate of one search; lower is better. Bars are 95 % "
            "intervals over utterances, or ± one standard deviation where there are several seeds. avg is "
            "the unweighted mean over languages. Where two bars overlap widely, the test set does not tell "
            "the two apart."
        ),
        section="accuracy",
        draw="secateur.overview.plots:wer",
        tables=("wer",),
        order=10,
    ),
    Figure(
        name="latency",
        title="Where decoding time goes",
        caption=(
            "Seconds of decoding spent on each second of speech (the real-time factor), utterances of the dev "
            "sets in turns, split into encoder, search and language model. A bar that ends left of 1 is faster "
            "than real time."
        ),
        section="time",
        draw="secateur.overview.plots:latency",
        tables=("latency", "wer"),
        order=10,
    ),
    Figure(
        name="tradeoff",
        title="Word error rate against decoding time",
        caption=(
            "Each point is one model with one search, mean over languages: the best are at the lower left. "
            "The horizontal axis is logarithmic. Bars are 95 % intervals, or ± one standard "
            "deviation over seeds."
        ),
        section="time",
        draw="secateur.overview.plots:tradeoff",
        tables=("wer", "latency"),
        order=20,
    ),
)
