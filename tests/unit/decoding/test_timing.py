"""Latency summaries against hand-computed numbers; the protocol with a clock that counts instead of waiting."""

from itertools import product

import numpy as np
import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_tsv
from secateur.decoding import timing
from secateur.decoding.timing import (
    AGAIN,
    Machine,
    Measurement,
    latency,
    latency_intervals,
    measure,
    relative_time,
    share_of_time,
    time_ratio,
)
from secateur.statistics.student import t_quantile

ROWS = [
    {"utterance": "a", "duration_s": 2.0, "encoder_s": 0.1, "search_s": 0.2, "lm_s": 0.3},
    {"utterance": "b", "duration_s": 3.0, "encoder_s": 0.3, "search_s": 0.6, "lm_s": 0.5},
    {"utterance": "c", "duration_s": 5.0, "encoder_s": 0.2, "search_s": 0.7, "lm_s": 0.1},
]


def test_hand_computed_summary():
    result = latency(ROWS)
    assert result["encoder_s"] == pytest.approx(0.2)
    assert result["search_s"] == pytest.approx(0.5)
    assert result["lm_s"] == pytest.approx(0.3)
    assert result["total_s"] == pytest.approx(1.0)
    assert result["p50_s"] == pytest.approx(1.0)
    assert result["p95_s"] == pytest.approx(1.4 - 0.1 * 0.4)
    assert result["rtf"] == pytest.approx(3.0 / 10)


def test_reads_what_the_decoder_writes(tmp_path):
    write_tsv(tmp_path / "hypotheses.tsv", list(ROWS[0]), ROWS)
    assert latency(read_tsv(tmp_path / "hypotheses.tsv")) == latency(ROWS)


def test_unusable_rows_are_named():
    with pytest.raises(SecateurError, match="no decoded utterance"):
        latency([])
    with pytest.raises(SecateurError, match="'b' lasts 0"):
        latency([ROWS[0], ROWS[1] | {"duration_s": 0.0}])


def test_intervals_of_utterances_that_are_all_alike_have_no_width():
    rows = [ROWS[0] | {"utterance": str(number)} for number in range(5)]
    for name, (low, high) in latency_intervals(rows).items():
        assert low == pytest.approx(high) == pytest.approx(latency(rows)[name])


def test_intervals_of_means_shrink_as_they_should():
    """Totals of 0 and 1 second in equal numbers: the mean of n has a standard deviation of 0.5/√n."""
    rows = [
        {"utterance": str(number), "duration_s": 2.0, "encoder_s": float(number % 2), "search_s": 0.0, "lm_s": 0.0}
        for number in range(400)
    ]
    intervals = latency_intervals(rows)
    for name, scale in (("encoder_s", 1.0), ("total_s", 1.0), ("rtf", 0.5)):
        low, high = intervals[name]
        assert low == pytest.approx(scale * (0.5 - 1.96 * 0.025), abs=0.006 * scale)
        assert high == pytest.approx(scale * (0.5 + 1.96 * 0.025), abs=0.006 * scale)
    assert intervals["lm_s"] == (0.0, 0.0)
    assert intervals == latency_intervals(rows)


def test_times_are_compared_utterance_by_utterance():
    """Half the time on each utterance is half the time on any draw of them, however different they are."""
    half = [row | {part: row[part] / 2 for part in ("encoder_s", "search_s", "lm_s")} for row in ROWS]
    assert relative_time(half, ROWS) == pytest.approx((0.5, 0.5, 0.5))
    without_lm = [row | {"lm_s": 0.0} for row in ROWS]
    ratio, low, high = relative_time(without_lm, ROWS)
    assert ratio == pytest.approx(2.1 / 3.0)
    assert 0.2 < low < 0.45 and 1.0 < high < 2.5  # three utterances say little
    with pytest.raises(SecateurError, match="not of the same utterances"):
        relative_time(ROWS[:2], ROWS)


def test_the_share_of_a_part_is_of_all_seconds_and_its_interval_of_the_utterances():
    """Of utterances of ten seconds each, every other one has two and four of them: 30 % ± 10 / √200 · 1.97."""
    parts = {"encoder_s": 1.0, "search_s": 7.0, "lm_s": 2.0}, {"encoder_s": 1.0, "search_s": 5.0, "lm_s": 4.0}
    rows = [{"utterance": str(number), "duration_s": 1.0} | parts[number % 2] for number in range(200)]
    share, low, high = share_of_time(rows, "lm_s")
    assert share == pytest.approx(0.3)
    assert low == pytest.approx(0.3 * np.exp(-0.0465), abs=5e-4)
    assert high == pytest.approx(0.3 * np.exp(0.0465), abs=5e-4)
    slow = [row | {"round": 2} | {part: 3 * row[part] for part in parts[0]} for row in rows]
    assert share_of_time(rows + slow, "lm_s") == pytest.approx((share, low, high), rel=0.01)  # a slow round
    rows = [
        {"utterance": "a", "duration_s": 1.0, "encoder_s": 1.0, "search_s": 0.0, "lm_s": 1.0},
        {"utterance": "b", "duration_s": 1.0, "encoder_s": 2.0, "search_s": 4.0, "lm_s": 2.0},
    ]
    share, low, high = share_of_time(rows, "lm_s")
    assert share == pytest.approx(0.3) and 0 <= low < 0.05 and high == 1.0  # two utterances say next to nothing
    assert share_of_time(rows[:1], "encoder_s") == (0.5, 0.5, 0.5)


