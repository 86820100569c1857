"""Panels are arranged without gaps, and points tell their values."""

import matplotlib.pyplot as plt
import pytest

from secateur.reporting import drawing
from secateur.reporting.drawing import panels, point
from secateur.reporting.grid import Cell


@pytest.mark.parametrize(
    ("count", "columns", "lines", "beside", "width"),
    [
        (1, 2, 1, 1, drawing.WIDTH),
        (1, 3, 1, 1, drawing.WIDTH / 2),  # one heatmap takes half of the width
        (4, 3, 2, 2, drawing.WIDTH),  # and not three above a single one
        (5, 3, 2, 3, drawing.WIDTH),
        (7, 4, 2, 4, drawing.WIDTH),
        (2, 4, 1, 2, drawing.WIDTH),
    ],
)
def test_lines_of_panels_are_about_equally_full(count, columns, lines, beside, width):
    figure, axes = panels(count, columns)
    grid = axes[0].get_gridspec()
    assert (len(axes), grid.nrows, grid.ncols, figure.get_figwidth()) == (count, lines, beside, width)
    plt.close(figure)


def test_a_point_has_its_value_as_a_title(tmp_path):
    figure, (ax,) = panels(1)
    point(ax, 1.0, Cell(12.345, low=10.0, high=14.0, digits=1), "red", "o", 'a "b" & <c>')
    point(ax, 2.0, Cell(3.0, digits=0), "red", "o")
    figure.savefig(tmp_path / "a.svg", format="svg")
    plt.close(figure)
    told = drawing._told((tmp_path / "a.svg").read_bytes()).decode()
    assert '<g class="tip"><title>a "b" &amp; &lt;c&gt;: 12.3 [10.0, 14.0]</title>' in told
    assert "<title>3</title>" in told and "tip:" not in told
