import copy
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.config.schema import SCHEMA, filled
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.models.no_block import NoBlock
from secateur.models.upstream.config import TYPES, EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.checkpoints import load_upstream, save_encoder
from secateur.ssl.checks import BASE, MODEL_TYPES, greatest_sparsity
from secateur.ssl.gated import EncoderGates, block_parameters, compact, fold, gate_shapes, open_gates, remaining
from secateur.ssl.gated import sparsity as sparsity_of
from secateur.ssl.gates import mean
from secateur.ssl.options import FINE, KINDS, WHOLE_HEADS

CONFIG = EncoderConfig(
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=3,
    intermediate_size=10,
    conv_dim=(6, 8),
    conv_stride=(5, 4),
    conv_kernel=(10, 5),
    num_conv_pos_embeddings=5,
    num_conv_pos_embedding_groups=2,
    num_buckets=8,
    max_bucket_distance=10,
)
HUBERT = replace(CONFIG, model_type="hubert")
LARGE = replace(CONFIG, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
DATA2VEC = replace(
    CONFIG, model_type="data2vec-audio", feat_extract_norm="layer", num_conv_pos_embeddings=2, conv_pos_kernel_size=3
)
WHISPER = replace(LARGE, model_type="whisper", num_conv_pos_embeddings=50, mel_bins=8)  # a window of a second
CONFIGS = [CONFIG, HUBERT, LARGE, DATA2VEC, WHISPER]
WIDE = replace(CONFIG, intermediate_size=200)  # a unit of which is 0.14 % of the prunable parameters
BLOCKS = 3 * (4 * 12 * 12 + 4 * 12 + 2 * 12 * 10 + 12 + 10)  # parameters of the blocks, but for WavLM's gates


def encoder(config=CONFIG, seed=0):
    """All parameters are random and matter; no dropout."""
    torch.manual_seed(seed)
    model = Encoder(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def random_gates(seed, kinds=KINDS, binary=False, config=CONFIG):
    """Gates of which each is closed, open or in between; sometimes many of a kind are closed."""
    generator = torch.Generator().manual_seed(seed)
    gates = open_gates(config)
    for kind in kinds:
        shape = gate_shapes(config)[kind]
        share = torch.rand((), generator=generator) ** 2
        closed = torch.rand(shape, generator=generator) < share
        values = torch.rand(shape, generator=generator)
        values = torch.ones(shape) if binary else torch.where(values < 0.3, 1.0, values)
        gates[kind] = torch.where(closed, 0.0, values)
    return gates


def speech():
    torch.manual_seed(5)
    return torch.nn.utils.rnn.pad_sequence([torch.randn(900), torch.randn(600)], batch_first=True), torch.tensor(
        [900, 600]
    )


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def gated_output(model, gates):
    features, frames = model.features(*speech())
    return model.contextualize(features, frames, weights=fold(model, gates)), frames


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), config=st.sampled_from(CONFIGS))
@torch.no_grad()
def test_the_compacted_encoder_computes_what_the_gated_one_does(seed, config):
    model, gates = encoder(config), random_gates(seed)
    before = copy.deepcopy(model.state_dict())
    wanted, frames = gated_output(model, gates)
    smaller = compact(model, gates)
    hidden = smaller.contextualize(*smaller.features(*speech()))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert len(hidden) == len(wanted) == 4
    for state, want in zip(hidden, wanted, strict=True):
        for index, valid in enumerate(frames):
            torch.testing.assert_close(state[index, :valid], want[index, :valid], rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), config=st.sampled_from(CONFIGS))
