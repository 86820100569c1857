"""What was heard."""

from collections.abc import Mapping
from typing import Any

from secateur.overview.study import corpus_languages
from secateur.reporting.table import Table
from secateur.study.runs import used_corpora


def validations(config: Mapping[str, Any]) -> list[str]:
    return [f"validation/{corpus}.tsv" for corpus in used_corpora(config)]


def source_files(config: Mapping[str, Any]) -> list[str]:
    return [f"data/{corpus}/{language}/source.json" for corpus, language in corpus_languages(config)]


def dropped_files(config: Mapping[str, Any]) -> list[str]:
    return [f"data/{corpus}/{language}/dropped.tsv" for corpus, language in corpus_languages(config)]


TABLES = (
    Table(
        name="corpora",
        title="Speech data",
        caption=(
            "What was heard: hours, utterances, words and word types per split and language, and how many "
            "utterances were dropped by the checks before training."
        ),
        section="data",
        columns="secateur.overview.data:CORPORA_COLUMNS",
        rows="secateur.overview.data:corpora",
        files=validations,
        view="secateur.overview.data:corpora_view",
        order=10,
    ),
    Table(
        name="sources",
        title="Sources and licences",
        caption=("Where the speech comes from, its licence, whom to credit, and whether a machine spoke it."),
        section="data",
        columns="secateur.overview.data:SOURCES_COLUMNS",
        rows="secateur.overview.data:sources",
        files=source_files,
        view="secateur.overview.data:sources_view",
        order=20,
    ),
    Table(
        name="dropped",
        title="Left out of the corpora",
        caption=(
            "Utterances of the source that are not used, counted by reason. Each is listed in the "
            "`dropped.tsv` of its language."
        ),
        section="data",
        columns="secateur.overview.data:DROPPED_COLUMNS",
        rows="secateur.overview.data:dropped",
        files=dropped_files,
        view="secateur.overview.data:dropped_view",
        order=30,
    ),
)
