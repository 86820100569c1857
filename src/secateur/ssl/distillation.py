"""Distilling a teacher encoder into a student, dense, gated or compacted (S4, section 3.3).

    L = Σ_{(j,k) ∈ D} MSE(W_k h_student^j + b_k, h_teacher^k) + λ1 (p̂ − p) + λ2 (p̂ − p)²

p̂ is the expected sparsity of the gates and p its target. λ1 and λ2 climb the gradient (Wang, Wohlwend & Lei 2020), from
0 unless they are told otherwise: while p̂ is short of p, λ2 rises and λ1 falls, so that −(λ1 + 2 λ2 (p̂ − p)), what a
share of parameters costs, rises until the gates give way. They take as many steps to come down again, so that a short
training overshoots; it needs a target that rises slowly, and a λ2 that is large from the start.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from secateur.core.errors import SecateurError
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.convolutions import valid_frames
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import Batch
from secateur.ssl.channels import ChannelGates, folded
from secateur.ssl.gated import EncoderGates, fold
from secateur.training.hooks import TrainingHook

GATE_COLUMNS = ("step", "z_mha", "z_ffn", "sparsity", "target", "lambda1", "lambda2", "polarisation")
SKIPPED = 4  # layers are paired by every so many frames


class LayerPairs(nn.Module):
    """MSE between teacher layers and student layers that are paired again at every step (Xia, Zhong & Chen 2022).

    A teacher layer k is compared through a linear map of its own, learned, which starts as the identity. It is paired
    with the student layer that is then nearest to it: each for itself, or, with `ordered`, so that a higher teacher
    layer never has a lower student layer, and the distances sum up to the least.

    Args:
        layers: the teacher's layers, from 1.
    """

    def __init__(self, layers: Sequence[int], student: EncoderConfig, teacher: EncoderConfig, ordered: bool):
        super().__init__()
        self.layers, self.ordered = check_layers(layers, teacher), ordered
        self.maps = nn.ModuleList(nn.Linear(student.hidden_size, teacher.hidden_size) for _ in layers)
        for linear in self.maps:
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], frames: torch.Tensor):
        """The loss, of hidden states as encoders give them; what stands behind `frames` (B,) does not count."""
        valid = valid_frames(frames, student[0].shape[1])
        losses = [
            _mean(functional.mse_loss(predicted, teacher[layer].float(), reduction="none"), valid)
            for layer, predicted in zip(self.layers, self.predicted(student, teacher, valid), strict=True)
        ]
        return torch.stack(losses).sum()

    def predicted(
        self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], valid: torch.Tensor
    ) -> list[torch.Tensor]:
        """What the student makes of each of the teacher's layers, (B, T, D)."""
        pairs = self.pair(student, teacher, valid)
        return [linear(student[pair]).float() for linear, pair in zip(self.maps, pairs, strict=True)]

    @torch.no_grad()
    def pair(self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], valid: torch.Tensor) -> list[int]:
        """The student layer, from 1, for each teacher layer."""
        chosen = valid[:, ::SKIPPED]
        layers = torch.stack([hidden[:, ::SKIPPED][chosen] for hidden in student[1:]])  # (L, frames, D)
        distances = [
            (linear(layers) - teacher[layer][:, ::SKIPPED][chosen]).float().square().mean((1, 2))
            for linear, layer in zip(self.maps, self.layers, strict=True)
        ]
        table = torch.stack(distances)
        return [1 + place for place in (nearest_in_order(table.tolist()) if self.ordered else table.argmin(1).tolist())]


class PredictionHeads(nn.Module):
    """DistilHuBERT's objective (Chang, Yang & Lee 2022): heads on the student's last layer predict teacher layers.

    Σ_k mean|W_k h + b_k − h^k| − log σ(cos(W_k h + b_k, h^k)), both terms averaged over frames, the first over
    dimensions too.
    """

    def __init__(self, layers: Sequence[int], student: EncoderConfig, teacher: EncoderConfig):
        super().__init__()
        self.layers = check_layers(layers, teacher)
        self.heads = nn.ModuleList(nn.Linear(student.hidden_size, teacher.hidden_size) for _ in layers)

    def forward(self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], frames: torch.Tensor):
        """The loss; see `LayerPairs.forward`."""
        valid = valid_frames(frames, student[0].shape[1])
        total = 0.0
        for predicted, layer in zip(self.predicted(student, teacher, valid), self.layers, strict=True):
            wanted = teacher[layer].float()
            cosine = functional.cosine_similarity(predicted, wanted, dim=2)
            apart = (predicted - wanted).abs().mean(2)
            total = total + _mean(apart - functional.logsigmoid(cosine), valid)
        return total

    def predicted(
        self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], valid: torch.Tensor
    ) -> list[torch.Tensor]:
        """What the student makes of each of the teacher's layers, (B, T, D)."""
        return [head(student[-1]).float() for head in self.heads]