@torch.no_grad()
def test_parameters_as_a_function_of_gates_are_those_of_the_compacted_encoder(seed, config):
    model, gates = encoder(config), random_gates(seed, binary=True)
    smaller = compact(model, gates)
    left = remaining({kind: value.double() for kind, value in gates.items()}, config)
    whole = remaining(open_gates(config, torch.ones((), dtype=torch.float64)), config)
    wavlm, whisper = (config.model_type == kind for kind in ("wavlm", "whisper"))
    assert whole.sum() == BLOCKS + wavlm * 3 * (3 + 8 * 5) - whisper * 3 * 12, "Whisper's keys have no bias"
    # A norm before a block goes with the block; norms do not count as prunable.
    norms = 2 * 12 * int((gates["mha"] == 0).sum() + (gates["ffn"] == 0).sum()) * config.do_stable_layer_norm
    assert count(model) - count(smaller) == whole.sum() - left.sum() + norms
    assert (block_parameters(model), block_parameters(smaller)) == (whole.sum(), left.sum())
    for layer, wanted in zip(smaller.encoder.layers, left, strict=True):
        assert count(layer.attention) + count(layer.feed_forward) == wanted


@pytest.mark.parametrize("config", CONFIGS, ids=["wavlm", "hubert", "wavlm-large", "data2vec", "whisper"])
def test_the_greatest_sparsity_is_that_with_all_gates_closed(config):
    """The configuration's check counts without torch what `remaining` counts."""
    for size in range(1, 1 + len(KINDS)):
        for kinds in combinations(KINDS, size):
            gates = open_gates(config, torch.ones((), dtype=torch.float64))
            gates |= {kind: torch.zeros_like(gates[kind]) for kind in kinds}
            expected = float(sparsity_of(gates, config))
            assert greatest_sparsity(config.to_dict(), kinds) == pytest.approx(expected, abs=1e-12), kinds


def test_the_check_knows_the_sizes_of_wavlm_base():
    base, properties = (
        EncoderConfig().to_dict(),
        filled(SCHEMA)["properties"]["ssl"]["items"]["properties"],
    )
    assert {key: list(base[key]) if isinstance(base[key], tuple) else base[key] for key in BASE} == BASE
    assert properties["encoder"]["properties"].keys() == base.keys() - {"layers"}
    assert tuple(properties["encoder"]["properties"]["model_type"]["enum"]) == TYPES == MODEL_TYPES[:-1]


def test_the_expected_number_of_parameters_is_the_mean_over_draws():
    torch.manual_seed(0)
    gates = EncoderGates(CONFIG, FINE, True, 0.0, 1.0).double()
    with torch.no_grad():
        for parameter in gates.log_alpha.values():
            parameter.normal_(-0.5, 1.5)
    draws = []
    for _ in range(3000):
        draws.append(1 - sparsity_of({kind: (z > 0).double() for kind, z in gates.sample().items()}, CONFIG))
    draws = torch.stack(draws)
    expected = 1 - gates.expected_sparsity()
    assert 0.05 < expected < 0.9
    assert expected.item() == pytest.approx(draws.mean().item(), abs=5 * draws.std().item() / 3000**0.5)


def test_the_sparsity_is_differentiable_in_every_gate():
    gates = EncoderGates(CONFIG, FINE, True, 0.5, 1.0)
    gates.expected_sparsity().backward()
    assert all((parameter.grad < 0).all() for parameter in gates.log_alpha.values())


