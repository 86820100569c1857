import math

import pytest
import torch

from secateur.ssl import gates

LOG_ALPHAS = [-4.0, -2.398, -1.0, 0.0, 0.7, 2.0, 5.0]
DRAWS = 400_000


def draw(log_alpha, straight_through=False):
    torch.manual_seed(0)
    values = torch.full((DRAWS,), log_alpha, dtype=torch.float64, requires_grad=True)
    return values, gates.sample(values, straight_through)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("log_alpha", LOG_ALPHAS)
def test_probabilities_and_mean_are_those_of_the_samples(log_alpha):
    """Closed forms, worked out by hand from s̄ > t ⇔ logit u > β logit((t − γ)/(ζ − γ)) − log α, and Monte Carlo."""
    _, z = draw(log_alpha)
    value = torch.tensor(log_alpha, dtype=torch.float64)
    opened, full = sigmoid(log_alpha - 2 / 3 * math.log(0.1 / 1.1)), sigmoid(log_alpha - 2 / 3 * math.log(1.1 / 0.1))
    assert gates.open_probability(value).item() == pytest.approx(opened, rel=1e-6)
    assert gates.full_probability(value).item() == pytest.approx(full, rel=1e-6)
    deviation = 5 * 0.5 / math.sqrt(DRAWS)
    assert (z > 0).double().mean().item() == pytest.approx(opened, abs=deviation)
    assert (z == 0).double().mean().item() == pytest.approx(1 - opened, abs=deviation)
    assert (z == 1).double().mean().item() == pytest.approx(full, abs=deviation)
    assert z.min() >= 0 and z.max() <= 1
    assert gates.mean(value).item() == pytest.approx(z.mean().item(), abs=deviation)


def test_one_gate_by_hand():
    """log α = 0.3, u = 0.6: s = σ((log 1.5 + 0.3)·1.5), s̄ = 1.2 s − 0.1."""
    s = sigmoid((math.log(1.5) + 0.3) * 1.5)
    z = gates.sample(torch.tensor([0.3]), True, torch.tensor([0.6]))
    assert z.item() == pytest.approx(1.2 * s - 0.1)
    assert gates.deterministic(torch.tensor([0.3])).item() == pytest.approx(1.2 * sigmoid(0.3) - 0.1)


@pytest.mark.parametrize("log_alpha", [-2.0, 0.0, 1.5])
def test_the_gradient_of_the_clip_is_on_average_that_of_the_mean(log_alpha):
    values, z = draw(log_alpha)
    z.sum().backward()
    step = 1e-4
    above, below = (gates.mean(torch.tensor(log_alpha + s, dtype=torch.float64)).item() for s in (step, -step))
    slopes = values.grad
    assert slopes.mean().item() == pytest.approx((above - below) / (2 * step), abs=5 * slopes.std().item() / DRAWS**0.5)
    assert (slopes == 0).double().mean().item() == pytest.approx(((z == 0) | (z == 1)).double().mean().item())


def test_straight_through_gradient_is_equation_4_everywhere():
    """∂L/∂z of ≥ 1, < −1 and in between, at gates that are closed, partly open and full."""
    upstream = torch.tensor([3.0, 1.0, 0.4, 0.0, -0.4, -1.0, -5.0])
    wanted = torch.tensor([1.0, 1.0, 0.4, 0.0, -0.4, -1.0, -1.0])
    for stretched in (-0.1, -0.05, 0.0, 0.5, 1.0, 1.07, 1.1):
        inputs = torch.full((7,), stretched, requires_grad=True)
        z = gates.rectify(inputs, straight_through=True)
        assert torch.equal(z, torch.full((7,), stretched).clamp(0, 1))
        z.backward(upstream)
        assert torch.equal(inputs.grad, wanted)
        plain = torch.full((7,), stretched, requires_grad=True)
        gates.rectify(plain, straight_through=False).backward(upstream)
        assert torch.equal(plain.grad, upstream if 0 <= stretched <= 1 else torch.zeros(7))


def test_straight_through_gradient_reaches_log_alpha_of_a_saturated_gate():
    """∂s̄/∂log α = (ζ − γ) s (1 − s) / β, where the clip alone gives nothing."""
    for straight_through in (True, False):
        log_alpha = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
        z = gates.sample(log_alpha, straight_through, torch.tensor([0.9], dtype=torch.float64))
        assert z.item() == 1
        (0.5 * z).sum().backward()
        s = sigmoid((math.log(9) + 3) * 1.5)
        assert log_alpha.grad.item() == pytest.approx(0.5 * 1.2 * s * (1 - s) * 1.5 if straight_through else 0.0)


def test_polarisation_by_hand():
    """At log α = 2, P(z = 0) = 1 − σ(2 + ⅔ ln 11) = 0.027 and P(z = 1) = σ(2 − ⅔ ln 11) = 0.599."""
    found = gates.polarisation(torch.tensor([2.0, 10.0, -10.0]))
    assert found[0].item() == pytest.approx(0.0266 + 0.5990, abs=1e-3)
    assert (found[1:] > 0.999).all()


def test_at_inference_a_gate_closes_at_the_threshold_and_the_extremes_are_finite():
    values = torch.tensor([gates.CLOSED - 1e-4, gates.CLOSED + 1e-4, -gates.CLOSED + 1e-4])
    z = gates.deterministic(values)
    assert z[0] == 0 and 0 < z[1] < 1e-3 and z[2] == 1
    log_alpha = torch.tensor([-80.0, 0.0, 0.0, 80.0], requires_grad=True)
    z = gates.sample(log_alpha, True, torch.tensor([0.0, 0.0, 1 - 2**-24, 0.5]))
    assert z.tolist() == [0, 0, 1, 1]
    z.sum().backward()
    assert log_alpha.grad.isfinite().all()
