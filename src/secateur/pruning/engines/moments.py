"""AdamW's moments of weights that an adaptation removes: kept, or cleared with a bias correction of their own.

AdamW (Loshchilov & Hutter 2019, algorithm 2) divides the moments m and v by 1 − β1^t and 1 − β2^t, t being the updates
of the whole matrix. A weight whose moments were cleared has had k < t updates since: divided by what belongs to t, its
next steps are too short or, where v was cleared too, three times too long. So what AdamW did with t is replaced by what
belongs to k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from secateur.pruning.engines.mask import Mask

MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's state of every weight."""
KEEP, FIRST, CLEAR = "keep", "first", "clear"
FORGOTTEN = 1000
"""Updates after which a clearing no longer matters: 0.98^1000 is below the resolution of float32."""


@dataclass
class Moments:
    """What becomes of the moments of removed weights.

    Attributes:
        how: `keep` them, clear the `first` one (the momentum), or `clear` both.
    """

    optimizer: torch.optim.Optimizer
    weights: Mapping[str, torch.Tensor]
    how: str = KEEP
    _ages: dict[str, torch.Tensor] = field(default_factory=dict)

    def clear(self, gone: Mask) -> None:
        """Forget the moments of the weights in `gone`, as `how` says."""
        if self.how == KEEP:
            return
        for name, weight in self.weights.items():
            state, bits = self.optimizer.state.get(weight, {}), gone[name]
            if not bits.any():
                continue
            for key in MOMENTS[: 1 if self.how == FIRST else 2]:
                if key in state:
                    state[key].masked_fill_(bits, 0.0)
            if "step" in state:
                unknown = torch.full_like(weight, torch.inf)
                self._ages.setdefault(name, unknown.detach()).masked_fill_(bits, 0.0)

    @torch.no_grad()
    def correct(self, outside: Mapping[str, torch.Tensor]) -> None:
        """Right after a step of AdamW, give cleared weights the step that their own number of updates makes.

        Args:
            outside: by matrix, 1 where the step was not for a weight, and 0 elsewhere; none where it was for all.
        """
        if not self._ages:
            return
        groups = {id(weight): group for group in self.optimizer.param_groups for weight in group["params"]}
        for name, ages in self._ages.items():
            weight = self.weights[name]
            if weight.grad is not None:  # else AdamW made no step: stochastic depth skipped the layer
                self._correct(weight, ages, groups[id(weight)], outside.get(name))

    def _correct(
        self, weight: torch.Tensor, ages: torch.Tensor, group: Mapping[str, Any], outside: torch.Tensor | None
    ) -> None:
        fresh = ages.isfinite() if outside is None else ages.isfinite() & (outside == 0)
        places = fresh.nonzero(as_tuple=True)
        if not len(places[0]):
            return
        state, (beta1, beta2) = self.optimizer.state[weight], group["betas"]
        ages[places] += 1
        age, step = ages[places], torch.as_tensor(float(state["step"]), device=ages.device)
        first, second = (state[key][places] for key in MOMENTS)

        def stride(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
            scale = (second / (1 - beta2**two)).sqrt() + group["eps"]
            return group["lr"] * first / (1 - beta1**one) / scale

        weight[places] += stride(step, step) - stride(age, age if self.how == CLEAR else step)
        ages[places] = torch.where(age >= FORGOTTEN, torch.inf, age)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What must be saved to resume."""
        return {f"age.{name}": ages for name, ages in self._ages.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `tensors` gave."""
        for name, ages in tensors.items():
            if name.startswith("age."):
                name = name.removeprefix("age.")
                self._ages[name] = ages.to(self.weights[name].device)


def named(weights: Mapping[str, torch.Tensor], tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors in the order of some weights, by their names; none for none."""
    return dict(zip(weights, tensors, strict=True)) if tensors else {}
