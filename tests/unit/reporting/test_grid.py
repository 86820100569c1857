import pytest

from secateur.reporting.grid import Cell, combined, figure, label, measure, pivot
from secateur.reporting.render import latex_escape, markdown


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, None, "0"),
        (0.012345, None, "0.0123"),
        (1.2345, None, "1.23"),
        (123.4, None, "123"),
        (1234567, None, "1,234,567"),
        (45.06, 1, "45.1"),
        (-0.5, None, "-0.500"),
        (1500, 0, "1,500"),
    ],
)
def test_figure(value, digits, text):
    assert figure(value, digits) == text


def test_combined_is_mean_and_sample_deviation():
    cell = combined([Cell(1.0, sources=("a",)), Cell(2.0, sources=("b",)), Cell(6.0, sources=("c",))])
    assert cell.value == 3.0
    assert cell.deviation == pytest.approx(7**0.5)
    assert (cell.runs, cell.sources) == (3, ("a", "b", "c"))


def test_combined_keeps_the_interval_of_one_seed():
    assert str(combined([Cell(2.0, low=1.0, high=3.5, digits=1)])) == "2.0 [1.0, 3.5]"
    assert str(combined([])) == "–"


def test_uncertainty_has_the_decimals_of_its_value():
    assert str(Cell(0.0123, deviation=0.00021)) == "0.0123 ± 0.0002"
    assert str(Cell(5.0, deviation=0.0, runs=3)) == "5.00"


def test_pivot_puts_the_average_last_and_leaves_out_what_all_lines_share():
    rows = [
        {"model": "a", "split": "test", "search": search, "language": language, "wer": wer}
        for search, language, wer in (("g", "avg", "2"), ("g", "fr", "3"), ("b", "en", "4"), ("g", "en", "1"))
    ]
    grid = pivot(
        "T", rows, ("model", "split", "search"), lambda row: [(row["language"], measure(row, "wer", 0))], ("model",)
    )
    assert grid.header == ["Model", "Search", "fr", "en", "avg"]
    assert [[str(cell) for cell in row] for row in grid.rows] == [["a", "g", "3", "1", "2"], ["a", "b", "–", "4", "–"]]
    assert grid.constant == {"Split": "test"}


def test_labels():
    assert label("sparsity_target", "0.7") == "70 %"
    assert label("sparsity_target", "0.125") == "12.5 %"
    assert label("scope", "en-fr") == "en + fr"
    assert label("mask_changes", "") == "–"


def test_latex_escape_covers_every_special_character():
    assert latex_escape(r"a_b&c%d$e#f{g}h~i^j\k") == (
        r"a\_b\&c\%d\$e\#f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k"
    )


def test_markdown_escapes_what_would_break_the_table():
    grid = pivot(
        "T", [{"model": "a|b<c*", "n": "1"}], ("model",), lambda row: [("n", measure(row, "n", 0))], ("model",)
    )
    assert r"| a\|b&lt;c\* |" in markdown([grid])
