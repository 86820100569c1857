import importlib.util
from argparse import Namespace
from dataclasses import replace

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json
from secateur.decoding.timing import AGAIN, SAME
from secateur.models.upstream.config import EncoderConfig, LayerShape
from secateur.models.upstream.encoder import Encoder
from secateur.scripts.ssl_speed import chosen
from secateur.ssl.checkpoints import save_encoder
from secateur.ssl.speed import extraction, in_rounds, macs_per_second, peak_memory, scaled
from secateur.ssl.waves import WaveExamples


def by_hand(config, seconds=10):
    """Multiply–accumulates of convolutions, projections, positions and layers for ten seconds, per second."""
    samples, total, inputs = seconds * 16000, 0, 1
    for outputs, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True):
        samples = (samples - kernel) // stride + 1
        total += samples * inputs * outputs * kernel
        inputs = outputs
    frames, size = samples, config.hidden_size
    total += frames * inputs * size
    # torch answers one frame more than is kept if the kernel is even.
    total += frames * size * size // config.num_conv_pos_embedding_groups * config.num_conv_pos_embeddings
    for shape in config.shapes:
        if shape.heads:
            padded = len(shape.heads) * (max(shape.qk) + max(shape.vo))
            total += frames * size * 2 * (sum(shape.qk) + sum(shape.vo)) + frames * frames * padded
            total += frames * len(shape.heads) * config.head_dim * 2
        total += frames * size * 2 * (shape.ffn or 0)
    return total / seconds


def test_arithmetic_by_hand(tiny):
    assert macs_per_second(Encoder(tiny).eval()) == pytest.approx(by_hand(tiny), abs=1)
    ragged = (
        LayerShape((0, 2), (1, 3), (4, 2), 7),
        LayerShape(None, (), (), 5),
        LayerShape((1,), (0,), (2,), None),
    )
    pruned = replace(tiny, layers=ragged)
    assert macs_per_second(Encoder(pruned).eval()) == pytest.approx(by_hand(pruned), abs=1)
    assert by_hand(pruned) < by_hand(tiny)


def test_a_shape_scales_with_its_shares_layer_by_layer(tiny):
    layers = (
        LayerShape((0, 2), (1, 4), (2, 0), 5),
        LayerShape(None, (), (), 20),
        LayerShape((1,), (2,), (3,), None),
    )
    found = scaled(replace(tiny, layers=layers), 3, EncoderConfig())
    assert len(found.layers) == 12
    assert (
        found.layers[0]
        == found.layers[3]
        == LayerShape((0, 1, 2, 3, 8, 9, 10, 11), (16,) * 4 + (64,) * 4, (32,) * 4 + (0,) * 4, 768)
    )
    assert found.layers[4] == LayerShape(None, (), (), 3072)
    assert found.layers[11] == LayerShape((4, 5, 6, 7), (32,) * 4, (48,) * 4, None)
    assert scaled(tiny, 3, EncoderConfig()).layers == EncoderConfig().shapes
    first = scaled(replace(tiny, num_hidden_layers=1), 3, EncoderConfig())
    assert first.layers == EncoderConfig().shapes[:4] and first.num_hidden_layers == 4


def test_every_encoder_reads_all_of_the_audio_in_every_round_and_the_first_twice():
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, waveforms, lengths):
            self.seen.append(int(lengths))

    one, two = Counting(), Counting()
    waves = {"long": torch.zeros(32000), "short": torch.zeros(8000)}
    found = extraction({"one": one, "two": two}, waves, 3, torch.device("cpu"))
    # And a round in vain; all of that once more, if the machine did other things.
    assert sorted(two.seen) == [8000] * 4 * found.measured + [32000] * 4 * found.measured
    assert sorted(one.seen) == sorted(two.seen * 2)
    assert list(found.rows) == ["one", "two", AGAIN]
    assert {row["utterance"]: row["duration_s"] for row in found.rows["two"]} == {"long": 2.0, "short": 0.5}
    assert {name: len(in_rounds(rows)) for name, rows in found.rows.items()} == {"one": 3, "two": 3, AGAIN: 3}
    rows = [{"round": number, "encoder_s": seconds} for number, seconds in ((1, 0.5), (1, 0.25), (2, 1.0))]
    assert in_rounds(rows) == [rows[:2], rows[2:]]