class Distillation(nn.Module):
    """A student that learns from a teacher, through gates if it has any.

    The teacher is no part of the module: it is neither trained nor saved.

    Args:
        objective: LayerPairs or PredictionHeads.
        gates: of a dense student, or None.
        train_extractor: whether the student's feature extractor is trained. If not, it is the teacher's, and what it
            gives is computed once for both.
        lambda_rate: learning rate of λ1 and λ2, in times that of the weights.
        lambdas: where λ1 and λ2 start.
        channels: gates on the student's front end, or None; they have a λ1 and λ2 of their own.
    """

    def __init__(
        self,
        student: Encoder,
        teacher: Encoder,
        objective: nn.Module,
        gates: EncoderGates | None = None,
        train_extractor: bool = True,
        lambda_rate: float = 1.0,
        lambdas: Sequence[float] = (0.0, 0.0),
        channels: ChannelGates | None = None,
    ):
        super().__init__()
        self.student, self.objective, self.gates, self.channels = student, objective, gates, channels
        student.requires_grad_(True)
        student.feature_extractor.requires_grad_(train_extractor)
        self.train_extractor = train_extractor and any(True for _ in student.feature_extractor.parameters())
        self._teacher = [teacher.eval().requires_grad_(False)]  # a list: not a submodule
        self.target = self.channel_target = 0.0
        if gates is not None:
            self.lambdas = nn.Parameter(torch.tensor(lambdas, dtype=torch.float32))
            self.lambdas.rate = lambda_rate
        if channels is not None:
            self.channel_lambdas = nn.Parameter(torch.tensor(lambdas, dtype=torch.float32))
            self.channel_lambdas.rate = lambda_rate

    @property
    def teacher(self) -> Encoder:
        return self._teacher[0]

    def of(self, student: Encoder) -> "Distillation":
        """What another student, without gates, is trained by: the same teacher and objective."""
        return Distillation(student, self.teacher, self.objective, None, self.train_extractor)

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss, its part that the teacher makes (`distance`), and the number of frames, for (B, S) and (B,) samples.

        In evaluation, gates are deterministic.
        """
        teacher = self.teacher.to(waveforms.device)
        with torch.no_grad():
            features, frames = teacher.features(waveforms, lengths)
            wanted = teacher.contextualize(features, frames)
        front = None
        if self.channels is not None:
            drawn = self.channels.sample() if self.training else self.channels.deterministic()
            front = folded(self.student, drawn)
        if self.train_extractor or front is not None:
            features, frames = self.student.features(waveforms, lengths, front)
        weights = None
        if self.gates is not None:
            weights = fold(self.student, self.gates.sample() if self.training else self.gates.deterministic())
        hidden = self.student.contextualize(features, frames, weights=weights, front=front)
        distance = self.objective(hidden, wanted, frames)
        loss = distance
        if self.gates is not None:
            loss = loss + lagrangian(self.gates.expected_sparsity(), self.target, self.lambdas)
        if self.channels is not None:
            loss = loss + lagrangian(self.channels.expected_sparsity(), self.channel_target, self.channel_lambdas)
        return loss, {"distance": distance.detach()}, frames.sum()


@torch.no_grad()
def missed(model: Distillation, batches: Iterable[Batch]) -> float:
    """How much of the teacher's layers a student without gates misses: Σ squared distance / Σ variance over frames.

    0 is a copy, 1 no better than the mean frame. Both sums are over the layers that it learned from, their dimensions,
    and all frames of `batches`, which have the tensors that the model takes.
    """
    squared, count = 0.0, 0
    sums: dict[int, torch.Tensor] = {}
    device = model.student.masked_spec_embed.device
    model.eval()
    for batch in batches:
        waveforms, lengths = (batch.tensors[name].to(device) for name in ("waveforms", "lengths"))
        wanted, frames = model.teacher.to(device)(waveforms, lengths)
        found, _ = model.student(waveforms, lengths)
        valid = valid_frames(frames, wanted[0].shape[1])
        count += int(valid.sum())
        predictions = model.objective.predicted(found, wanted, valid)
        for layer, predicted in zip(model.objective.layers, predictions, strict=True):
            target = wanted[layer][valid].double()
            squared += float((predicted[valid].double() - target).square().sum())
            sums[layer] = sums.get(layer, 0.0) + torch.stack([target.sum(0), target.square().sum(0)])
    variance = sum(float((squares - total.square() / count).sum()) for total, squares in sums.values())
    return squared / variance


class SparsityTarget(TrainingHook):
    """Raises a model's target sparsity linearly from 0 to `target` within `warmup` steps, and keeps the gates' log.

    Args:
        every: steps from one row of the log to the next; the last step always has one.
        channels: the target of the front end's channels, which rises in step.
    """

    def __init__(self, target: float, warmup: int, steps: int, every: int, channels: float = 0.0):
        self.target, self.warmup, self.steps, self.every = target, warmup, steps, every
        self.channels = channels
        self.rows: list[list[float]] = []

    def at(self, step: int) -> float:
        """The target at a step, counted from 0."""
        return self.target * self._risen(step)

    def _risen(self, step: int) -> float:
        return min(1.0, (step + 1) / max(1, self.warmup))

    def start(self, model: Distillation, optimizer: torch.optim.Optimizer) -> None:
        self.model = model

    def before_forward(self, step: int, batch: Batch) -> None:
        self.model.target, self.model.channel_target = self.at(step), self.channels * self._risen(step)

    @torch.no_grad()
    def after_update(self, step: int, batch: Batch) -> None:
        done = step + 1
        if done % self.every and done != self.steps:
            return
        gates = self.model.gates.deterministic()
        means = [gates["mha"].mean().item(), gates["ffn"].mean().item()]
        expected = self.model.gates.expected_sparsity().item()
        polarised = self.model.gates.polarisation()
        self.rows.append([done, *means, expected, self.at(step), *self.model.lambdas.tolist(), polarised])

    def log(self) -> list[dict[str, Any]]:
        """The rows of `gates.tsv`."""
        return [dict(zip(GATE_COLUMNS, [int(row[0]), *row[1:]], strict=True)) for row in self.rows]

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"rows": torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(GATE_COLUMNS))}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.rows = tensors["rows"].tolist()


def lagrangian(expected: torch.Tensor, target: float, lambdas: torch.Tensor) -> torch.Tensor:
    """λ1 (p̂ − p) + λ2 (p̂ − p)², whose gradient for (λ1, λ2) has its sign turned: an optimiser's descent is ascent."""
    first, second = 2 * lambdas.detach() - lambdas
    missing = expected - target
    return first * missing + second * missing**2


