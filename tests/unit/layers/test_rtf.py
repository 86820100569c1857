"""The depth that a real-time factor allows."""

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.layers import rtf


@pytest.fixture
def table(tmp_path):
    rows = [
        ("flat", "", 8, "greedy", "cpu", 0.001), ("deep", "", 6, "greedy", "cpu", 0.010),
        ("deep", "depth 4", 4, "greedy", "cpu", 0.007), ("deep", "depth 2", 2, "greedy", "cpu", 0.004),
        ("deep-depth2", "", 2, "greedy", "cpu", 0.001), ("deep", "A/A", 6, "greedy", "cpu", 0.001),
        ("deep", "some heads", 6, "greedy", "cpu", 0.001), ("deep", "", 6, "beam", "cpu", 0.1),
        ("deep", "depth 2", 2, "beam", "cpu", 0.09),
    ]  # fmt: skip
    columns = ("system", "sub_model", "depth", "search", "device", "rtf")
    write_tsv(tmp_path / "timing.tsv", columns, [dict(zip(columns, row, strict=True)) for row in rows])
    return tmp_path / "timing.tsv"


@pytest.mark.parametrize(("budget", "depth"), [(1.0, 6), (0.010, 6), (0.0099, 4), (0.004, 2)])
def test_the_greatest_depth_that_is_fast_enough(table, budget, depth):
    assert rtf.depth_within(table, budget, "cpu") == depth


def test_a_search_of_its_own_and_what_is_refused(table):
    assert rtf.depth_within(table, 0.095, "cpu", "beam") == 2
    with pytest.raises(
        SecateurError, match=r"no depth has a real-time factor of at most 0\.003; the fastest has 2 layers"
    ):
        rtf.depth_within(table, 0.003, "cpu")
    with pytest.raises(SecateurError, match="not timed on cuda:0 with search 'greedy'; time them"):
        rtf.depth_within(table, 1.0, "cuda:0", "greedy")