def test_memory_is_that_of_weights_and_of_the_largest_tensors_at_once(tiny):
    """Without blocks and biases of positions, at least the samples and the largest output of a convolution, at most
    some of such; attention adds the scores of all pairs of frames."""
    bare = replace(tiny, model_type="hubert", layers=(LayerShape(None, (), (), None),) * 3)
    encoder = Encoder(bare).eval()
    weights = sum(tensor.nbytes for tensor in [*encoder.parameters(), *encoder.buffers()])
    frames, outputs = 160_000, []
    for width, kernel, stride in zip(tiny.conv_dim, tiny.conv_kernel, tiny.conv_stride, strict=True):
        frames = (frames - kernel) // stride + 1
        outputs.append(4 * frames * width)
    found = peak_memory(encoder)
    assert weights + 4 * 160_000 + max(outputs) <= found <= weights + 4 * 160_000 + 5 * max(outputs)
    attention = 4 * tiny.num_attention_heads * frames**2
    assert attention < peak_memory(Encoder(tiny).eval()) - found < 6 * attention


def test_few_long_utterances_are_cut_so_that_enough_are_timed(speech):
    """Of 0.4, 0.58, 0.76, … seconds."""
    examples = WaveExamples([speech / "dev"])
    names = sorted(examples.lengths)
    whole = chosen(examples, 400, 0.5, 2)
    assert [len(wave) for wave in whole.values()] == [examples.lengths[name] for name in names[:2]]
    cut = chosen(examples, 400, 0.5, 4)
    assert list(cut) == names[:4] and {len(wave) for wave in cut.values()} == {2000}
    assert {len(wave) for wave in chosen(examples, 3000, 0.5, 4).values()} == {3000}
    assert list(chosen(examples, 400, None, 20)) == names
    with pytest.raises(SecateurError, match="no utterance has 9999999 samples"):
        chosen(examples, 9999999, None, 20)


@pytest.mark.parametrize("base", [False, True])
def test_the_script_measures_models_of_their_own_size_or_of_wavlm_bases(speech, tiny, base, monkeypatch):
    module = importlib.import_module("secateur.scripts.ssl_speed")
    larger = replace(tiny, hidden_size=24, conv_dim=(16, 16, 24))
    monkeypatch.setattr(module, "EncoderConfig", lambda: larger)
    pruned = replace(tiny, layers=(LayerShape((0,), (2,), (2,), 5), LayerShape(None, (), (), None), tiny.dense_layer))
    for name, config in (("teacher", tiny), ("pruned", pruned)):
        save_encoder(speech / name, Encoder(config))
    arguments = Namespace(
        encoders=[speech / "teacher", speech / "pruned"],
        names=None,
        data=[speech / "dev"],
        most_seconds=1.5,
        utterances=2,
        runs=2,
        base=base,
        device="cpu",
        output=speech / "speed.json",
    )
    module.run(arguments, {})
    found = read_json(speech / "speed.json")
    assert list(found["utterances"].values()) == pytest.approx([0.4, 0.58, 0.76])
    teacher, smaller, again = found["models"]
    assert teacher["ratio"] == pytest.approx([1.0] * 3)
    assert smaller["ratio"][1] <= smaller["ratio"][0] <= smaller["ratio"][2]
    assert (again["model"], again["parameters"]) == (AGAIN, teacher["parameters"])
    assert again["ratio"] == [found[name] for name in SAME] and isinstance(found["doubt"], str)
    wanted = Encoder(larger if base else tiny)
    assert teacher["parameters"] == sum(p.numel() for p in wanted.parameters()) > smaller["parameters"]
    assert teacher["macs_per_second"] > smaller["macs_per_second"]
    assert teacher["peak_memory"] > smaller["peak_memory"] > 4 * smaller["parameters"]
    assert [len(seconds) for seconds in teacher["seconds"]] == [3, 3]
    assert found["random_weights"] == base
    arguments.names = ["x", "x"]
    with pytest.raises(SecateurError, match="give each a name of its own"):
        module.run(arguments, {})
