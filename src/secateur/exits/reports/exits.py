"""Early exit: error rates, depth and time by threshold."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.exits import study as exits
from secateur.reporting.figure import Figure
from secateur.reporting.results import HYPOTHESES, counted_of, files_of
from secateur.reporting.table import Table
from secateur.study.runs import Decoding
from secateur.study.timing import files


def chosen(config: Mapping[str, Any]) -> Iterator[str]:
    yield from (exits.exits_file(run, search) for entry, run in exits.runs(config) for search in entry["searches"])


def left_early(config: Mapping[str, Any]) -> Iterator[str]:
    found = list(exits.decodings(config))
    whole = [Decoding(one.run, one.split, one.language, one.search) for one in found]
    yield from chosen(config)
    yield from counted_of((*found, *whole))
    yield from files_of(dict.fromkeys(found), HYPOTHESES)
    yield from files(config, (run for _, run in exits.runs(config)))


TABLES = (
    Table(
        name="exits",
        title="Early exit",
        caption=(
            "Word error rate, mean number of layers, multiply–accumulates and real-time factor of models that every "
            "utterance leaves when a head is sure of it, by threshold, beside fixed depths and the whole model."
        ),
        section="layers",
        columns="secateur.exits.tables:COLUMNS",
        rows="secateur.exits.tables:rows",
        files=left_early,
        view="secateur.exits.tables:view",
        order=25,
    ),
    Table(
        name="exit_curves",
        title="What any threshold does on dev",
        caption="Mean number of layers and word error rate on the dev data by threshold, which the choice goes by.",
        section="layers",
        columns="secateur.exits.tables:CURVE_COLUMNS",
        rows="secateur.exits.tables:curves",
        files=chosen,
    ),
)

FIGURES = (
    Figure(
        name="exits",
        title="Early exit",
        caption=(
            "Average word error rate of a model that every utterance leaves early, by what decides, against the mean "
            "number of layers (left) and the real-time factor on the dev sets, one utterance at a time (right). "
            "Dotted: all utterances leave by the same head; dashed: sub-models of as many layers, of each depth the "
            "best that a search found. All lines end at the whole model. Bars are 95 % intervals, or ± one standard "
            "deviation over seeds."
        ),
        section="layers",
        draw="secateur.exits.plots:curve",
        tables=("exits", "layers", "wer"),
        order=15,
    ),
)
