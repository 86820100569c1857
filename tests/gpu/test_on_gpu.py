"""What computes on a GPU gives what it gives on a CPU, to the tolerance of float32 (or bfloat16).

Without a GPU all of it is skipped. SECATEUR_GPU_TESTS_ON=cpu runs it on the CPU, to see that the tests themselves work.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from letters import sentences, spoken
from small_models import CONFIGS, CONFORMER, EMFORMER, HYBRID, make_batch, make_model, speech
from tiny import LM, TOKENS
from trained_hugging_face import FIXTURES

from secateur.core import devices
from secateur.decoding.recognize import Features, Recognizer, decode
from secateur.models import formats
from secateur.models.build import build_model
from secateur.models.dropout import Dropout
from secateur.models.rnnt_loss import rnnt_loss
from secateur.models.upstream.config import EncoderConfig
from secateur.speech.front_ends import front_end
from secateur.speech.front_ends.waves import framed
from secateur.speech.tokens import Tokenizer
from secateur.speech.whisper_tokens import WhisperTokenizer
from secateur.ssl import gates
from secateur.ssl.gated import EncoderGates
from secateur.ssl.options import FINE

pytestmark = pytest.mark.gpu
DEVICE = torch.device(os.environ.get("SECATEUR_GPU_TESTS_ON", "cuda"))
CPU = torch.device("cpu")
CTC_GREEDY = {"type": "ctc_greedy", "batch": 16, "batch_frames": 2000}
BEAM = {"type": "beam", "beam": 3, "ctc_weight": 0.3, "lm_weight": 0.3, "length_bonus": 0.0, "lm": "some"}
LEXICON = {"type": "lexicon", "beam": 50, "lm_weight": 0.8, "word_score": 0.3, "order": 2}
STREAMED = {"type": "transducer_greedy", "batch": 16, "batch_frames": 2000, "max_symbols": 10, "streaming": False}
STREAMED_BEAM = {"type": "transducer_beam", "beam": 3, "max_symbols": 3, "lm_weight": 0.3, "length_bonus": 0.0}
STREAMED_BEAM |= {"streaming": False, "lm": "some"}
GENERATE = {"type": "generate", "batch": 6, "batch_frames": 100000, "beam": 1}
TRANSDUCER_ESPNET = {"type": "transducer_espnet", "algorithm": "default", "lm_weight": 0.0, "beam": 1}
ESPNET = Path(__file__).parents[1] / "reference/espnet"


@pytest.fixture(autouse=True)
def float32():
    """Products in float32 itself, not in TF32."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = False
    yield
    for place, allowed in zip(places, before, strict=True):
        place.allow_tf32 = allowed


def step(model, device, precision="float32"):
    """The loss of a batch and the gradients by name, on the CPU, of a copy of `model` on `device`."""
    model = copy.deepcopy(model).to(device)
    batch = {name: tensor.to(device) for name, tensor in make_batch().tensors.items()}
    with devices.autocast(device, precision):
        loss, _, _ = model(**batch)
    loss.backward()
    named = {name: one.grad.cpu() for name, one in model.named_parameters() if one.grad is not None}
    return loss.detach().cpu(), named


def learning(config):
    """A model in training mode that draws nothing."""
    model = make_model(config | {"stochastic_depth": 0.0}).train()
    for module in model.modules():
        if isinstance(module, Dropout | torch.nn.Dropout):
            module.p = 0.0
    return model


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_training_step_has_the_loss_and_gradients_of_the_cpu(config):
    model = learning(config)
    (loss, found), (expected, wanted) = step(model, DEVICE), step(model, CPU)
    assert step(model, CPU)[0] == expected  # nothing is drawn
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
    assert found.keys() == wanted.keys()
    scale = torch.stack([gradient.norm() for gradient in wanted.values()]).norm()
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-5 * scale, name


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_bfloat16_has_the_loss_of_float32_to_its_precision(config):
    model = learning(config)
    loss, found = step(model, DEVICE, "bfloat16")
    torch.testing.assert_close(loss.float(), step(model, CPU)[0], rtol=0.03, atol=0.0)
    assert all(torch.isfinite(gradient).all() for gradient in found.values())


