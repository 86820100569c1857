"""What methods are called in figures, and how they are drawn: what the registry says, for the rows of tables."""

from secateur.pruning import methods
from secateur.reporting import drawing
from secateur.reporting.grid import Row, label

GREY = "#555555"


def name(row: Row, scope: bool = True) -> str:
    """What a method is called, with its variant; with `scope`, pathways of some languages name them."""
    parsed = methods.parse(row["method"])
    chosen = f", {label('scope', row['scope'])}" if scope and "-" in row["scope"] else ""
    return parsed.label + chosen + (f" ({parsed.variant})" if parsed.variant else "")


def style(row: Row) -> tuple[tuple | str, str, str]:
    """Colour, marker and line of a method. Pathways have the colour of the method that made their masks."""
    parsed = methods.parse(row["method"])
    shown, colour = parsed.method.shown, (parsed.masks or parsed.method).shown.colour
    return GREY if colour is None else drawing.palette(colour + 1)[colour], shown.marker, shown.line
