import itertools
import math
import random

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.models import rnnt
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "c", "<sos/eos>"]
CONFIG = {
    "type": "rnnt",
    "features": 10,
    "input": "stack",
    "stack": 3,
    "encoder": {
        "type": "emformer",
        "layers": 2,
        "dim": 8,
        "heads": 2,
        "ffn": 16,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "kernel": 5,
        "segment": 4,
        "left_context": 6,
        "right_context": 2,
        "memory": 1,
        "positions": True,
        "convolution": 3,
    },
    "stochastic_depth": 0.0,
    "predictor": {"embedding": 6, "dim": 10, "layers": 2, "dropout": 0.1},
    "joiner": {"dim": 12},
    "ctc_weight": 0.3,
}
CONFORMER = CONFIG | {"encoder": CONFIG["encoder"] | {"type": "conformer"}, "ctc_weight": 0.0}


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "speech": torch.randn(2, 40, 10, generator=generator),
        "speech_lengths": torch.tensor([40, 13]),
        "text": torch.tensor([[3, 2, 4], [5, 3, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


def model(config=CONFIG, seed=1):
    torch.manual_seed(seed)
    return build_model(config, TOKENS).eval()


@pytest.mark.parametrize("config", [CONFIG, CONFORMER], ids=["emformer", "conformer"])
def test_a_checkpoint_rebuilds_its_model_exactly(tmp_path, config):
    first = model(config)
    save_model(tmp_path, first, config, TOKENS)
    loaded = load_model(tmp_path)
    assert torch.equal(loaded.model(**batch())[0], first(**batch())[0])


@torch.no_grad()
def enumerated_loss(transducer, frames, labels):
    """−ln of the summed probability of all alignments of encoder output (T, D), one node of the lattice at a time."""
    state, prefixes = None, []
    for label in [0, *labels]:  # blank stands before the first label
        output, state = transducer.predictor(torch.tensor([[label]]), state)
        prefixes.append(transducer.joiner.predictor(output[0, 0]))
    scores = [
        [transducer.joiner.join(transducer.joiner.encoder(frame), prefix).log_softmax(-1) for prefix in prefixes]
        for frame in frames
    ]
    paths = []
    for places in itertools.combinations(range(len(frames) + len(labels) - 1), len(labels)):
        t = u = 0
        total = 0.0
        for step in range(len(frames) + len(labels)):
            if step in places:
                total += scores[t][u][labels[u]].item()
                u += 1
            else:
                total += scores[t][u][0].item()
                t += 1
        paths.append(total)
    return -torch.tensor(paths).logsumexp(0)


def test_loss_is_the_mean_over_utterances_of_all_alignments_and_ctc():
    transducer, tensors = model(), batch()
    loss, statistics, weight = transducer(**batch())
    encoder_out, lengths = transducer.encode(tensors["speech"], tensors["speech_lengths"])
    assert lengths.tolist() == [14, 5]
    first = enumerated_loss(transducer, encoder_out[0, :14], [3, 2, 4])
    second = enumerated_loss(transducer, encoder_out[1, :5], [5, 3])
    log_probs = transducer.ctc.ctc_lo(encoder_out).log_softmax(-1).transpose(0, 1)
    ctc = torch.nn.functional.ctc_loss(
        log_probs, tensors["text"], lengths, tensors["text_lengths"], reduction="none"
    ).mean()
    assert weight == 2
    torch.testing.assert_close(statistics["loss_transducer"], (first + second) / 2)
    torch.testing.assert_close(statistics["loss_ctc"], ctc.detach())
    torch.testing.assert_close(loss, (first + second) / 2 + 0.3 * ctc)


@pytest.mark.parametrize("config", [CONFIG, CONFORMER], ids=["emformer", "conformer"])
@pytest.mark.parametrize("training", [False, True])
def test_an_utterance_does_not_depend_on_the_others_in_its_batch(config, training):
    """Nor on its padding: loss and gradient of a batch are the means of those of its utterances."""
    transducer = model(config).train(training)
    for module in transducer.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    tensors = batch()
    together = transducer(**batch())[0]
    together.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in transducer.named_parameters()}
    transducer.zero_grad()
    alone = 0.0
    for i, (frames, labels) in enumerate(zip((40, 13), (3, 2), strict=True)):
        loss = transducer(
            tensors["speech"][i : i + 1, :frames],
            tensors["speech_lengths"][i : i + 1],
            tensors["text"][i : i + 1, :labels].clone(),
            tensors["text_lengths"][i : i + 1],
        )[0]
        (loss / 2).backward()
        alone += loss.detach() / 2
    torch.testing.assert_close(together.detach(), alone)
    for name, parameter in transducer.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_long_utterances_are_joined_in_parts_with_the_same_gradient(monkeypatch):
    whole, parts = model(), model()
    expected = whole(**batch())[0]
    expected.backward()
    joined = []
    parts.joiner.output.register_forward_hook(lambda _, inputs, __: joined.append(inputs[0].numel()))
    monkeypatch.setitem(rnnt.LARGEST_JOINT, "cpu", 400)
    loss = parts(**batch())[0]
    loss.backward()
    assert max(joined) <= 400
    torch.testing.assert_close(loss, expected)
    for first, second in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-4, atol=1e-5)


def test_the_loss_is_computed_in_float32_under_autocast():
    transducer = model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, statistics, _ = transducer(**batch())
    assert loss.dtype == statistics["loss_transducer"].dtype == torch.float32
    assert loss != loss.bfloat16().float()
    torch.testing.assert_close(loss, transducer(**batch())[0], rtol=0.02, atol=0)


def test_text_is_not_changed_and_its_padding_not_read():
    transducer, tensors = model(), batch()
    loss = transducer(**tensors)[0]
    assert tensors["text"].tolist() == [[3, 2, 4], [5, 3, -1]]
    tensors["text"][1, 2] = 6
    assert torch.equal(transducer(**tensors)[0], loss)


def test_algorithmic_latency():
    assert model().algorithmic_latency == pytest.approx(0.18)  # (4 + 2) frames, each of 3 · 10 ms
    assert model(CONFORMER).algorithmic_latency == math.inf


@pytest.mark.parametrize("seed", range(5))
@torch.no_grad()
def test_encoding_while_features_arrive(seed):
    rng = random.Random(seed)
    transducer = model(seed=seed)
    transducer.frontend.mean.fill_(0.5)
    transducer.frontend.std.fill_(2.0)
    features = torch.randn(rng.randint(1, 100), 10)
    expected, _ = transducer.encode(features[None], torch.tensor([len(features)]))
    stream, outputs, arrived, put_out = transducer.stream(), [], 0, 0
    while arrived < len(features):
        step = rng.choice([1, 2, 7, 30])
        outputs.append(stream.accept(features[arrived : arrived + step]))
        arrived = min(arrived + step, len(features))
        put_out += outputs[-1].shape[1]
        # A segment of 4 · 3 frames is out as soon as it and 2 · 3 frames of look-ahead are there.
        assert put_out == 4 * max(0, (arrived - 6) // 12)
    outputs.append(stream.finish())
    torch.testing.assert_close(torch.cat(outputs, dim=1), expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_stream_says_so():
    with pytest.raises(SecateurError, match="ConformerEncoder, hears whole utterances; only an emformer"):
        model(CONFORMER).stream()


def test_an_emformer_needs_stacked_frames():
    with pytest.raises(SecateurError, match="input is 'conv2d'; an emformer encoder needs input: stack"):
        model(CONFIG | {"input": "conv2d"})


def sized(layers, dim, heads, predictor_layers, predictor_dim):
    """A configuration shaped like torchaudio's `emformer_rnnt_base`: segments of 160 ms, look-ahead of 40 ms."""
    return {
        "type": "rnnt",
        "features": 80,
        "input": "stack",
        "stack": 4,
        "encoder": {
            "type": "emformer",
            "layers": layers,
            "dim": dim,
            "heads": heads,
            "ffn": 4 * dim,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "segment": 4,
            "left_context": 30,
            "right_context": 1,
            "memory": 0,
            "positions": False,
            "convolution": 0,
        },
        "stochastic_depth": 0.0,
        "predictor": {"embedding": 512, "dim": predictor_dim, "layers": predictor_layers, "dropout": 0.3},
        "joiner": {"dim": 1024},
        "ctc_weight": 0.0,
    }


REFERENCE = sized(layers=20, dim=512, heads=8, predictor_layers=3, predictor_dim=512)
MULTILINGUAL = sized(layers=24, dim=768, heads=12, predictor_layers=3, predictor_dim=640)
MONOLINGUAL = sized(layers=14, dim=512, heads=8, predictor_layers=2, predictor_dim=512)


@pytest.mark.parametrize(
    ("config", "published", "tolerance"),
    [(REFERENCE, 76.7e6, 0.005), (MULTILINGUAL, 187e6, 0.01), (MONOLINGUAL, 56e6, 0.01)],
    ids=["emformer_rnnt_base", "187M", "56M"],
)
def test_paper_sizes(config, published, tolerance):
    """4096 pieces and blank; the totals are all that is published of the last two."""
    tokens = ["<blank>", *map(str, range(4095)), "<sos/eos>"]
    with torch.device("meta"):
        transducer = build_model(config, tokens)
    parameters = sum(parameter.numel() for parameter in transducer.parameters())
    assert parameters == pytest.approx(published, rel=tolerance)
    assert transducer.algorithmic_latency == pytest.approx(0.2)
