"""The spec of a figure, and the figures that there are. No heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass

from secateur.reporting.registry import declared, modules_of

EMPTY = "Nothing to show"
"""Description of a picture whose data the study lacks; the page leaves it out."""


@dataclass(frozen=True)
class Figure:
    """What a module in a folder `reports` declares in `FIGURES`.

    Attributes:
        name: of its file.
        title: what it is about, in a few words.
        caption: how to read it.
        section: of the report, a key of `registry.SECTIONS`.
        draw: names (`module:function`) a function from tables, as rows of strings by name, to a matplotlib figure. It
            raises `drawing.NothingToShow` where data is missing.
        tables: the names of the tables that `draw` is given.
        order: its place in the section.
    """

    name: str
    title: str
    caption: str
    section: str
    draw: str
    tables: Sequence[str]
    order: int = 100

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.name}.svg"


def figures() -> tuple[Figure, ...]:
    """All figures, in the order of the report."""
    return declared("FIGURES")


def functions() -> list[str]:
    """What decides the pictures beside the tables: names and functions, without titles and captions."""
    return sorted(f"{figure.name} {figure.draw} {' '.join(figure.tables)}" for figure in figures())


def function_modules() -> tuple[str, ...]:
    """The modules of these functions, for the fingerprint of the command that draws."""
    return modules_of(figure.draw for figure in figures())
