"""Ours about compositions: whether several sorts of removal beat one, at equal bytes or equal time."""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.overview.reports.systems import measured
from secateur.reporting.claims import Claim


def files(config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("compose"):
        yield from measured(config)


NEEDS = "an entry of `compose` with several sorts of removal, and systems of one sort that are as small or as fast"
HERE = "secateur.overview.compositions:beats_its_parts"
CLAIMS = (
    Claim(
        "composition-bytes",
        "ours",
        "Several sorts of removal, one after another, make fewer errors than one sort alone with no more bytes.",
        "",
        HERE,
        f"{__name__}:files",
        NEEDS,
        {"column": "bytes"},
        130,
    ),
    Claim(
        "composition-time",
        "ours",
        "Several sorts of removal, one after another, make fewer errors than one sort alone that takes no more time.",
        "",
        HERE,
        f"{__name__}:files",
        NEEDS,
        {"column": "rtf"},
        140,
    ),
)
