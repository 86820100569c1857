import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from secateur.core.errors import SecateurError
from secateur.models.build import build_model
from secateur.models.tensors import read_tensors, save_tensors
from secateur.pruning.engines.mask import Mask, kept, prunable, weights

TOKENS = ["<blank>", "<unk>", "a", "<sos/eos>"]
CONFIG = {
    "type": "ctc",
    "features": 8,
    "input": "stack",
    "stack": 4,
    "encoder": {
        "type": "transformer",
        "layers": 1,
        "dim": 8,
        "heads": 2,
        "ffn": 16,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "kernel": 3,
    },
    "intermediate_ctc": {"layers": [], "weight": 0.0},
    "stochastic_depth": 0.0,
    "decoder": {"layers": 1, "heads": 2, "ffn": 16, "dropout": 0.0},
    "ctc_weight": 0.3,
    "label_smoothing": 0.0,
}
ATTENTION = ["linear_q", "linear_k", "linear_v", "linear_out"]
LAYER = [*(f"self_attn.{name}" for name in ATTENTION), "feed_forward.w_1", "feed_forward.w_2"]
CONFORMER = [
    *(f"self_attn.{name}" for name in [*ATTENTION, "linear_pos"]),
    "feed_forward.w_1",
    "feed_forward.w_2",
    "feed_forward_macaron.w_1",
    "feed_forward_macaron.w_2",
    "conv_module.pointwise_conv1",
    "conv_module.pointwise_conv2",
]
DECODER = [*LAYER[:4], *(f"src_attn.{name}" for name in ATTENTION), *LAYER[4:]]
TENSORS = {"a": torch.tensor([[1.0, -2.0], [3.0, -4.0]]), "b": torch.tensor([5.0, -6.0, 7.0])}


def mask(*bits: int) -> Mask:
    """A mask of `TENSORS` from seven bits."""
    values = torch.tensor(bits, dtype=torch.bool)
    return Mask.of({"a": values[:4].view(2, 2), "b": values[4:]})


def random_mask(bits: list[bool], width: int = 3) -> Mask:
    """Three matrices, the last of which takes what is left over."""
    flat = torch.tensor(bits, dtype=torch.bool)
    return Mask.of({"x": flat[:width][None], "y": flat[width : 2 * width].view(-1, 1), "z": flat[2 * width :]})


