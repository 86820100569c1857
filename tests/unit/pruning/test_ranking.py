import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from secateur.core.errors import SecateurError
from secateur.pruning.engines import ranking
from secateur.pruning.engines.mask import Mask, kept
from secateur.pruning.engines.ranking import largest, magnitude_mask, shares

# Few values, so that ties are common, and the ends of the range of float32.
# As torch holds them: two numbers of Python's may be one of float32, and then a tie.
VALUES = st.sampled_from(
    torch.tensor([0.0, -0.0, 0.5, -0.5, 0.25, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 3.0]).tolist()
) | (st.floats(width=32, allow_nan=False, allow_infinity=False))
TENSORS = {"a": torch.tensor([[0.3, -0.9], [0.1, 0.5]]), "b": torch.tensor([-0.5, 0.0, 0.7])}


def bits(mask: Mask) -> list[int]:
    return mask.flat.int().tolist()


def split(values: list[float], first: int) -> dict[str, torch.Tensor]:
    """Two tensors, the first of `first` values."""
    flat = torch.tensor(values)
    return {"a": flat[:first], "b": flat[first:][None]}


def by_sorting(values: list[float], keep: int) -> list[int]:
    """The definition, in plain Python: order by magnitude, then by place."""
    order = sorted(range(len(values)), key=lambda index: (-abs(values[index]), index))
    chosen = set(order[:keep])
    return [int(index in chosen) for index in range(len(values))]


