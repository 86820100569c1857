"""Real-time factors by depth: numbers by hand, the order of measuring, and the depth that a budget allows."""

import pytest

from secateur.decoding import Features, Result
from secateur.errors import SecateurError
from secateur.files import write_tsv
from secateur.layers import rtf


def test_all_take_turns_and_only_computation_counts(monkeypatch):
    seen = []

    def decode(recognizer, features, search):
        seen.append(recognizer)
        return {"u1": Result("a", 1.0, 0.5, 0.25), "u2": Result("b", 0.25, 0.0)}

    monkeypatch.setattr(rtf, "decode", decode)
    factors = rtf.measure({"whole": "W", "part": "P"}, Features({}, {}), 4.0, {}, rounds=3)
    assert seen == ["W", "P"] * 3
    assert factors == {"whole": [0.5] * 3, "part": [0.5] * 3}


def test_ratios_are_of_the_same_round():
    found = rtf.summary({"whole": [0.4, 0.8, 0.4], "part": [0.2, 0.2, 0.1]}, "whole")
    assert found["whole"] == {
        "rtf": 0.4, "rtf_low": 0.4, "rtf_high": 0.8, "ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0
    }  # fmt: skip
    assert found["part"] == {
        "rtf": 0.2, "rtf_low": 0.1, "rtf_high": 0.2, "ratio": 0.25, "ratio_low": 0.25, "ratio_high": 0.5
    }  # fmt: skip


@pytest.fixture
def table(tmp_path):
    rows = [
        ("deep", 6, "greedy", "cpu", 0.010), ("deep", 4, "greedy", "cpu", 0.007), ("deep", 2, "greedy", "cpu", 0.004),
        ("deep-depth2", 2, "greedy", "cpu", 0.001), ("deep", 6, "beam", "cpu", 0.1), ("deep", 2, "beam", "cpu", 0.09),
    ]  # fmt: skip
    columns = ("model", "depth", "search", "device", "rtf")
    write_tsv(tmp_path / "rtf.tsv", columns, [dict(zip(columns, row, strict=True)) for row in rows])
    return tmp_path / "rtf.tsv"


@pytest.mark.parametrize(("budget", "depth"), [(1.0, 6), (0.010, 6), (0.0099, 4), (0.004, 2)])
def test_the_greatest_depth_that_is_fast_enough(table, budget, depth):
    assert rtf.depth_within(table, budget, "cpu") == depth


def test_a_search_of_its_own_and_what_is_refused(table):
    assert rtf.depth_within(table, 0.095, "cpu", "beam") == 2
    with pytest.raises(
        SecateurError, match=r"no depth has a real-time factor of at most 0\.003; the fastest has 2 layers"
    ):
        rtf.depth_within(table, 0.003, "cpu")
    with pytest.raises(SecateurError, match="'greedy' was not measured on cuda:0; measure it"):
        rtf.depth_within(table, 1.0, "cuda:0")
