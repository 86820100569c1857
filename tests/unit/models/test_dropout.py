import pytest
import torch

from secateur.models.dropout import Dropout, use_fast_dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rate_scale_and_gradient(rate, dtype):
    torch.manual_seed(0)
    rounded = round(rate * 256) / 256
    hidden = torch.ones(500, 401, dtype=dtype, requires_grad=True)
    output = Dropout(rate)(hidden)
    scale = torch.tensor(1 / (1 - rounded), dtype=dtype)
    assert set(output.unique().tolist()) == {0.0, scale.item()}
    dropped = (output == 0).double().mean().item()
    assert dropped == pytest.approx(rounded, abs=5 * (rate * (1 - rate) / hidden.numel()) ** 0.5)
    output.sum().backward()
    assert torch.equal(hidden.grad, output.detach())


def test_neighbours_and_steps_are_independent():
    """Eight decisions come from one random number: none of the eight may follow from another."""
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(200_000, 8)) > 0).double()
    correlation = torch.corrcoef(kept.T) - torch.eye(8)
    assert correlation.abs().max() < 5 / 200_000**0.5
    torch.manual_seed(0)
    again = Dropout(0.5)(torch.ones(200_000, 8)) > 0
    assert torch.equal(again, kept > 0)
    assert not torch.equal(Dropout(0.5)(torch.ones(200_000, 8)) > 0, again)


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
    hidden = torch.randn(10, 10)
    assert torch.equal(Dropout(0.5).eval()(hidden), hidden)
    assert torch.equal(Dropout(0.0)(hidden), hidden)


def test_every_dropout_of_a_model_is_replaced():
    model = torch.nn.Sequential(torch.nn.Dropout(0.2), torch.nn.ModuleList([torch.nn.Dropout(0.3)]))
    use_fast_dropout(model)
    assert [type(module) for module in model.modules() if isinstance(module, torch.nn.Dropout)] == [Dropout, Dropout]
    assert [model[0].p, model[1][0].p] == [0.2, 0.3]
