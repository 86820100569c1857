"""Hard-concrete gates (Louizos, Welling & Kingma 2018): random variables in [0, 1] that are exactly 0 or 1 at times.

    u ~ U(0, 1),  s = σ((log u − log(1 − u) + log α) / β),  s̄ = s(ζ − γ) + γ,  z = clip(s̄, 0, 1)

with β = 2/3, ζ = 1.1, γ = −0.1, and log α learned. The gradient of a loss for log α is exact where z lies strictly
between 0 and 1 and zero where the clip holds it at 0 or 1: a gate that has once closed, or opened for good, is never
judged again. With the straight-through estimator (S4, Eq. 4) ∂L/∂s̄ is ∂L/∂z clipped to [−1, 1] everywhere.
"""

import math

import torch

BETA = 2 / 3
ZETA, GAMMA = 1.1, -0.1
CLOSED = math.log(-GAMMA / ZETA)
"""The log α up to which a gate is 0 at inference."""
POINTS = 200  # of the integral of `mean`


class _StraightThrough(torch.autograd.Function):
    """clip(s̄, 0, 1) with the gradient of Eq. 4."""

    @staticmethod
    def forward(context, stretched: torch.Tensor) -> torch.Tensor:
        return stretched.clamp(0.0, 1.0)

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.clamp(-1.0, 1.0)


def rectify(stretched: torch.Tensor, straight_through: bool) -> torch.Tensor:
    """z of s̄, with the straight-through gradient or that of the clip."""
    return _StraightThrough.apply(stretched) if straight_through else stretched.clamp(0.0, 1.0)


def sample(log_alpha: torch.Tensor, straight_through: bool, uniform: torch.Tensor | None = None) -> torch.Tensor:
    """Draw a gate z for every log α, in its shape; `uniform` are the u, drawn if not given."""
    uniform = torch.rand_like(log_alpha) if uniform is None else uniform
    concrete = torch.sigmoid((torch.logit(uniform) + log_alpha) / BETA)
    return rectify(concrete * (ZETA - GAMMA) + GAMMA, straight_through)


def open_probability(log_alpha: torch.Tensor) -> torch.Tensor:
    """P(z ≠ 0) = σ(log α − β log(−γ/ζ)): the expected L0 norm of a gate."""
    return _exceeds(log_alpha, 0.0)


def full_probability(log_alpha: torch.Tensor) -> torch.Tensor:
    """P(z = 1) = σ(log α − β log((1 − γ)/(ζ − 1)))."""
    return _exceeds(log_alpha, 1.0)


def polarisation(log_alpha: torch.Tensor) -> torch.Tensor:
    """P(z = 0) + P(z = 1): how near a gate is to having decided."""
    return 1 - open_probability(log_alpha) + full_probability(log_alpha)


def mean(log_alpha: torch.Tensor) -> torch.Tensor:
    """E[z], the integral of P(z > t) over t from 0 to 1, by the midpoint rule."""
    points = (torch.arange(POINTS, device=log_alpha.device, dtype=torch.float64) + 0.5) / POINTS
    return sum(_exceeds(log_alpha, point) for point in points.tolist()) / POINTS


def deterministic(log_alpha: torch.Tensor) -> torch.Tensor:
    """The gate at inference, clip(σ(log α)(ζ − γ) + γ, 0, 1) (Louizos et al. 2018, Eq. 13)."""
    return (torch.sigmoid(log_alpha) * (ZETA - GAMMA) + GAMMA).clamp(0.0, 1.0)


def _exceeds(log_alpha: torch.Tensor, threshold: float) -> torch.Tensor:
    """P(s̄ > threshold), for a threshold between γ and ζ."""
    return torch.sigmoid(log_alpha - BETA * math.log((threshold - GAMMA) / (ZETA - threshold)))