def in_rounds(totals):
    """Rows of totals (rounds, utterances), all of it the encoder's."""
    return [
        {"round": number, "utterance": str(place), "duration_s": 1.0, "encoder_s": value, "search_s": 0.0, "lm_s": 0.0}
        for number, values in enumerate(totals, 1)
        for place, value in enumerate(values)
    ]


def test_the_median_over_rounds_counts():
    rows = in_rounds([[1.0, 4.0], [9.0, 5.0], [2.0, 3.0]])
    assert latency(rows)["total_s"] == pytest.approx((2 + 4) / 2)
    assert latency(rows)["p50_s"] == pytest.approx(3.0)
    assert relative_time(rows, in_rounds([[1.0, 1.0]] * 3))[0] == pytest.approx(3.0)


def test_a_ratio_s_interval_by_hand():
    """Of one round: without one of its four utterances, the ratio 2 is 5/3 or 7/3; Student's t with 3 degrees."""
    base = in_rounds([[1.0, 1.0, 1.0, 1.0]])
    found = time_ratio(in_rounds([[3.0, 1.0, 3.0, 1.0]]), base)
    assert found.value == pytest.approx(2.0)
    se = (4 / 3 * 4 * (1 / 3) ** 2) ** 0.5
    assert (found.se, found.df) == (pytest.approx(se), pytest.approx(3.0))
    step = t_quantile(0.975, 3.0) * se / 2.0
    assert (found.low, found.high) == (pytest.approx(2 * np.exp(-step)), pytest.approx(2 * np.exp(step)))
    rounds = in_rounds([[3.0, 1.0, 3.0, 1.0]] * 6)
    assert time_ratio(rounds, in_rounds([[1.0] * 4] * 6)).se == pytest.approx(se)  # rounds that agree say no more


def test_the_interval_of_one_utterance_is_over_its_rounds():
    found = time_ratio(in_rounds([[2.0], [2.2], [2.4]]), in_rounds([[1.0], [1.0], [1.0]]))
    # Without one of three rounds, the ratio is 0.1 away from 2.2 for two of them; the median is less sure than a mean.
    assert (found.value, found.df) == (pytest.approx(2.2), pytest.approx(2.0))
    assert found.se == pytest.approx((3 / 2 * (0.1**2 + 0.1**2) * np.pi / 2) ** 0.5)
    assert relative_time(in_rounds([[2.0]]), in_rounds([[1.0]])) == (2.0, 0.0, np.inf)


def test_a_stall_says_little():
    steady = [[1.0, 1.1, 0.9, 1.0]] * 5
    stalled = [[9.0, 1.1, 0.9, 1.0], *steady[1:]]
    ratio, low, high = relative_time(in_rounds(stalled), in_rounds(steady))
    assert ratio == pytest.approx(1.0) and 0.85 < low < 1 < high < 1.25


def test_rounds_of_different_utterances_are_refused():
    with pytest.raises(SecateurError, match="rounds of a system"):
        latency(in_rounds([[1.0, 4.0], [9.0]]))
    with pytest.raises(SecateurError, match="not of the same utterances"):
        relative_time(in_rounds([[1.0, 4.0]]), in_rounds([[1.0, 4.0]] * 2))


class Clock:
    """Systems that note their calls; a call takes `seconds` times a factor of its number, of the machine's pace."""

    def __init__(self, pace=lambda call: 1.0):
        self.calls, self.pace = [], pace

    def system(self, name, seconds):
        def timed(utterance):
            self.calls.append((name, utterance))
            return {"encoder_s": seconds * self.pace(len(self.calls)), "search_s": 0.0, "lm_s": 0.5}

        return timed


@pytest.fixture
def idle(monkeypatch):
    monkeypatch.setattr(Machine, "others", lambda self: 0.0)


DURATIONS = {name: 2.0 for name in "uvw"}


