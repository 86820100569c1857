"""The tables of the study of pruned multilingual models (S3): measured beside published."""

from collections.abc import Mapping
from typing import Any

from secateur.reporting.results import SIZES_FILE, counted_of, files_of
from secateur.reporting.table import Table
from secateur.study.runs import decodings, model_runs


def scored(config: Mapping[str, Any]) -> list[str]:
    adapting = (run for run in model_runs(config) if run.mask_changes)
    return [*counted_of(decodings(config)), SIZES_FILE, *files_of(adapting, "adaptations.tsv")]


def nothing(config: Mapping[str, Any]) -> list[str]:
    return []


TABLES = (
    Table(
        name="table1",
        title="Pruning a multilingual model",
        caption=(
            "Pruning a multilingual model: one mask for all languages (LAP), one for each (IMP, LTH), with "
            "and without adaptation, and pathways, beside the published word error rates."
        ),
        section="masks",
        columns="secateur.pruning.multilingual:table_columns",
        rows="secateur.pruning.multilingual:table1",
        files=scored,
        view="secateur.pruning.multilingual:table1_view",
        order=10,
    ),
    Table(
        name="table2",
        title="Pathways of some languages",
        caption=(
            "Pathways and dynamic pathways trained on some of the languages, by where their masks come "
            "from, beside the published word error rates."
        ),
        section="masks",
        columns="secateur.pruning.multilingual:table_columns",
        rows="secateur.pruning.multilingual:table2",
        files=scored,
        view="secateur.pruning.multilingual:table2_view",
        order=20,
    ),
    Table(
        name="table3",
        title="Pathways of all languages",
        caption=("Pathways and dynamic pathways trained on all languages, beside the published word error rates."),
        section="masks",
        columns="secateur.pruning.multilingual:table_columns",
        rows="secateur.pruning.multilingual:table3",
        files=scored,
        view="secateur.pruning.multilingual:table3_view",
        order=30,
    ),
    Table(
        name="budget",
        title="Training that tables 1 to 3 share",
        caption=("Training steps that the rows of tables 1 to 3 cost together, and if each were trained alone."),
        section="masks",
        columns="secateur.pruning.multilingual:BUDGET_COLUMNS",
        rows="secateur.pruning.multilingual:budget",
        files=nothing,
        view="secateur.pruning.multilingual:budget_view",
        order=40,
    ),
)