def nearest_in_order(distances: Sequence[Sequence[float]]) -> list[int]:
    """For each row of a table of distances a column, none before that of the row above, with the least sum.

    Of equal sums the one with lower columns wins.
    """
    columns = range(len(distances[0]))
    best, origins = list(distances[0]), []
    for row in distances[1:]:
        reached, origin = [], 0
        back = []
        for column in columns:
            if best[column] < best[origin]:
                origin = column
            back.append(origin)
            reached.append(best[origin] + row[column])
        best = reached
        origins.append(back)
    chosen = [min(columns, key=best.__getitem__)]
    for back in reversed(origins):
        chosen.append(back[chosen[-1]])
    return chosen[::-1]


def check_layers(layers: Sequence[int], teacher: EncoderConfig) -> list[int]:
    """`layers`, if they are layers of the teacher, ascending. Raises SecateurError else."""
    depth = len(teacher.shapes)
    if not layers or sorted(set(layers)) != list(layers) or not 1 <= layers[0] <= layers[-1] <= depth:
        raise SecateurError(f"layers to distil: {list(layers)}; name ascending ones from 1 to {depth}, the teacher's")
    return list(layers)


def _mean(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean over the valid frames of (B, T) or (B, T, D)."""
    if values.ndim == 3:
        values = values.mean(2)
    return (values * valid).sum() / valid.sum()