def test_the_rnnt_loss_and_its_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 9, 5, 7, generator=generator)
    targets = torch.randint(1, 7, (3, 4), generator=generator)
    frames, labels = torch.tensor([9, 6, 7]), torch.tensor([4, 2, 0])
    results = []
    for device in (DEVICE, CPU):
        given = logits.to(device).requires_grad_()
        losses = rnnt_loss(given, targets.to(device), frames.to(device), labels.to(device))
        losses.sum().backward()
        results.append((losses.detach().cpu(), given.grad.cpu()))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "search", "with_lm"),
    [
        (CONFORMER, CTC_GREEDY, False),
        (CONFORMER, BEAM, True),
        (HYBRID, CTC_GREEDY, False),
        (HYBRID, BEAM, True),
        (CONFORMER, LEXICON, False),
        (EMFORMER, STREAMED, False),
        (EMFORMER, STREAMED_BEAM, True),
        (EMFORMER, STREAMED | {"streaming": True}, False),
        (EMFORMER, STREAMED_BEAM | {"streaming": True}, True),
    ],
    ids=[
        *("ctc", "ctc-beam", "hybrid", "hybrid-beam", "lexicon", "transducer", "transducer-beam"),
        *("transducer-in-segments", "transducer-beam-in-segments"),
    ],
)
def test_every_search_of_our_models_finds_the_same_words(config, search, with_lm):
    if search is LEXICON:
        pytest.importorskip("flashlight.lib.text.decoder")
    found = []
    for device in (DEVICE, CPU):
        torch.manual_seed(4)
        lm = build_model(LM, TOKENS).eval().lm.to(device) if with_lm else None
        recognizer = Recognizer(
            make_model(config).to(device), Tokenizer(TOKENS), device, lm, ["ab a", "ca a ab", "c b"]
        )
        features = {str(number): speech(number).numpy() for number in range(4)}
        found.append({name: result.hypothesis for name, result in decode(recognizer, features, search).items()})
    assert found[0] == found[1] and any(found[1].values())


def whisper():
    """The trained Whisper, its tokenizer and search, and waveforms by utterance."""
    spelled = sentences("test")[:6]
    waves = {str(number): framed(spoken(text, number)) for number, text in enumerate(spelled)}
    loaded = formats.load(FIXTURES / "whisper")
    return loaded.model, WhisperTokenizer(loaded.tokens, FIXTURES / "whisper/tokenizer.json"), GENERATE, waves


def espnet_transducer():
    """The same of ESPnet's transducer, with its features."""
    compute = front_end(formats.describe(ESPNET / "conformer-transducer").features).compute
    names = sorted(file.stem for file in (ESPNET / "speech/wav").glob("*.flac"))[:4]
    found = {name: compute(soundfile.read(ESPNET / f"speech/wav/{name}.flac", dtype="float32")[0]) for name in names}
    loaded = formats.load(ESPNET / "conformer-transducer")
    return loaded.model, Tokenizer(loaded.tokens), TRANSDUCER_ESPNET, found


@pytest.mark.parametrize("others", [whisper, espnet_transducer])
def test_searches_of_models_of_others_find_the_same_words(others):
    model, tokenizer, search, features = others()
    given = Features(features, {name: len(one) for name, one in features.items()}, dict.fromkeys(features, "en"))
    found = [
        {
            name: result.hypothesis
            for name, result in decode(Recognizer(model.to(device).eval(), tokenizer, device), given, search).items()
        }
        for device in (DEVICE, CPU)
    ]
    assert found[0] == found[1] and any(found[1].values())


def test_gates_and_what_they_are_expected_to_leave():
    config = EncoderConfig(hidden_size=12, num_hidden_layers=3, num_attention_heads=3, intermediate_size=20)
    log_alpha = torch.linspace(-4, 5, 40)
    uniform = torch.linspace(0.02, 0.98, 40)
    results = []
    for device in (DEVICE, CPU):
        own = EncoderGates(config, FINE, True, 1.0, 10.0).to(device)
        sparsity = own.expected_sparsity()
        sparsity.backward()
        values = log_alpha.to(device).requires_grad_()
        drawn = gates.sample(values, True, uniform.to(device))
        drawn.square().sum().backward()
        gradients = [parameter.grad.cpu() for parameter in own.parameters()]
        results.append([sparsity.detach().cpu(), *gradients, drawn.detach().cpu(), values.grad.cpu()])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_ranks_with_a_card_each_add_their_gradients():
    """NCCL with as many ranks as there are cards; on a CPU, gloo with two."""
    count = torch.cuda.device_count() if DEVICE.type == "cuda" else 2
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    answer = subprocess.run(
        [*command, Path(__file__).with_name("ranks.py"), DEVICE.type], capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["added", str(count)]
