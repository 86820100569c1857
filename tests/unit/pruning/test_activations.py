"""Wanda and SparseGPT: small matrices by hand, against least squares, and on a model that speech runs through."""

import pytest
import torch
from test_pruning_scripts import corpus, dev_losses, fit, largest, state

from secateur.core.files import read_tsv
from secateur.core.jobs import LEFT_OVER
from secateur.models.conformer import PointwiseConv
from secateur.models.load import load_model
from secateur.pruning.engines import activations
from secateur.pruning.engines.mask import Mask, kept, mask_file, prunable, weights
from secateur.speech.data import Batch, SpeechExamples
from secateur.speech.tokens import Tokenizer

__all__ = ["corpus"]  # the fixture


def test_wanda_by_hand():
    """Inputs of norms 1, 10 and 2: of every output the greatest of |w|·(1, 10, 2); of six weights three, 2 and 1."""
    inputs = torch.tensor([[0.6, 6.0, 2.0], [0.8, -8.0, 0.0]], dtype=torch.float64)
    matrix = torch.tensor([[5.0, 0.4, -2.2], [-1.0, 0.05, 0.3]], dtype=torch.float64)
    bits, left = activations.wanda(matrix, inputs.T @ inputs, 3)
    # 5, 4, 4.4 and 1, 0.5, 0.6
    assert bits.tolist() == [[True, False, True], [True, False, False]]
    assert torch.equal(left, matrix)


