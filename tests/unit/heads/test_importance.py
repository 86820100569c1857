"""Importance of heads: against finite differences, and by hand; independent of batches; the file that holds it."""

import math

import pytest
import torch
from small_models import CONFORMER, EMFORMER, EVERY_CONFIG, HYBRID, TRANSFORMER, make_batch, make_model

from secateur.core.errors import SecateurError
from secateur.heads.importance import (
    estimated_again,
    gradients,
    importances,
    magnitudes,
    normalised,
    read_importance,
    write_importances,
)
from secateur.heads.options import IMPORTANCES
from secateur.models.surgery.heads import Head, attentions, gated, heads, remove_heads
from secateur.speech.datadir import sample

ONE, TWO = ("encoder-self", 1), ("decoder-self", 1)


def finite_differences(model, removed=(), step=1e-2):
    """Mean over utterances of |∂L/∂ξ_h| by central differences of fourth order, one utterance and head at a time."""

    def loss(utterance, head, gate):
        gates = {}
        for key, attention in attentions(model).items():
            values = [float(Head(*key, number) not in removed) for number in attention.heads]
            if key == head.attention:
                values[attention.heads.index(head.head)] = gate
            gates[key] = torch.tensor(values)
        with torch.no_grad(), gated(model, gates):
            return model(**make_batch([utterance]).tensors)[0].item()

    def derivative(utterance, head):
        far, near = (loss(utterance, head, 1 + k * step) - loss(utterance, head, 1 - k * step) for k in (2, 1))
        return (8 * near - far) / (12 * step)

    return {
        head: sum(abs(derivative(number, head)) for number in range(4)) / 4
        for head in heads(model)
        if head not in removed
    }


@pytest.mark.parametrize("config", [CONFORMER, HYBRID, EMFORMER], ids=["conformer", "hybrid", "emformer"])
def test_gradients_are_finite_differences(config):
    model = make_model(config, scale=1)  # smooth enough for differences
    found = gradients(model, [make_batch()])
    expected = finite_differences(model)
    assert list(found) == heads(model)
    assert [found[head] for head in expected] == pytest.approx(list(expected.values()), rel=1e-2, abs=5e-3)
    assert min(found.values()) > 0


def test_gradients_without_some_heads_are_finite_differences():
    model = make_model(TRANSFORMER, scale=1)
    removed = [Head("encoder-self", 1, 2), *(Head("encoder-self", 2, number) for number in (1, 2, 3))]
    found = gradients(model, [make_batch()], removed)
    expected = finite_differences(model, removed)
    assert [found[head] for head in expected] == pytest.approx(list(expected.values()), rel=1e-2, abs=5e-3)
    assert gradients(model, [make_batch()]) != pytest.approx(found)


@EVERY_CONFIG
def test_batches_change_neither_values_nor_order(config):
    """The absolute value is of each utterance: a batch's summed gradient would cancel."""
    model = make_model(config)
    together = gradients(model, [make_batch()])
    for split in ([[0], [1], [2], [3]], [[3, 1], [0, 2]], [[2, 0, 1], [3]]):
        apart = gradients(model, [make_batch(part) for part in split])
        assert apart == pytest.approx(together, rel=1e-3, abs=1e-5)
        assert sorted(apart, key=apart.get) == sorted(together, key=together.get)
    single = [gradients(model, [make_batch([number])]) for number in range(4)]
    for head, value in together.items():
        assert value == pytest.approx(sum(values[head] for values in single) / 4, rel=1e-3, abs=1e-5)


def test_estimating_changes_nothing():
    model = make_model(HYBRID)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss = model(**make_batch().tensors)[0]
    importances(model, [make_batch()], 1, 4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model(**make_batch().tensors)[0], loss)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_smaller_model_has_importances_of_its_heads():
    model = remove_heads(make_model(TRANSFORMER), [Head("encoder-self", 1, n) for n in (1, 2, 3)])
    found = importances(model, [make_batch()], 1, 2)
    assert tuple(found) == IMPORTANCES
    for values in found.values():
        assert list(values) == heads(model)


