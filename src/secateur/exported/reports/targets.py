"""Times on the devices that models are for."""

from collections.abc import Mapping
from typing import Any

from secateur.exported import study as exported
from secateur.reporting.table import Table


def measured(config: Mapping[str, Any]) -> list[str]:
    return list(exported.targets(config).values())


TABLES = (
    Table(
        name="targets",
        title="On the devices that models are for",
        caption=(
            "Bytes, real-time factor and time over the first system's, of ONNX files that a bundle timed in turns on "
            "other machines (`timing.targets`)."
        ),
        section="time",
        columns="secateur.exported.tables:COLUMNS",
        rows="secateur.exported.tables:rows",
        files=measured,
        view="secateur.exported.tables:view",
        order=40,
    ),
)