@torch.no_grad()
def test_fine_grained_head_pruning_is_removing_columns_by_hand():
    """Equation 3 for one head and one utterance, with plain matrices and the columns taken out."""
    model = encoder(HUBERT)
    gates = open_gates(HUBERT) | {"qk": torch.ones(3, 3, 4), "vo": torch.ones(3, 3, 4)}
    gates["qk"][0, 1] = torch.tensor([1.0, 0.0, 0.5, 0.0])
    gates["vo"][0, 1] = torch.tensor([0.0, 0.25, 1.0, 1.0])
    gates["mha"] = torch.tensor([0.5, 1.0, 1.0])
    attention = model.encoder.layers[0].attention
    hidden = torch.randn(7, 12)
    heads = []
    for head in range(3):
        rows = slice(4 * head, 4 * head + 4)
        query, key, value = (
            hidden @ linear.weight[rows].T + linear.bias[rows]
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if head == 1:
            query, key = query[:, [0, 2]] * torch.tensor([1.0, 0.5]), key[:, [0, 2]]
            value = value[:, [1, 2, 3]] * torch.tensor([0.25, 1.0, 1.0])
        heads.append(((query @ key.T) / 4**0.5).softmax(-1) @ value)
    kept = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    wanted = 0.5 * (torch.cat(heads, 1) @ attention.out_proj.weight[:, kept].T + attention.out_proj.bias)
    smaller = compact(model, gates).encoder.layers[0].attention
    assert (smaller.qk, smaller.vo) == ([4, 2, 4], [4, 3, 4])
    assert smaller.q_proj.weight.shape == (10, 12) and smaller.out_proj.weight.shape == (12, 11)
    torch.testing.assert_close(smaller(hidden[None], None, None)[0], wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_dead_blocks_are_gone_and_a_block_without_units_adds_its_bias(tmp_path):
    model = encoder()
    gates = random_gates(3, ())
    gates["mha"] = torch.tensor([0.0, 1.0, 1.0])
    gates["ffn"] = torch.tensor([1.0, 0.0, 1.0])
    gates["vo"] = torch.ones(3, 3, 4)
    gates["vo"][1] = 0.0
    gates["qk"] = torch.ones(3, 3, 4)
    gates["qk"][2] = 0.0  # these heads go by position alone
    gates["int"] = torch.ones(3, 10)
    gates["int"][2] = 0.0
    smaller = compact(model, gates)
    first, second, third = smaller.encoder.layers
    assert isinstance(first.attention, NoBlock) and isinstance(second.feed_forward, NoBlock)
    assert second.attention.heads == [] and third.attention.q_proj.weight.shape == (0, 12)
    hidden = torch.randn(1, 6, 12)
    bias = model.encoder.layers[1].attention.out_proj.bias
    assert torch.equal(second.attention(hidden, torch.zeros(3, 6, 6), None), bias.expand(1, 6, 12))
    wanted, _ = gated_output(model, gates)
    torch.testing.assert_close(smaller(*speech())[0][-1][0], wanted[-1][0], rtol=1e-4, atol=1e-5)
    save_encoder(tmp_path, smaller)
    loaded = load_upstream(tmp_path)
    assert loaded.config == smaller.config and count(loaded) == count(smaller) < count(model)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), config=st.sampled_from(CONFIGS))
@torch.no_grad()
def test_a_compacted_encoder_reloads_strictly_with_the_same_bytes(seed, config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compacted")
    smaller = compact(encoder(config), random_gates(seed))
    save_encoder(folder, smaller)
    loaded = load_upstream(folder)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in smaller.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(smaller(*speech())[0], loaded(*speech())[0], strict=True))
    wide = [shape for shape in smaller.config.layers if shape.ffn is not None]
    if wide:
        layers = tuple(
            replace(shape, ffn=shape.ffn + 1) if shape is wide[0] else shape for shape in smaller.config.layers
        )
        write_json(folder / "config.json", replace(smaller.config, layers=layers).to_dict() | {"format": 1})
        with pytest.raises(SecateurError, match=r"model\.safetensors does not fit config\.json"):
            load_upstream(folder)


def scattered(kinds, seed, centre):
    torch.manual_seed(seed)
    gates = EncoderGates(WIDE, kinds, True, 0.0, 1.0)
    for parameter in gates.log_alpha.values():
        torch.nn.init.normal_(parameter, centre, 3.0)
    return gates