def test_versions_by_hand():
    values = {Head(*ONE, 1): 3.0, Head(*ONE, 2): 4.0, Head(*TWO, 1): 1.0, Head(*TWO, 2): 0.0}
    found = normalised(values)
    assert list(found["gradient"].values()) == [3, 4, 1, 0]
    assert list(found["gradient-layer-l2"].values()) == pytest.approx([0.6, 0.8, 1, 0])
    assert list(found["gradient-layer-max"].values()) == pytest.approx([0.75, 1, 1, 0])
    assert list(found["gradient-min-max"].values()) == pytest.approx([0.75, 1, 0.25, 0])
    zeros = {Head(*ONE, 1): 0.0, Head(*ONE, 2): 0.0}
    assert all(list(version.values()) == [0, 0] for version in normalised(zeros).values())


def test_estimating_again_by_hand():
    """Head 2 looks useless until head 1 is gone; then it is what matters most."""
    present = [Head(*ONE, number) for number in (1, 2, 3, 4)]

    def estimate(removed):
        values = dict(zip(present, [1.0, 2.0, 3.0, 3.5], strict=True))
        return values | ({present[1]: 9.0} if present[0] in removed else {})

    assert list(estimated_again(estimate, present, 1).values()) == [1, 4, 2, 3]
    assert list(estimated_again(estimate, present, 2).values()) == [1, 2, 3, 4]
    with pytest.raises(SecateurError, match="remove at least 1"):
        estimated_again(estimate, present, 0)


def test_again_follows_the_gradients_of_what_is_left():
    model, batches = make_model(TRANSFORMER), [make_batch()]
    found = importances(model, batches, 1, 4)
    order = sorted(found["gradient-again"], key=found["gradient-again"].get)
    first = sorted(found["gradient"], key=found["gradient"].get)[:4]
    assert order[:4] == first
    rest = gradients(model, batches, first)
    assert order[4:8] == sorted(set(rest) - set(first), key=rest.get)[:4]


def test_magnitudes_by_hand():
    model = make_model(TRANSFORMER)
    module = attentions(model)["encoder-self", 2].module  # three heads of 8, 24 wide
    with torch.no_grad():
        for linear in (module.linear_q, module.linear_k, module.linear_v, module.linear_out):
            linear.weight.fill_(-1.0)
        module.linear_k.weight[8:16] = 3.0
        module.linear_out.weight[:, 16:] = 0.0
    found = magnitudes(model)
    assert [found[Head("encoder-self", 2, number)] for number in (1, 2, 3)] == [1.0, 1.5, 0.75]


def test_random_importances_depend_on_their_seed_only():
    model = make_model(TRANSFORMER)
    one, other = (importances(model, [make_batch()], seed)["random"] for seed in (1, 2))
    assert importances(make_model(HYBRID), [make_batch()], 1)["random"].items() >= one.items()
    assert one != other
    assert all(0 <= value < 1 for value in one.values())


def test_the_file_gives_back_what_was_written(tmp_path):
    found = importances(make_model(HYBRID), [make_batch()], 1, 5)
    write_importances(tmp_path / "importance.tsv", found)
    for name, values in found.items():
        assert read_importance(tmp_path / "importance.tsv", name) == values
    write_importances(tmp_path / "less.tsv", {"gradient": found["gradient"], "random": found["random"]})
    with pytest.raises(SecateurError, match="has no importance 'gradient-again'; choose from gradient, random"):
        read_importance(tmp_path / "less.tsv", "gradient-again")


def test_what_cannot_be_estimated_on_is_refused():
    with pytest.raises(SecateurError, match="no utterance to estimate"):
        gradients(make_model(TRANSFORMER), [])
    batch = make_batch()
    batch.tensors["speech"][1] = math.nan
    with pytest.raises(SecateurError, match="the loss is nan on utterances 0, 1, 2, 3"):
        gradients(make_model(TRANSFORMER), [batch])


def test_every_language_gives_as_many_utterances():
    languages = {
        f"{language}{number}": language for language, count in [("en", 20), ("fr", 3)] for number in range(count)
    }
    chosen = sample(languages, 5, seed=1)
    assert len(set(chosen)) == len(chosen) == 8
    assert sum(name.startswith("en") for name in chosen) == 5
    assert chosen == sample(dict(reversed(languages.items())), 5, seed=1) != sample(languages, 5, seed=2)
