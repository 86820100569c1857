"""A language model that was pruned: it scores as the masked one, loads again, and decodes."""

import copy
import json
import math

import pytest
import torch
from tiny import LM, TOKENS, TRAINING
from tiny import run_script as run

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.heads.importance import gradients
from secateur.heads.order import removal_order, removed_at
from secateur.heads.smaller_lm import matrices, scores, without_heads, without_layers
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import language_model, load_model
from secateur.models.surgery import heads as surgery
from secateur.models.surgery.heads import Head, heads, masked
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.speech.data import TextExamples
from secateur.speech.tokens import Tokenizer

DEEP = LM | {"layers": 3, "heads": 4, "dropout": 0.0}
SENTENCES = ["a b", "ab", "cab a", "c", "b b c a"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    built = build_model(DEEP, TOKENS).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim > 1:
                parameter *= 2
    return built


@pytest.fixture
def batches():
    examples = TextExamples(SENTENCES, Tokenizer(TOKENS))
    names = sorted(examples.lengths)
    return [examples.load(names[:3]), examples.load(names[3:])]


def test_heads_have_the_derivatives_of_the_loss(model, batches):
    """Against finite differences: a gate of 1 ± h on one head, for every sentence by itself."""
    found, step = gradients(model.double(), batches), 1e-6  # between the kinks of ReLU
    for head in (Head("encoder-self", 1, 2), Head("encoder-self", 3, 4)):
        slopes = []
        for batch in batches:
            for sentence in range(len(batch.utterances)):
                tensors = {name: tensor[sentence : sentence + 1] for name, tensor in batch.tensors.items()}
                losses = []
                for change in (step, -step):
                    gates = torch.ones(4, dtype=torch.float64)
                    gates[head.head - 1] += change
                    with surgery.gated(model, {head.attention: gates}), torch.no_grad():
                        loss, _, weight = model(**tensors)
                    losses.append(loss.item() * int(weight))
                slopes.append(abs(losses[0] - losses[1]) / (2 * step))
        assert found[head] == pytest.approx(sum(slopes) / len(slopes), rel=1e-3)


@pytest.mark.parametrize("share", [0.25, 0.75, 1.0])
def test_the_pruned_model_scores_as_its_masked_form(model, batches, share):
    whole, tensors = copy.deepcopy(model), batches[0].tensors
    removed = removed_at(removal_order("global", gradients(model, batches)), share)
    with masked(whole, removed), torch.no_grad():
        expected = scores(whole, tensors)
    assert without_heads(model, share, batches) == removed and len(heads(model)) == 12 - len(removed)
    with torch.no_grad():
        torch.testing.assert_close(scores(model, tensors), expected, rtol=1e-4, atol=1e-4)
        # Step by step, as a search calls it, it is the same.
        text, state = torch.tensor([[6, 3, 4, 2]]), None
        for length in range(1, 5):
            found, state = model.lm.batch_score(text[:, :length], state or [None], None)
        torch.testing.assert_close(found, scores(model, {"text": text})[:, -1].log_softmax(-1), rtol=1e-4, atol=1e-4)


def test_what_is_removed_inexactly_is_not_kept(model, batches, monkeypatch):
    keep = surgery._keep
    monkeypatch.setattr(surgery, "_keep", lambda attention, numbers: keep(attention, numbers[1:] or [1]))
    with pytest.raises(SecateurError, match="not removed exactly"):
        without_heads(model, 0.25, batches)


def test_layers_go_one_by_one_by_the_loss(model):
    losses = {(1, 2): 3.0, (1, 3): 1.0, (2, 3): 2.0, (1,): 5.0, (3,): 4.0}
    assert without_layers(model, 1, lambda smaller: losses[tuple(layer_numbers(smaller))]) == [3]
    assert layer_numbers(model) == [1, 2, 3]
    with pytest.raises(SecateurError, match="has 3 layers, keep 1 to 3"):
        without_layers(model, 4, lambda _: 0.0)


def test_a_kept_layer_is_what_it_was(model, batches):
    """The sub-model computes what the whole one does when the other layer hands its input on."""
    whole = copy.deepcopy(model)
    for name, parameter in whole.lm.encoder.encoders[1].named_parameters():
        if name.startswith(("self_attn.linear_out", "feed_forward.w_2")):
            parameter.data.zero_()
    with torch.no_grad():
        expected = scores(whole, batches[0].tensors)
        torch.testing.assert_close(scores(keep_layers(model, [1, 3]), batches[0].tensors), expected)


def test_the_command_prunes_trains_on_and_is_loaded(model, tmp_path):
    save_model(tmp_path / "lm", model, DEEP, TOKENS)
    write_text(tmp_path / "text", "".join(f"u{number} {text}\n" for number, text in enumerate(SENTENCES)))
    write_text(tmp_path / "tokens.txt", "".join(f"{token}\n" for token in TOKENS))
    given = ("--start", tmp_path / "lm", "--train", tmp_path / "text", "--dev", tmp_path / "text", "--tokens",
             tmp_path / "tokens.txt", "--device", "cpu")  # fmt: skip
    smaller = ("--layers", 2, "--heads", 0.5)
    record = run("prune_lm", *given, *smaller, "--output", tmp_path / "small")
    assert (len(record["layers"]), record["heads"], record["steps"]) == (2, 4, 0)
    loaded = load_model(tmp_path / "small")
    assert layer_numbers(loaded.model) == record["layers"] and len(heads(loaded.model)) == 4
    assert isinstance(language_model(tmp_path / "small", TOKENS, "cpu"), torch.nn.Module)
    training = ("--training", json.dumps(TRAINING | {"steps": 6, "batch_tokens": 40, "learning_rate": 0.01}))
    trained = run("prune_lm", *given, "--sparsity", 0.6, *training, "--output", tmp_path / "sparse")
    found = matrices(load_model(tmp_path / "sparse").model)
    zeros = sum(int((weight == 0).sum()) for weight in found.values())
    assert zeros == math.floor(0.6 * sum(weight.numel() for weight in found.values()) + 0.5)
    assert trained["steps"] == 6 and trained["initial_loss"] != trained["whole_loss"]
    with pytest.raises(SecateurError, match=r"^heads: 1.5; allowed: ≤ 1$"):
        run("prune_lm", *given, "--heads", 1.5, "--output", tmp_path / "none")
