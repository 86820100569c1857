"""All systems side by side, and what pruning breaks."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.exits import study as exits
from secateur.exported import study as exported
from secateur.heads import study as heads
from secateur.layers import study as layers
from secateur.overview.study import against_dense, all_decodings
from secateur.reporting.figure import Figure
from secateur.reporting.results import HEARD, SIZES_FILE, counted_of, files_of, speakers_file
from secateur.reporting.table import Table
from secateur.ssl import study as upstreams
from secateur.study import timing
from secateur.study.runs import model_runs


def sub_models(config: Mapping[str, Any]) -> Iterator[str]:
    """What says which sub-models there are."""
    for orders in layers.orders(config).values():
        yield from orders
    yield from (heads.removals_file(run) for _, run in heads.runs(config))
    yield from (exits.exits_file(run, search) for entry, run in exits.runs(config) for search in entry["searches"])
    for entry, run in exported.runs(config):
        yield from (exported.systems_file(run, search) for search in entry["searches"])


def measured(config: Mapping[str, Any]) -> Iterator[str]:
    yield SIZES_FILE
    yield from counted_of(all_decodings(config))
    yield from sub_models(config)
    yield from timing.files(config, model_runs(config))
    for entry, run in upstreams.runs(config):
        yield run.scores
        yield upstreams.speed_file(entry["name"], run.seed, base=False)


def heard(config: Mapping[str, Any]) -> Iterator[str]:
    pairs = list(against_dense(config))
    yield from files_of(dict.fromkeys(one for pair in pairs for one in pair), *HEARD)
    yield from dict.fromkeys(speakers_file(one) for one, _ in pairs)
    yield from sub_models(config)


def under_conditions(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("conditions"):
        yield from counted(config)


def counted(config: Mapping[str, Any]) -> Iterator[str]:
    yield from dict.fromkeys(counted_of(all_decodings(config)))
    yield from sub_models(config)


TABLES = (
    Table(
        name="no_worse",
        title="Which systems are no worse than the dense model",
        caption=(
            "One row per system and split: its word error rate, that of the dense model, how many points more it is "
            "with a 95 % interval over seeds and utterances, and whether the system is no worse by the margin of the "
            "study."
        ),
        section="systems",
        columns="secateur.overview.no_worse:COLUMNS",
        rows="secateur.overview.no_worse:rows",
        files=counted,
        view="secateur.overview.no_worse:view",
        order=5,
    ),
    Table(
        name="systems",
        title="All systems",
        caption=(
            "One row per system (a model or sub-model with a search) and seed: word and character error rates on test "
            "and dev data with their intervals, parameters, those that are not zero, bytes of the smallest file, "
            "multiply–accumulates per second of speech, peak memory, median time of an utterance and real-time factor "
            "with their intervals, training steps, and whether no other system beats it."
        ),
        section="systems",
        columns="secateur.overview.systems:COLUMNS",
        rows="secateur.overview.systems:rows",
        files=measured,
        view="secateur.overview.systems:view",
        order=10,
    ),
    Table(
        name="regressions",
        title="What pruning breaks",
        caption=(
            "Languages, speakers, words and utterances that got worse or better than in the dense model that a system "
            "was made from, with what both made of them."
        ),
        section="systems",
        columns="secateur.overview.regressions:COLUMNS",
        rows="secateur.overview.regressions:rows",
        files=heard,
        view="secateur.overview.regressions:view",
        order=20,
    ),
    Table(
        name="conditions",
        title="What pruning costs under other conditions",
        caption=(
            "One row per condition, seed and system: error rates of the system and of the dense model that it was made "
            "from, under the condition and without it, and how many points more pruning costs under it, with a 95 % "
            "interval, paired by utterance."
        ),
        section="systems",
        columns="secateur.overview.conditions:COLUMNS",
        rows="secateur.overview.conditions:rows",
        files=under_conditions,
        view="secateur.overview.conditions:view",
        order=30,
    ),
)

READ = (
    "Each point is a system, mean over languages; the best are at the lower left. The grey line joins the systems that "
    "no other one beats. Bars are 95 % intervals, or ± one standard deviation over seeds. A panel holds what "
    "one search decoded; dense models of every size are among its points. The horizontal axis is logarithmic."
)

FIGURES = (
    Figure(
        name="systems_bytes",
        title="Word error rate against size",
        caption=f"{READ} Bytes are those of the smallest file that we write, for all languages together.",
        section="systems",
        draw="secateur.overview.fronts:size",
        tables=("systems", "wer"),
        order=10,
    ),
    Figure(
        name="systems_macs",
        title="Word error rate against arithmetic",
        caption=f"{READ} Masks leave the arithmetic as it is: dense kernels multiply zeros.",
        section="systems",
        draw="secateur.overview.fronts:arithmetic",
        tables=("systems", "wer"),
        order=20,
    ),
    Figure(
        name="systems_latency",
        title="Word error rate against time",
        caption=(
            f"{READ} Times are of systems that took turns on the dev sets; a model that computes what another one does "
            "takes its time over."
        ),
        section="systems",
        draw="secateur.overview.fronts:time",
        tables=("systems", "wer"),
        order=30,
    ),
)