def test_what_is_left_makes_up_for_what_sparse_gpt_removes():
    """Two inputs and one output: when the first weight goes, least squares gives the second one its share."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 2, generator=generator, dtype=torch.float64)
    x[:, 1] += 0.8 * x[:, 0]
    matrix = torch.tensor([[0.1, 1.0]], dtype=torch.float64)
    bits, left = activations.sparse_gpt(matrix, x.T @ x, 1)
    assert bits.tolist() == [[False, True]]
    damping = activations.DAMPING * (x.T @ x).diagonal().mean()
    wanted = 1.0 + 0.1 * (x[:, 0] @ x[:, 1]) / (x[:, 1] @ x[:, 1] + damping)
    assert left[0, 1].item() == pytest.approx(wanted.item())


def test_sparse_gpt_against_the_brain_surgeon_and_least_squares(monkeypatch):
    """The costs are those of an optimal brain surgeon, w² / [H⁻¹]_jj, of the columns that are left."""
    torch.manual_seed(1)
    monkeypatch.setattr(activations, "COLUMNS", 4)
    x = torch.randn(200, 12, dtype=torch.float64) @ torch.randn(12, 12, dtype=torch.float64)
    matrix, seen = torch.randn(6, 12, dtype=torch.float64), x.T @ x
    hessian = seen + activations.DAMPING * seen.diagonal().mean() * torch.eye(12)
    upper = torch.linalg.cholesky(torch.linalg.inv(hessian), upper=True)
    for first in range(12):  # by definition: the inverse of what is left of H when the columns before have gone
        rest = torch.linalg.inv(hessian[first:, first:])
        assert (upper[first, first] ** 2).item() == pytest.approx(rest[0, 0].item(), rel=1e-6)
    bits, left = activations.sparse_gpt(matrix, seen, 36)
    assert int(bits.sum()) == 36 and torch.allclose(left[~bits], torch.zeros(36, dtype=torch.float64), atol=1e-12)
    assert [int(part.sum()) for part in bits.split(4, dim=1)] == [12, 12, 12], "as many of every few columns"

    def error(bits, weights):
        return ((torch.where(bits, weights, 0.0) - matrix) @ x.T).square().sum().item()

    wanda, same = activations.wanda(matrix, seen, 36)
    best = torch.zeros_like(matrix)
    for row in range(6):  # the best that its mask allows
        chosen = bits[row].nonzero().flatten()
        best[row, chosen] = torch.linalg.lstsq(x[:, chosen], x @ matrix[row]).solution
    assert error(bits, best) <= error(bits, left) < error(bits, matrix), "what is left makes up for what is removed"
    assert error(bits, left) < error(wanda, same)
    assert error(bits, left) < 2 * error(bits, best)


def test_inputs_that_never_speak_cost_nothing():
    seen = torch.diag(torch.tensor([0.0, 4.0], dtype=torch.float64))
    bits, left = activations.sparse_gpt(torch.tensor([[9.0, 0.1]], dtype=torch.float64), seen, 1)
    assert bits.tolist() == [[False, True]] and left[0, 1].item() == pytest.approx(0.1)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_a_model_is_pruned_without_training(corpus, tmp_path, method):
    options = ["--method", method, "--start", corpus / "start", "--sparsity", 0.5, "--calibration", 4]
    record = fit("prune", corpus, tmp_path, ["en", "fr"], *options)
    model = load_model(tmp_path).model
    mask, names = Mask.load(mask_file(tmp_path)), prunable(model)
    assert mask.kept == kept(mask.total, 0.5) and set(mask.sparsity_by_matrix().values()) == {0.5}
    mask.check(model)
    before, after = state(corpus / "start"), state(tmp_path)
    assert all(torch.equal(before[name], after[name]) for name in before if name not in names)
    inside = [(before[name][mask[name]], after[name][mask[name]]) for name in names]
    assert all(torch.equal(*pair) for pair in inside) == (method == "wanda")
    assert mask != largest(corpus / "start", kept(mask.total, 0.5))
    assert (record["steps"], record["sparsity"]) == (0, 0.5)
    record[LEFT_OVER]()
    assert not (tmp_path / "resume").exists(), "nothing is left to be deleted"
    assert len(dev_losses(tmp_path)) == 1 and read_tsv(tmp_path / "history.tsv")[0]["step"] == "0"


def test_matrices_are_pruned_in_the_order_in_which_they_run(corpus):
    loaded = load_model(corpus / "start")
    model, names = loaded.model.eval(), prunable(loaded.model)
    folders = [(corpus / "features/en/train", corpus / "data/en/train")]
    examples = SpeechExamples(folders, Tokenizer.load(corpus / "tokens.txt"))
    batch = examples.load(sorted(examples.lengths)[:1])
    order = activations.in_order(model, names[::-1], batch)
    assert sorted(order) == sorted(names)
    query, first = (next(place for place, name in enumerate(order) if part in name) for part in ("linear_q", "w_1"))
    assert query < first
    # What reaches a matrix: the sum over frames of x xᵀ, as a hook sees it.
    seen = activations.grams(model, order[:2], [batch])
    assert list(seen) == order[:2]
    for found in seen.values():
        assert found.shape == (16, 16) and torch.allclose(found, found.T) and torch.linalg.eigvalsh(found).min() > -1e-9
    assert activations.grams(model, order[:1], [batch, batch])[order[0]].allclose(2 * seen[order[0]])
    assert set(weights(model, names)) == set(order)


@pytest.mark.parametrize("frames", [7, 6])
def test_inputs_of_convolutions_are_seen_whether_channels_come_first_or_last(frames):
    """Six channels, in one case as many frames: both kinds of pointwise convolution see what a linear layer does."""
    torch.manual_seed(0)
    x, linear = torch.randn(1, frames, 6), torch.nn.Linear(6, 6)
    first, last = torch.nn.Conv1d(6, 6, 1), PointwiseConv(6, 6, 1)
    for convolution in (first, last):
        convolution.weight.data = linear.weight.data[..., None].clone()
        convolution.bias.data = linear.bias.data.clone()
    wanted = x[0].double().T @ x[0].double()

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.first, self.last = linear, first, last

        def forward(self, x):
            return self.linear(x), self.first(x.transpose(1, 2)), self.last(x)

    names = [f"{name}.weight" for name in ("linear", "first", "last")]
    found = activations.grams(Model(), names, [Batch(["u"], ["en"], {"x": x})])
    assert list(found) == names
    for seen in found.values():
        torch.testing.assert_close(seen, wanted)


def test_matrices_of_a_layer_are_pruned_together():
    names = [
        "encoder.encoders.0.a.weight",
        "encoder.embed.weight",
        "encoder.encoders.0.b.weight",
        "encoder.encoders.10.a.w",
    ]
    wanted = [[names[0], names[2]], [names[1]], [names[3]]]
    assert activations.by_layer(names) == wanted