def check_threshold(gates, settled, natural, target):
    """One threshold parts the gates that changed from those that did not, but for gates that would overshoot."""
    closing = sparsity_of({kind: (value > 0).double() for kind, value in natural.items()}, WIDE) < target
    changed = [gates.log_alpha[kind][(settled[kind] > 0) != (natural[kind] > 0)] for kind in gates.log_alpha]
    changed = torch.cat(changed)
    if not len(changed):
        return
    threshold = changed.max() if closing else changed.min()
    for kind, log_alpha in gates.log_alpha.items():
        unchanged = (settled[kind] > 0) == (natural[kind] > 0)
        beyond = log_alpha < threshold if closing else log_alpha > threshold
        for place in torch.nonzero(unchanged & beyond & ((natural[kind] > 0) == closing)).tolist():
            after = {name: (value > 0).double() for name, value in settled.items()}
            after[kind][tuple(place)] = 0.0 if closing else 1.0
            reached = sparsity_of(after, WIDE)
            assert reached > target if closing else reached < target


@pytest.mark.parametrize("target", [0.3, 0.8])
@pytest.mark.parametrize("centre", [-4.0, 0.0, 4.0])
@pytest.mark.parametrize("kinds", [FINE, WHOLE_HEADS])
def test_settled_gates_have_the_wanted_sparsity_and_keep_the_order(kinds, centre, target):
    for seed in range(3):
        gates = scattered(kinds, seed, centre)
        natural = gates.deterministic()
        settled = gates.settle(target)
        reached = sparsity_of({kind: (value > 0).double() for kind, value in settled.items()}, WIDE)
        assert reached.item() == pytest.approx(target, abs=0.005)
        check_threshold(gates, settled, natural, target)
        for kind in kinds:
            kept = (settled[kind] > 0) & (natural[kind] > 0)
            assert torch.equal(settled[kind][kept], natural[kind][kept])
            again = (settled[kind] > 0) & (natural[kind] == 0)
            torch.testing.assert_close(settled[kind][again], mean(gates.log_alpha[kind].detach())[again])


def test_a_whole_block_that_would_overshoot_is_passed_over():
    """The feed-forward block of layer 2 has the smallest log α, but is too much; units close in its stead."""
    gates = EncoderGates(CONFIG, FINE, True, 3.0, 1.0)
    with torch.no_grad():
        gates.log_alpha["ffn"][2] = 0.0
        gates.log_alpha["int"][0, :5] = 1.0
    block = 262 / float(remaining(open_gates(CONFIG), CONFIG).sum())
    settled = gates.settle(block / 5)
    assert settled["ffn"].min() > 0
    closed = torch.nonzero(settled["int"] == 0).tolist()
    assert closed == [[0, 0], [0, 1]]
    assert gates.settle(1.001 * block)["ffn"].tolist()[2] == 0


@pytest.mark.parametrize("log_alpha", [-4.0, 4.0])
def test_equal_gates_settle_at_the_nearest_number(log_alpha):
    """Of gates on heads alone, all of one size: never more than half a head from the target, closing or opening."""
    gates = EncoderGates(CONFIG, ["heads"], True, log_alpha, 1.0)
    with torch.no_grad():
        gates.log_alpha["heads"] += torch.rand(gates.log_alpha["heads"].shape)
    closed = open_gates(CONFIG) | {"heads": torch.zeros_like(gates.log_alpha["heads"])}
    head = float(sparsity_of(closed, CONFIG)) / closed["heads"].numel()
    for heads in torch.linspace(0.3, closed["heads"].numel() - 0.3, 20).tolist():
        settled = gates.settle(heads * head)
        assert int((settled["heads"] == 0).sum()) == round(heads)


def test_gates_that_cannot_be_are_refused():
    with pytest.raises(SecateurError, match=r"gates: \['width'\]; choose one or more of mha, ffn, heads, qk, vo, int"):
        EncoderGates(CONFIG, ["width"], True, 0.0, 1.0)
    smaller = compact(encoder(), random_gates(1))
    with pytest.raises(SecateurError, match="pruned already"):
        EncoderGates(smaller.config, FINE, True, 0.0, 1.0)
