"""Properties of the Emformer; its numbers are checked in tests/reference."""

import random

import pytest
import torch

from secateur.models.emformer import Emformer

OPTIONS = {
    "layers": 2,
    "dim": 8,
    "heads": 2,
    "ffn": 16,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "segment": 4,
    "left_context": 6,
    "right_context": 2,
    "memory": 2,
    "positions": True,
    "convolution": 3,
}


def emformer(seed=0, **more):
    torch.manual_seed(seed)
    encoder = Emformer(5, OPTIONS | more).double().eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def stream(encoder, features, lengths):
    """Output (B, T, D) chunk by chunk, what an utterance has beyond its length being noise."""
    outputs, state = [], None
    for start in range(0, features.shape[1], encoder.segment):
        chunk = features[:, start : start + encoder.latency]
        chunk = torch.nn.functional.pad(chunk, (0, 0, 0, encoder.latency - chunk.shape[1]), value=9.0)
        left = (lengths - start).clamp(0, encoder.latency)
        output, output_lengths, state = encoder.infer(chunk, left, state)
        assert output_lengths.tolist() == left.clamp(max=encoder.segment).tolist()
        outputs.append(output)
    assert state.segments == len(outputs)
    return torch.cat(outputs, dim=1)[:, : features.shape[1]]


@pytest.mark.parametrize("seed", range(20))
@torch.no_grad()
def test_streaming_gives_what_training_gives(seed):
    rng = random.Random(seed)
    sizes = {
        "segment": rng.randint(1, 6),
        "left_context": rng.randint(0, 12),
        "right_context": rng.randint(0, 7),
        "memory": rng.choice([0, 1, 3, 9]),
        "positions": rng.random() < 0.5,
        "convolution": rng.choice([0, 1, 2, 5, 12]),
        "layers": rng.randint(1, 3),
    }
    encoder = emformer(seed, **sizes)
    lengths = torch.tensor([rng.randint(1, 40) for _ in range(4)])
    features = torch.randn(4, int(lengths.max()), 5, dtype=torch.float64)
    whole, _, _ = encoder(features, lengths)
    parts = stream(encoder, features, lengths)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(parts[i, :length], whole[i, :length], rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory", [0, 2])
@torch.no_grad()
def test_an_utterance_depends_neither_on_its_batch_nor_on_padding(memory):
    encoder = emformer(memory=memory)
    lengths = torch.tensor([23, 1, 8, 9, 4])
    features = torch.randn(5, 23, 5, dtype=torch.float64)
    together, _, _ = encoder(features, lengths)
    for i, length in enumerate(lengths):
        alone, _, _ = encoder(features[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(together[i, :length], alone[0], rtol=0, atol=1e-12)


@torch.no_grad()
def reach(encoder, frames=40, frame=19):
    """Which input frames change the output at `frame`."""
    features, lengths = torch.randn(1, frames, 5, dtype=torch.float64), torch.tensor([frames])
    output = encoder(features, lengths)[0][0, frame]
    seen = []
    for place in range(frames):
        changed = features.clone()
        changed[0, place] += 1.0
        if not torch.equal(encoder(changed, lengths)[0][0, frame], output):
            seen.append(place)
    return seen


def test_look_ahead_does_not_grow_with_layers():
    """Frame 19 is the last of segment 16…19: it may see two frames of look-ahead, whatever the depth."""
    for layers in (1, 3):
        assert max(reach(emformer(layers=layers, memory=0, convolution=0))) == 21


def test_left_context_grows_with_layers():
    assert min(reach(emformer(layers=1, memory=0, convolution=0))) == 16 - 6
    # The frame 10 of the layer below belongs to the segment 8…11, which sees 6 frames before 8.
    assert min(reach(emformer(layers=2, memory=0, convolution=0))) == 8 - 6


def test_memory_reaches_further_back():
    """Two memory vectors stand for the segments 8…11 and 12…15; with no left context nothing else is seen."""
    assert reach(emformer(layers=1, left_context=0, convolution=0)) == list(range(8, 22))
    assert reach(emformer(layers=1, left_context=0, memory=0, convolution=0)) == list(range(16, 22))


def test_convolution_looks_back_only():
    """With nothing else to see, frame 19 depends on the 3 last frames, whatever their segments."""
    encoder = emformer(layers=1, left_context=0, right_context=0, memory=0, segment=1)
    assert reach(encoder) == [17, 18, 19]


def test_positions_tell_apart_what_is_else_the_same():
    """Without positions, an order of the frames within what a segment sees does not matter to another frame of it."""
    features = torch.randn(1, 6, 5, dtype=torch.float64)
    swapped = features[:, [0, 1, 3, 2, 4, 5]]
    for positions in (False, True):
        encoder = emformer(memory=0, positions=positions, convolution=0)
        first, second = (encoder(x, torch.tensor([6]))[0][0, 0] for x in (features, swapped))
        assert torch.allclose(first, second) != positions


def test_weights_are_linear_layers_with_heads():
    """What head and unstructured pruning rely on."""
    encoder = emformer()
    for layer in encoder.encoders:
        attention = layer.attention
        for name in ("linear_q", "linear_k", "linear_v", "linear_out"):
            assert isinstance(getattr(attention, name), torch.nn.Linear)
        assert attention.linear_q.out_features == attention.h * attention.d_k == 8
        assert isinstance(layer.feed_forward.w_1, torch.nn.Linear)
        assert isinstance(layer.feed_forward.w_2, torch.nn.Linear)


@torch.no_grad()
def test_a_head_can_be_taken_out():
    """Without its second head's columns, a layer is what it is with that head's output weights at zero."""
    masked, smaller = emformer(positions=False), emformer(positions=False)
    for layer in masked.encoders:
        layer.attention.linear_out.weight[:, 4:] = 0.0
    for layer in smaller.encoders:
        attention = layer.attention
        for linear in (attention.linear_q, attention.linear_k, attention.linear_v):
            linear.weight, linear.bias = (torch.nn.Parameter(x[:4].clone()) for x in (linear.weight, linear.bias))
        attention.linear_out.weight = torch.nn.Parameter(attention.linear_out.weight[:, :4].clone())
        attention.h = 1
    features, lengths = torch.randn(2, 21, 5, dtype=torch.float64), torch.tensor([21, 13])
    expected, _, _ = masked(features, lengths)
    output, _, _ = smaller(features, lengths)
    torch.testing.assert_close(output[1, :13], expected[1, :13])
    torch.testing.assert_close(output[0], expected[0])
    torch.testing.assert_close(stream(smaller, features, lengths)[0], expected[0])


def test_every_parameter_is_trained():
    encoder = emformer(memory=2).train()
    output, _, _ = encoder(torch.randn(2, 21, 5, dtype=torch.float64), torch.tensor([21, 13]))
    output[0].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        # A bias of all keys shifts all scores alike.
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any() or name.endswith("linear_k.bias")


@pytest.mark.parametrize("context", [{}, {"memory": 0, "left_context": 0}], ids=["something", "nothing"])
def test_training_with_padding_has_finite_gradients(context):
    """Blocks of nothing but padding may see nothing; their softmax must not spoil the gradient."""
    encoder = emformer(**context).train()
    output, _, _ = encoder(torch.randn(2, 21, 5, dtype=torch.float64), torch.tensor([21, 2]))
    output[1, :2].sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in encoder.parameters())
