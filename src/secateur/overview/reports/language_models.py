"""What language models cost, in torch and exported."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.exported.study import decodings_of_forms
from secateur.heads.reports import heads
from secateur.reporting.results import counted_of
from secateur.reporting.table import Table


def files(config: Mapping[str, Any]) -> Iterator[str]:
    yield from heads.language_models(config)
    yield from counted_of(decodings_of_forms(config))


TABLES = (
    Table(
        name="lm",
        title="What the language model costs",
        caption=(
            "Perplexity, word error rate and time of one model with each language model and with none, "
            "beside the published ratio of times; pruned language models, and exported ones, are rows of their own."
        ),
        section="heads",
        columns="secateur.heads.lms:COLUMNS",
        rows="secateur.overview.lms:rows",
        files=files,
        view="secateur.heads.lms:view",
        order=20,
    ),
)
