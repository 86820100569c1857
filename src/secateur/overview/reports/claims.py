"""The claims of the documents, and what was found: the first section of the report."""

from secateur.reporting import claims
from secateur.reporting.table import Table

TABLES = (
    Table(
        name="claims",
        title="What is claimed, and what this study found",
        caption=(
            "One row for every claim of the documents, and of ours: the published effect, what was compared with what, "
            "the measured effect with its 95 % interval, the smallest effect that could have been shown, and the "
            "verdict after Holm's correction, with the files that it rests on."
        ),
        section="claims",
        columns="secateur.overview.claimed:COLUMNS",
        rows="secateur.overview.claimed:rows",
        files=claims.files,
        view="secateur.overview.claimed:view",
        order=10,
    ),
)
