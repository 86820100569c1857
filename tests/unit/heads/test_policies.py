"""Orders of removal: by hand, and the properties that each policy promises."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.heads.order import read_times, removal_order, removed_at
from secateur.heads.policies import POLICIES
from secateur.models.surgery.heads import Head

# Two encoder layers of three heads, a decoder layer of two and two.
SHAPE = {("encoder-self", 1): 3, ("encoder-self", 2): 3, ("decoder-self", 1): 2, ("decoder-source", 1): 2}
HEADS = [Head(*key, number + 1) for key, count in SHAPE.items() for number in range(count)]
IMPORTANCE = dict(zip(HEADS, [5.0, 1.0, 9.0, 2.0, 8.0, 7.0, 3.0, 4.0, 6.0, 0.5], strict=True))
TIMES = {"encoder-self": [0.0, 2.0, 3.0, 4.0], "decoder-self": [0.0, 5.0, 6.0], "decoder-source": [0.0, 9.0, 10.0]}


def order(policy, importance=IMPORTANCE, times=TIMES):
    return [HEADS.index(head) for head in removal_order(policy, importance, times)]


def test_global_goes_by_importance():
    assert order("global") == [9, 1, 3, 6, 7, 0, 8, 5, 4, 2]


def test_per_layer_gives_every_block_its_turn():
    """The least important of each block at 1/6 of three and 1/4 of two, and so on; among equals by importance."""
    assert order("per-layer") == [1, 3, 9, 6, 0, 5, 7, 8, 4, 2]


def test_by_layer_begins_at_the_bottom():
    assert order("by-layer") == [1, 0, 2, 3, 5, 4, 9, 6, 7, 8]


def test_one_kind_of_attention_goes_apart_before_the_others():
    assert order("encoder-first") == [1, 3, 0, 5, 4, 2, 9, 6, 7, 8]
    assert order("self-first") == [6, 7, 9, 1, 3, 0, 8, 5, 4, 2]
    assert order("source-first") == [9, 8, 1, 3, 6, 7, 0, 5, 4, 2]


def test_latency_aware_by_hand():
    """Importance lost per second saved, cheapest step first:

    decoder-source: one head 0.5/1, both 6.5/10. decoder-self: 3/1, both 7/6. Encoder 1: 1/1, 6/2, all 15/4; encoder 2:
    2/1, 9/2, all 17/4. So source's worst head at 0.5, then its other one at 6/9; encoder 1's worst at 1; decoder-self
    at 7/6; encoder 2's worst at 2. Then, of encoder 1, both of what is left at 14/3 (one would be 5/1), of encoder 2
    both at 15/3.
    """
    assert order("latency-aware") == [9, 8, 1, 6, 7, 3, 0, 2, 5, 4]


def test_latency_aware_takes_whole_blocks_when_heads_alone_save_nothing():
    """Where nearly all time is that of having attention at all, thinning every layer out is pointless."""
    importance = {head: 1.0 for head in HEADS[:6]}
    flat = {"encoder-self": [0.0, 10.0, 10.0, 10.0]}
    assert order("latency-aware", importance, flat) == [0, 1, 2, 3, 4, 5]
    assert order("global", importance | {HEADS[0]: 1.5}) == [1, 2, 3, 4, 5, 0]
    assert order("latency-aware", importance | {HEADS[0]: 1.5}, flat) == [3, 4, 5, 1, 2, 0]


def test_noise_in_the_times_is_no_time():
    """Two heads cannot take less than one: the second is free, and is not removed for its time."""
    importance = {HEADS[6]: 1.0, HEADS[7]: 1.0, HEADS[8]: 1.5, HEADS[9]: 1.5}
    times = {"decoder-self": [0.0, 5.0, 4.0], "decoder-source": [0.0, 5.0, 10.0]}
    assert order("latency-aware", importance, times) == [8, 9, 6, 7]


importances = st.lists(st.floats(0, 100), min_size=len(HEADS), max_size=len(HEADS)).map(
    lambda values: dict(zip(HEADS, values, strict=True))
)
increments = st.lists(st.floats(0.01, 10), min_size=3, max_size=3)
times = st.fixed_dictionaries(dict.fromkeys(TIMES, increments.map(lambda steps: [0.0, *itertools.accumulate(steps)])))


@settings(max_examples=60, deadline=None)
@given(importance=importances, times=times, policy=st.sampled_from(POLICIES.names()))
def test_every_policy_orders_all_heads_once(importance, times, policy):
    found = removal_order(policy, importance, times)
    assert sorted(found) == sorted(HEADS)
    shares = [removed_at(found, share / 20) for share in range(21)]
    assert all(set(less) <= set(more) for less, more in itertools.pairwise(shares))
    assert (len(shares[0]), len(shares[-1])) == (0, len(HEADS))
    assert found == removal_order(policy, dict(reversed(importance.items())), times)
    for one, other in itertools.combinations(found, 2):  # within a block every policy goes by importance
        if one.attention == other.attention:
            assert importance[one] <= importance[other]


@settings(max_examples=40, deadline=None)
@given(importance=importances)
def test_per_layer_is_even_and_by_layer_is_local(importance):
    for share in (0, 0.25, 0.5, 0.75, 1):
        removed = removed_at(removal_order("per-layer", importance), share)
        for key, count in SHAPE.items():
            assert abs(sum(head.attention == key for head in removed) - share * count) < 1
    found = removal_order("by-layer", importance)
    layers = [(head.block != "encoder-self", head.layer) for head in found]
    assert layers == sorted(layers)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(1, 20), min_size=len(HEADS), max_size=len(HEADS)),
    steps=st.fixed_dictionaries(dict.fromkeys(TIMES, st.lists(st.integers(1, 10), min_size=3, max_size=3))),
)
def test_latency_aware_passes_every_best_trade(values, steps):
    """Draw all 144 ways to shrink the four blocks by importance lost and time saved: every corner of the upper hull,
    where nothing saves more for its price, is a beginning of the order.
    """
    importance = dict(zip(HEADS, values, strict=True))
    times = {block: [0, *itertools.accumulate(found)] for block, found in steps.items()}
    lost = {
        key: [0, *itertools.accumulate(sorted(value for head, value in importance.items() if head.attention == key))]
        for key in SHAPE
    }

    def trade(counts):
        saved = (times[key[0]][size] - times[key[0]][size - counts[key]] for key, size in SHAPE.items())
        return sum(lost[key][count] for key, count in counts.items()), sum(saved)

    every = itertools.product(*(range(size + 1) for size in SHAPE.values()))
    corners = []
    for point in sorted({trade(dict(zip(SHAPE, counts, strict=True))) for counts in every}):
        while len(corners) > 1 and turn(*corners[-2:], point) >= 0:
            corners.pop()
        corners.append(point)

    counts = dict.fromkeys(SHAPE, 0)
    reached = {trade(counts)}
    for head in removal_order("latency-aware", importance, times):
        counts[head.attention] += 1
        reached.add(trade(counts))
    assert set(corners) <= reached


def turn(one, two, three):
    """Above 0 if the way from `one` over `two` to `three` turns left."""
    return (two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0])


def test_shares_are_rounded_to_whole_heads():
    found = removal_order("global", IMPORTANCE)
    assert [len(removed_at(found, share)) for share in (0, 0.04, 0.05, 0.25, 0.5, 0.96, 1)] == [0, 0, 1, 3, 5, 10, 10]
    with pytest.raises(SecateurError, match=r"the share of heads to remove is 1\.5"):
        removed_at(found, 1.5)


def test_what_cannot_be_ordered_is_refused(tmp_path):
    with pytest.raises(SecateurError, match="policy 'best' is unknown"):
        removal_order("best", IMPORTANCE)
    with pytest.raises(SecateurError, match="no measured times"):
        removal_order("latency-aware", IMPORTANCE)
    with pytest.raises(SecateurError, match="lack decoder-source with 2 heads"):
        removal_order("latency-aware", IMPORTANCE, TIMES | {"decoder-source": [0.0, 1.0]})
    write_json(tmp_path / "times.json", {"seconds": TIMES, "frames": 300})
    assert removal_order("latency-aware", IMPORTANCE, read_times(tmp_path / "times.json")) == removal_order(
        "latency-aware", IMPORTANCE, TIMES
    )