def test_all_systems_are_timed_on_an_utterance_before_the_next_in_an_order_of_its_own(idle):
    clock = Clock()
    systems = {name: clock.system(name, seconds) for name, seconds in (("one", 1.0), ("two", 2.0), ("three", 3.0))}
    found = measure(systems, "one", DURATIONS, 4)
    assert len(clock.calls) == 5 * 3 * 4  # a round in vain, and the reference twice
    turns = [clock.calls[start : start + 4] for start in range(0, len(clock.calls), 4)]
    for turn in turns:
        assert len({utterance for _, utterance in turn}) == 1
        assert sorted(name for name, _ in turn) == ["one", "one", "three", "two"]
    assert len({tuple(name for name, _ in turn) for turn in turns}) > 5
    orders = {tuple(turn[0][1] for turn in turns[start : start + 3]) for start in range(0, 15, 3)}
    assert all(sorted(order) == list(DURATIONS) for order in orders) and len(orders) > 1
    assert list(found.rows) == ["one", "two", "three", AGAIN]
    assert [(row["round"], row["utterance"]) for row in found.rows["two"]] == list(product(range(1, 5), "uvw"))
    assert {row["encoder_s"] for row in found.rows["two"]} == {2.0}
    assert found.same == pytest.approx((1.0, 1.0, 1.0))
    assert (found.others, found.measured, found.doubt) == (0.0, 1, "")
    assert found.conditions["doubt"] == "" and found.conditions["same_low"] == pytest.approx(1.0)


def test_a_machine_whose_pace_changes_slows_all_systems_alike(idle):
    """It stalls now and then and is three times as slow in half of the rounds."""
    generator = np.random.default_rng(0)
    stalls = generator.random(10_000) < 0.01
    clock = Clock(lambda call: (1 + 2 * (call // 160 % 2)) * (1 + 9 * stalls[call]) * generator.normal(1, 0.02))
    durations = {str(place): 2.0 for place in range(20)}
    found = measure({"a": clock.system("a", 1.0), "b": clock.system("b", 1.2)}, "a", durations, 6)
    ratio, low, high = relative_time(found.rows["b"], found.rows["a"])
    assert found.doubt == "" and 1.0 < low < ratio < high
    assert ratio == pytest.approx(1.7 / 1.5, abs=0.05)


def test_what_is_not_sound_is_measured_once_more(monkeypatch):
    shares = iter([0.3, 0.05])
    monkeypatch.setattr(Machine, "others", lambda self: next(shares))
    clock = Clock()
    found = measure({"one": clock.system("one", 1.0)}, "one", DURATIONS, 2)
    assert (found.measured, found.others, found.doubt) == (2, 0.05, "")
    assert len(clock.calls) == 2 * 3 * 3 * 2
    shares = iter([0.3, 0.2])
    found = measure({"one": clock.system("one", 1.0)}, "one", DURATIONS, 2)
    assert (found.measured, found.doubt) == (2, "other processes used 20% of the machine meanwhile")


def test_a_reference_that_differs_from_itself_leaves_doubt():
    assert Measurement({}, (1.1, 1.02, 1.2), 0.0, 2).doubt.startswith("the same model timed twice differs: ratio 1.100")
    assert Measurement({}, (1.1, 0.99, 1.2), None, 1).doubt == ""


def test_equal_systems_are_rarely_called_different_and_ten_percent_more_is_seen(idle):
    """Cells with a noise of 10 %, rounds of their own pace, stalls in one of a hundred; 20 utterances, 6 rounds."""
    generator, different, slower = np.random.default_rng(1), 0, 0
    for _ in range(60):
        shared = generator.lognormal(0, 0.5, (1, 1, 20)) * generator.lognormal(0, 0.2, (1, 6, 1))
        cells = shared * generator.normal(1, 0.1, (3, 6, 20)) * (1 + 3 * (generator.random((3, 6, 20)) < 0.01))
        a, b, c = (in_rounds(each) for each in cells * np.array([1, 1, 1.1])[:, None, None])
        _, low, high = relative_time(b, a)
        different += not low <= 1 <= high
        slower += relative_time(c, a)[1] > 1
    assert different <= 3 and slower >= 48, (different, slower)


def test_the_share_of_other_processes(tmp_path, monkeypatch):
    """Of 2000 ticks 900 were busy, which is 9 s at 100 a second; 4 s are this process's own: 5 of 20 s."""
    monkeypatch.setattr(timing.os, "sysconf", lambda name: 100)
    seconds = iter([10.0, 14.0, 14.0])
    monkeypatch.setattr(timing.time, "process_time", lambda: next(seconds))
    file = tmp_path / "stat"
    file.write_text("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1\n")
    machine = Machine(file)
    file.write_text("cpu  700 100 150 1800 150 30 20 50 99 0\ncpu0 1 1 1 1\n")
    assert machine.others() == pytest.approx(5 / 20)
    file.unlink()
    assert machine.others() is None


def test_nothing_to_time_is_refused():
    with pytest.raises(SecateurError, match="0 utterances and 3 rounds"):
        measure({}, "one", {}, 3)