@pytest.mark.parametrize(
    "keep, expected",
    [
        (0, [0, 0, 0, 0, 0, 0, 0]),
        (1, [0, 1, 0, 0, 0, 0, 0]),
        (2, [0, 1, 0, 0, 0, 0, 1]),
        (3, [0, 1, 0, 1, 0, 0, 1]),  # 0.5 in a before −0.5 in b
        (4, [0, 1, 0, 1, 1, 0, 1]),
        (6, [1, 1, 1, 1, 1, 0, 1]),
        (7, [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_global_ranking_by_hand(keep, expected):
    assert bits(largest(TENSORS, keep)) == expected


def test_sparsity_zero_and_one():
    assert magnitude_mask(TENSORS, 0) == Mask.ones(TENSORS)
    assert magnitude_mask(TENSORS, 1).kept == 0


def test_more_zeros_than_the_target_are_kept_by_place():
    """Two weights are not zero and four stay: the first two zeros, whatever their sign, stay too."""
    tensors = {"a": torch.tensor([0.0, -0.0, 2.0]), "b": torch.tensor([-0.0, 0.0, -1.0, 0.0, 0.0])}
    assert bits(magnitude_mask(tensors, 0.5)) == [1, 1, 1, 0, 0, 1, 0, 0]


def test_weights_outside_the_candidates_are_never_kept():
    within = Mask.of({"a": torch.tensor([[True, False], [True, True]]), "b": torch.tensor([True, True, False])})
    assert bits(largest(TENSORS, 2, within)) == [0, 0, 0, 1, 1, 0, 0]
    assert bits(largest(TENSORS, 5, within)) == [1, 0, 1, 1, 1, 1, 0]
    with pytest.raises(SecateurError, match="ranking of a …: 6 weights to keep of 5 candidates"):
        largest(TENSORS, 6, within)
    with pytest.raises(SecateurError, match="b where the ranked model has no more weights"):
        largest({"a": TENSORS["a"]}, 1, within)


def test_layerwise_ranking_by_hand():
    """(1−0.5)·7 = 3.5, so 4 stay: of 4 and 3 weights, quotas of 2.29 and 1.71, 2 and 2."""
    assert bits(magnitude_mask(TENSORS, 0.5, "layerwise")) == [0, 1, 0, 1, 1, 0, 1]
    assert bits(magnitude_mask(TENSORS, 0.7, "layerwise")) == [0, 1, 0, 0, 0, 0, 1]
    within = Mask.of({"a": torch.tensor([[True, False], [True, True]]), "b": torch.tensor([True, False, False])})
    assert bits(magnitude_mask(TENSORS, 0.7, "layerwise", within)) == [0, 0, 0, 1, 1, 0, 0]
    with pytest.raises(SecateurError, match=r"ranking of b: 2 weights to keep of 1 candidates"):
        magnitude_mask(TENSORS, 0.5, "layerwise", within)
    with pytest.raises(SecateurError, match="'local'; allowed: global, layerwise"):
        magnitude_mask(TENSORS, 0.5, "local")


@pytest.mark.parametrize(
    "sizes, keep, expected",
    [
        ([6, 6, 2], 10, [5, 4, 1]),  # the method of largest remainders gives 4, 4, 2 here
        ([6, 6, 2], 11, [5, 5, 1]),  # and 5, 5, 1 here: the last matrix would lose a weight for one more to keep
        ([5, 5, 5], 7, [3, 2, 2]),  # equal claims: the first
        ([1, 1, 1, 1], 2, [1, 1, 0, 0]),
        ([100, 1], 50, [50, 0]),
        ([3, 4], 7, [3, 4]),
        ([3, 4], 0, [0, 0]),
    ],
)
def test_shares_by_hand(sizes, keep, expected):
    assert shares(sizes, keep) == expected


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_shares_equal_dealing_one_by_one(sizes):
    dealt = [0] * len(sizes)
    for keep in range(sum(sizes) + 1):
        assert shares(sizes, keep) == dealt
        assert sum(dealt) == keep and all(one <= size for one, size in zip(dealt, sizes, strict=True))
        claims = [size * math.prod(2 * one + 1 for one in dealt) // (2 * dealt[i] + 1) for i, size in enumerate(sizes)]
        dealt[claims.index(max(claims))] += 1


@settings(max_examples=200)
@given(st.data())
def test_largest_equals_sorting_whatever_the_chunks(data):
    values = data.draw(st.lists(VALUES, min_size=2, max_size=40))
    keep = data.draw(st.integers(0, len(values)))
    tensors = split(values, data.draw(st.integers(1, len(values) - 1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "CHUNK", data.draw(st.integers(1, 9)))
        mask = largest(tensors, keep)
    assert bits(mask) == by_sorting(torch.tensor(values).tolist(), keep)
    assert mask == largest(tensors, keep) == largest({name: -tensor for name, tensor in tensors.items()}, keep)


@given(st.data(), st.sampled_from(["global", "layerwise"]))
def test_levels_are_exact_and_nested(data, kind):
    """Each level ranks other weights, as after training, within the level before."""
    count = data.draw(st.integers(4, 60))
    levels = sorted(data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=5)))
    first = data.draw(st.integers(1, count - 1))
    mask = None
    for level in levels:
        tensors = split(data.draw(st.lists(VALUES, min_size=count, max_size=count)), first)
        new = magnitude_mask(tensors, level, kind, mask)
        assert new.kept == kept(count, level)
        assert mask is None or new <= mask
        if kind == "layerwise":
            assert [int(part.sum()) for part in new.values()] == shares([first, count - first], new.kept)
        mask = new


@given(st.data())
def test_within_equals_ranking_the_candidates_alone(data):
    values = data.draw(st.lists(st.tuples(VALUES, st.booleans()), min_size=2, max_size=30))
    tensors = split([value for value, _ in values], 1)
    flags = torch.tensor([flag for _, flag in values])
    keep = data.draw(st.integers(0, int(flags.sum())))
    mask = largest(tensors, keep, Mask.of({"a": flags[:1], "b": flags[1:][None]}))
    expected = by_sorting([value for value, flag in values if flag], keep)
    assert mask.flat[flags].int().tolist() == expected
    assert mask.kept == keep


def test_ranking_many_weights_in_several_chunks_equals_a_stable_sort():
    generator = torch.Generator().manual_seed(0)
    tensors = {str(i): torch.randn(size, generator=generator) for i, size in enumerate((3, 2_500_000, 1000, 40))}
    tensors["1"] = tensors["1"].mul(50).round()  # ties by the thousand
    flat = torch.cat(list(tensors.values())).abs()
    order = flat.sort(descending=True, stable=True).indices
    for keep in (1, 700_000, 2_000_001):
        expected = torch.zeros(len(flat), dtype=torch.bool)
        expected[order[:keep]] = True
        assert torch.equal(largest(tensors, keep).flat, expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_cannot_be_ranked_are_refused(bad):
    tensors = TENSORS | {"b": torch.tensor([1.0, bad, 2.0])}
    with pytest.raises(SecateurError, match=r"^b: a score is NaN or infinite"):
        largest(tensors, 2)
    with pytest.raises(SecateurError, match=r"^b: a score is NaN or infinite"):
        largest(tensors, 0)
    with pytest.raises(SecateurError, match=r"^b: a score is NaN or infinite"):
        magnitude_mask(tensors, 0.5, "layerwise")
    candidates = Mask.of({"a": torch.zeros(2, 2, dtype=torch.bool), "b": torch.tensor([True, False, True])})
    assert bits(largest(tensors, 1, candidates)) == [0, 0, 0, 0, 0, 0, 1]


def test_every_pattern_of_nan_is_found():
    patterns = torch.tensor([0x7F800001, 0x7FC00000, 0x7FFFFFFF, -1, -0x7FFFFF], dtype=torch.int32)
    for pattern in patterns:
        with pytest.raises(SecateurError, match=r"^a: a score is NaN"):
            largest({"a": torch.cat([torch.ones(2), pattern[None].view(torch.float32)])}, 1)


def test_other_types_and_layouts():
    tensors = {"a": torch.tensor([[1.0, 4.0], [2.0, 3.0]]).T}  # rows 1 2, 4 3
    assert bits(largest(tensors, 2)) == [0, 0, 1, 1]
    for dtype in (torch.float16, torch.bfloat16):
        assert bits(largest({"a": torch.tensor([1.0, -3.0, 2.0], dtype=dtype)}, 2)) == [0, 1, 1]
    with pytest.raises(SecateurError, match=r"^a: scores of type torch.float64, wanted float32"):
        largest({"a": torch.zeros(3, dtype=torch.float64)}, 1)
    with pytest.raises(SecateurError, match="-1 weights to keep"):
        largest(TENSORS, -1)


def test_a_models_prunable_weights_are_ranked_or_those_of_the_last_mask():
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": nn.Linear(30, 20), "joiner": nn.Linear(20, 10)})
    mask = magnitude_mask(model, 0.5)
    assert list(mask) == ["encoder.weight"] and mask.kept == 300
    both = Mask.ones(dict(model.named_parameters()))
    assert list(magnitude_mask(model, 0.5, within=both)) == [
        "encoder.weight",
        "encoder.bias",
        "joiner.weight",
        "joiner.bias",
    ]


def test_layer_adaptive_magnitudes_by_hand():
    """Squares 9, 4, 1 and 16, 1: scores 1, 4/13, 1/14 and 1, 1/17. Four stay: not the 1 of 17."""
    tensors = {"a": torch.tensor([[1.0, -3.0, 2.0]]), "b": torch.tensor([[-4.0, 1.0]])}
    scores = ranking.lamp_scores(tensors)
    assert scores["a"].flatten().tolist() == pytest.approx([1 / 14, 1, 4 / 13])
    assert scores["b"].flatten().tolist() == pytest.approx([1, 1 / 17])
    assert bits(magnitude_mask(tensors, 0.2, "lamp")) == [1, 1, 1, 1, 0]
    # Scale is of no matter: a hundredth of a matrix ranks the same.
    smaller = tensors | {"a": tensors["a"] / 100}
    assert magnitude_mask(smaller, 0.4, "lamp") == magnitude_mask(tensors, 0.4, "lamp")
    assert bits(magnitude_mask(smaller, 0.4)) == [0, 1, 0, 1, 1], "unlike global magnitudes"
    # Without the 3, the squares of the candidates are 4 and 1: 1 and 1/5.
    within = Mask.of({"a": torch.tensor([[True, False, True]]), "b": torch.tensor([[True, True]])})
    assert ranking.lamp_scores(tensors, within)["a"].flatten().tolist() == pytest.approx([1 / 5, 0, 1])
    assert bits(magnitude_mask(tensors, 0.4, "lamp", within)) == [1, 0, 1, 1, 0]


def test_equal_magnitudes_adapt_in_order_of_their_place():
    scores = ranking.lamp_scores({"a": torch.tensor([[1.0, -1.0, 1.0, 0.0]])})
    assert scores["a"].flatten().tolist() == pytest.approx([1, 1 / 2, 1 / 3, 0])
    assert ranking.lamp_scores({"a": torch.zeros(1, 2)})["a"].tolist() == [[0, 0]]


def test_blocks_of_eight_stay_or_go_together():
    """Norms √8·0.2, 1 and, in a row of its own, √8·0.3: at two thirds the second stays, at one third the third, too."""
    flat = torch.tensor([0.2] * 8 + [1.0] + [0.0] * 7)
    tensors = {"a": flat.view(1, 16), "b": torch.full((1, 8, 1), 0.3)}
    for sparsity, wanted in ((2 / 3, "010"), (1 / 3, "011"), (0, "111")):
        found = magnitude_mask(tensors, round(sparsity, 3), "1x8")
        assert bits(found) == [int(bit) for bit in wanted for _ in range(8)]
        assert found["b"].shape == (1, 8, 1)
    within = Mask.of({"a": torch.tensor([[True] * 8 + [False] + [True] * 7]), "b": torch.ones(1, 8, 1).bool()})
    assert bits(magnitude_mask(tensors, 0.667, "1x8", within)) == [0] * 16 + [1] * 8, "a block with a hole is none"
    with pytest.raises(SecateurError, match="a: rows of 12 weights; wanted a multiple of 8 to rank blocks"):
        magnitude_mask({"a": torch.zeros(2, 12)}, 0.5, "1x8")


def test_two_of_every_four_weights_of_a_row_stay():
    tensors = {"a": torch.tensor([[0.1, -0.9, 0.3, 0.2], [1.0, 1.0, -1.0, 1.0]]), "b": torch.ones(1, 4, 1)}
    found = magnitude_mask(tensors, 0.5, "2of4")
    assert bits(found) == [0, 1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert found.kept == kept(found.total, 0.5)
    with pytest.raises(SecateurError, match=r"2of4: sparsity 0\.7; it is one half by construction"):
        magnitude_mask(tensors, 0.7, "2of4")