class Transducer(nn.Module):
    """The parts of an RNN-T, and an attention layer of torch's own."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict(
            {
                "embed": nn.Linear(4, 6),
                "attention": nn.MultiheadAttention(6, 2, add_bias_kv=True),
                "ffn": nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 5)),
                "depthwise": nn.Conv1d(6, 6, 1, groups=6),
                "wide": nn.Conv1d(6, 6, 3),
            }
        )
        self.predictor = nn.ModuleDict({"embed": nn.Embedding(3, 4), "lstm": nn.LSTM(4, 2, num_layers=2)})
        self.joiner = nn.Linear(2, 3)


@pytest.mark.parametrize(
    "changes, encoder, decoder",
    [
        ({"encoder": {"type": "transformer"}}, LAYER, []),
        ({"encoder": {"type": "conformer"}}, CONFORMER, []),
        ({"encoder": {"type": "transformer"}, "input": "conv2d", "type": "hybrid"}, LAYER, DECODER),
        ({"encoder": {"type": "conformer"}, "input": "conv2d", "type": "hybrid"}, CONFORMER, DECODER),
    ],
    ids=["ctc-transformer-stack", "ctc-conformer-stack", "hybrid-transformer-conv2d", "hybrid-conformer-conv2d"],
)
def test_prunable_are_the_matrices_of_the_layers_and_nothing_else(changes, encoder, decoder):
    config = CONFIG | changes | {"encoder": CONFIG["encoder"] | changes["encoder"]}
    expected = [f"encoder.encoders.0.{name}.weight" for name in encoder]
    expected += [f"decoder.decoders.0.{name}.weight" for name in decoder]
    assert sorted(prunable(build_model(config, TOKENS))) == sorted(expected)


def test_prunable_weights_of_a_streaming_transducer():
    emformer = {"segment": 4, "left_context": 4, "right_context": 1, "memory": 2, "convolution": 3}
    config = CONFIG | {
        "type": "rnnt",
        "encoder": CONFIG["encoder"] | emformer | {"type": "emformer", "positions": "relative"},
        "predictor": {"embedding": 4, "dim": 6, "layers": 1, "dropout": 0.0},
        "joiner": {"dim": 5},
    }
    layer = [*(f"attention.{name}" for name in ATTENTION), "feed_forward.w_1", "feed_forward.w_2"]
    layer += ["convolution.pointwise_in", "convolution.pointwise_out"]
    expected = [f"encoder.encoders.0.{name}.weight" for name in layer]
    expected += ["predictor.lstm.weight_ih_l0", "predictor.lstm.weight_hh_l0"]
    assert sorted(prunable(build_model(config, TOKENS))) == sorted(expected)


def test_layers_of_torchs_own_are_prunable_by_type():
    assert prunable(Transducer()) == [
        "encoder.attention.in_proj_weight",
        "encoder.attention.out_proj.weight",
        "encoder.ffn.1.weight",
        *(f"predictor.lstm.weight_{kind}_l{layer}" for layer in (0, 1) for kind in ("ih", "hh")),
    ]


def test_expressions_add_and_remove_prunable_weights():
    model = Transducer()
    names = prunable(model, include=[r"^joiner", r"embed\.weight"], exclude=[r"^encoder\.attention", r"_l1$"])
    assert names == [
        "encoder.embed.weight",
        "encoder.ffn.1.weight",
        "predictor.embed.weight",
        "predictor.lstm.weight_ih_l0",
        "predictor.lstm.weight_hh_l0",
        "joiner.weight",
    ]
    assert list(Mask.ones(weights(model, names))) == names
    assert prunable(model, include=["joiner", "ffn"], exclude=["joiner"]) == prunable(model)
    with pytest.raises(SecateurError, match="include: 'joiner_bias' matches no weight"):
        prunable(model, include=["joiner_bias"])
    with pytest.raises(SecateurError, match=r"exclude: 'encoders' matches no weight"):
        prunable(model, exclude=["encoders"])
    with pytest.raises(SecateurError, match=r"include: '\(' is not a regular expression"):
        prunable(model, include=["("])
    with pytest.raises(SecateurError, match="no weight is prunable"):
        prunable(model, exclude=["encoder", "predictor"])


@pytest.mark.parametrize(
    "total, sparsity, expected",
    [
        (10, 0.0, 10),
        (10, 1.0, 0),
        (10, 0.7, 3),
        (5, 0.7, 2),  # 1.5, halves up
        (5, 0.5, 3),  # 2.5, where rounding to even would give 2
        (15, 0.9, 2),  # 1.5, where 15·(1−0.9) is 1.4999… in binary
        (3, 0.5, 2),
        (7, 0.999, 0),
        (187_000_001, 0.7, 56_100_000),
    ],
)
def test_kept_is_rounded_exactly(total, sparsity, expected):
    assert kept(total, sparsity) == expected


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, float("nan")])
def test_an_impossible_sparsity_is_refused(sparsity):
    with pytest.raises(SecateurError, match="between 0 and 1"):
        kept(10, sparsity)


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 1))
def test_kept_falls_with_sparsity_and_is_within_half_a_weight(total, one, other):
    low, high = sorted((one, other))
    assert 0 <= kept(total, high) <= kept(total, low) <= total
    assert abs(kept(total, low) - (1 - low) * total) <= 0.5 + 1e-6


def test_a_mask_is_validated_when_made():
    bits = {"a": torch.ones(2, 2, dtype=torch.bool), "b": torch.tensor([True, False, True])}
    assert Mask.of(bits, TENSORS, sparsity=0.1) == mask(1, 1, 1, 1, 1, 0, 1)
    with pytest.raises(SecateurError, match=r"mask of b: type torch.uint8"):
        Mask.of(bits | {"b": torch.ones(3, dtype=torch.uint8)})
    with pytest.raises(SecateurError, match=r"mask of b: shape \(2,\) where the model has \(3,\)"):
        Mask.of(bits | {"b": torch.ones(2, dtype=torch.bool)}, TENSORS)
    with pytest.raises(SecateurError, match="mask: no more weights where the model has b"):
        Mask.of({"a": bits["a"]}, TENSORS)
    with pytest.raises(SecateurError, match="mask: c where the model has no more weights"):
        Mask.of(bits | {"c": bits["b"]}, TENSORS)
    with pytest.raises(SecateurError, match="mask: b where the model has a"):
        Mask.of(dict(reversed(bits.items())), TENSORS)
    with pytest.raises(SecateurError, match=r"6 of 7 weights stay, wanted 5 for sparsity 0.3"):
        Mask.of(bits, TENSORS, sparsity=0.3)
    with pytest.raises(ValueError, match="a mask of 4 bits"):
        Mask({"a": (2, 2)}, torch.ones(5, dtype=torch.bool))


def test_a_mask_does_not_change_with_what_it_was_made_of():
    bits = torch.ones(3, dtype=torch.bool)
    made = Mask.of({"b": bits})
    bits[0] = False
    assert made.kept == 3
    with pytest.raises(AttributeError):
        made.flat = bits


def test_counts_and_sparsity_by_hand():
    made = mask(1, 0, 0, 0, 1, 1, 0)
    assert (made.total, made.kept, made.sparsity) == (7, 3, pytest.approx(4 / 7))
    assert made.sparsity_by_matrix() == {"a": 0.75, "b": pytest.approx(1 / 3)}
    assert torch.equal(made["a"], torch.tensor([[True, False], [False, False]]))
    assert Mask.ones(TENSORS) == mask(1, 1, 1, 1, 1, 1, 1)
    assert repr(made) == "Mask(3 of 7 weights in 2 matrices)"


def test_union_intersection_complement_nesting_and_iou_by_hand():
    one, other = mask(1, 1, 0, 0, 1, 0, 0), mask(1, 0, 1, 0, 1, 1, 0)
    assert (one | other) == mask(1, 1, 1, 0, 1, 1, 0)
    assert (one & other) == mask(1, 0, 0, 0, 1, 0, 0)
    assert ~one == mask(0, 0, 1, 1, 0, 1, 1)
    assert one.iou(other) == other.iou(one) == 2 / 5
    assert one.iou(~one) == 0
    assert (one & ~one).iou(other & ~other) == 1
    assert (one & other) <= one <= (one | other)
    assert not one <= other and not other <= one
    assert one >= one & other
    assert one != other and one != Mask.of({"a": one["a"]}) and one != "mask"
    assert one != Mask.of({"a": one["a"], "c": one["b"]})
    with pytest.raises(SecateurError, match="b where the other mask has c"):
        one | Mask.of({"a": one["a"], "c": one["b"]})
    with pytest.raises(SecateurError, match=r"mask of a: shape \(2, 2\) where the other mask has \(4,\)"):
        one & Mask.of({"a": one["a"].flatten(), "b": one["b"]})


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=9, max_size=40))
def test_laws_of_sets(bits):
    a, b, c = (random_mask(list(column)) for column in zip(*bits, strict=True))
    assert a | b == b | a and a & b == b & a
    assert a & (b | c) == (a & b) | (a & c)
    assert ~(a | b) == ~a & ~b
    assert ~~a == a
    assert (a | b).kept == a.kept + b.kept - (a & b).kept
    assert (a <= b) == (a | b == b) == all(not x or y for x, y, _ in bits)
    both = sum(x and y for x, y, _ in bits)
    either = sum(x or y for x, y, _ in bits)
    assert a.iou(b) == (both / either if either else 1.0)


def test_applying_sets_removed_weights_to_zero_and_keeps_the_others_bytes():
    tensors = {name: tensor.clone() for name, tensor in TENSORS.items()}
    tensors["b"][0] = float("nan")
    tensors["b"][2] = 1e-41  # a subnormal number
    made = mask(1, 0, 0, 1, 0, 0, 1)
    with pytest.raises(SecateurError, match=r"a\[0, 1\]: the weight is -2 where the mask removes it"):
        made.check(tensors)
    made.apply_(tensors)
    assert tensors["a"].tolist() == [[1.0, 0.0], [0.0, -4.0]]
    assert torch.equal(tensors["b"], torch.tensor([0.0, 0.0, 1e-41]))
    assert not torch.signbit(tensors["a"][0, 1]) and not torch.signbit(tensors["b"][1])
    negative = {"a": torch.tensor([[-0.0, -0.0], [1.0, 2.0]]), "b": torch.zeros(3)}
    made.apply_(negative)
    assert torch.signbit(negative["a"][0]).tolist() == [True, False]
    for dtype in (torch.bfloat16, torch.float64):
        others = {name: tensor.to(dtype) for name, tensor in TENSORS.items()}
        made.apply_(others)
        assert others["a"].tolist() == [[1.0, 0.0], [0.0, -4.0]] and others["b"].tolist() == [0.0, 0.0, 7.0]
    made.check(tensors)
    tensors["b"][0] = float("nan")
    with pytest.raises(SecateurError, match=r"b\[0\]: the weight is nan"):
        made.check(tensors)


def test_applying_to_a_model_changes_its_prunable_weights_only():
    torch.manual_seed(0)
    model = Transducer()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = Mask.random(model, 0.6, seed=1)
    made.apply_(model)
    made.check(model)
    for name, value in model.state_dict().items():
        expected = before[name] * made[name] if name in made else before[name]
        assert torch.equal(value, expected), name
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        model.predictor.lstm.weight_hh_l1.fill_(1.0)
    with pytest.raises(SecateurError, match=r"^predictor.lstm.weight_hh_l1\["):
        made.check(model)


def test_a_mask_of_another_model_is_refused():
    made = Mask.ones(Transducer())
    with pytest.raises(SecateurError, match=r"encoder.attention.in_proj_weight: the model has no such weight"):
        made.apply_(build_model(CONFIG, TOKENS))
    model = Transducer()
    model.encoder["ffn"][1] = nn.Linear(6, 4)
    with pytest.raises(
        SecateurError, match=r"mask of encoder.ffn.1.weight: shape \(5, 6\) where the model has \(4, 6\)"
    ):
        made.check(model)


def test_random_masks_are_exact_reproducible_nested_and_even():
    tensors = {"a": torch.zeros(100, 60), "b": torch.zeros(4000)}
    masks = [Mask.random(tensors, sparsity, seed=3) for sparsity in (0.2, 0.5, 0.7)]
    assert [made.kept for made in masks] == [8000, 5000, 3000]
    assert masks[2] <= masks[1] <= masks[0]
    assert masks[1] == Mask.random(tensors, 0.5, seed=3)
    # Two draws that do not know of one another share about half of their weights: 2500 ± 25 (hypergeometric).
    assert abs((masks[1] & Mask.random(tensors, 0.5, seed=4)).kept - 2500) < 150
    assert abs(masks[1].sparsity_by_matrix()["b"] - 0.5) < 0.05


@settings(max_examples=30)
@given(bits=st.lists(st.booleans(), min_size=9, max_size=70))
def test_save_and_load_round_trip(tmp_path_factory, bits):
    path = tmp_path_factory.mktemp("mask") / "mask.safetensors"
    made = random_mask(bits)
    made.save(path)
    loaded = Mask.load(path)
    assert loaded == made and loaded.flat.dtype == torch.bool
    first = path.read_bytes()
    loaded.save(path)
    assert path.read_bytes() == first


def test_a_file_takes_one_bit_per_weight(tmp_path):
    tensors = {"a": torch.zeros(1000, 800), "b": torch.zeros(7)}
    Mask.random(tensors, 0.5, seed=0).save(tmp_path / "mask.safetensors")
    assert 100_001 <= (tmp_path / "mask.safetensors").stat().st_size <= 100_001 + 500


def test_every_corrupted_bit_is_found(tmp_path):
    """In the bits, the checksum, the names, the shapes: no flipped bit gives another mask."""
    path = tmp_path / "mask.safetensors"
    made = mask(1, 0, 0, 1, 1, 0, 1)
    made.save(path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        # One bit of every byte, and each of the last byte, which holds all seven bits of the mask.
        for bit in range(8) if position == len(whole) - 1 else [position % 7]:
            changed = bytearray(whole)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            if position == len(whole) - 1:
                with pytest.raises(SecateurError, match=r"mask.safetensors: the checksum does not fit"):
                    Mask.load(path)
                continue
            try:
                assert Mask.load(path) == made
            except SecateurError as error:
                assert "mask.safetensors" in str(error)


def test_files_that_are_not_this_mask_are_refused(tmp_path):
    path = tmp_path / "mask.safetensors"
    made = Mask.random({"a": torch.zeros(40, 5)}, 0.5, seed=0)
    made.save(path)
    assert Mask.load(path, {"a": torch.zeros(40, 5)}) == made
    with pytest.raises(SecateurError, match=r"mask of a: shape \(40, 5\) where the model for .* has \(5, 40\)"):
        Mask.load(path, {"a": torch.zeros(5, 40)})
    with pytest.raises(SecateurError, match=r"mask: a where the model for .* has b"):
        Mask.load(path, {"b": torch.zeros(40, 5)})

    whole = path.read_bytes()
    for length in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SecateurError, match="not a whole safetensors file"):
            Mask.load(path)

    path.write_bytes(whole)
    tensors, texts = read_tensors(path)
    header = json.loads(texts["mask"])
    for changed, message in (
        ({"format": 2}, "mask format 2, this version reads 1"),
        ({"shapes": [[20, 11]]}, "not a mask"),
        ({"kept": 99}, "99 weights stay, found 100"),
        ({"names": ["a", "b"]}, "not a mask"),
    ):
        save_tensors(path, tensors, {"mask": json.dumps(header | changed)})
        with pytest.raises(SecateurError, match=message):
            Mask.load(path)
    save_tensors(path, {"a": torch.zeros(3)})
    with pytest.raises(SecateurError, match=re.escape("not a mask (KeyError('mask'))")):
        Mask.load(path)
    with pytest.raises(SecateurError, match="no such file"):
        Mask.load(tmp_path / "absent")
