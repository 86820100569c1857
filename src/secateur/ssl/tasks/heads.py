"""SUPERB's heads (s3prl's `downstream`), each on a learned weighted sum of an upstream's layers.

Every head answers `head(**tensors) -> (loss, statistics, weight)` as `secateur.training.loop` wants, where `hidden` is
(B, L, T, D), or (B, L, D) for heads that pool over time: a mean over time and a linear map may change places.

A head that is `measured` answers in evaluation with the share of errors that its task counts, in place of the loss, so
that the checkpoint is chosen by it, as s3prl does.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

import torch
from torch.nn import functional

from secateur.core.options import read
from secateur.models.lstm import LSTM
from secateur.models.specaug import specaug
from secateur.ssl.options import HiddenAugment

Answer = tuple[torch.Tensor, dict[str, Any], int]


class WeightedSum(torch.nn.Module):
    """Σ_l softmax(w)_l · h_l over layers; w starts at zero, i.e. with the mean. With `normalize`, each h_l is layer
    normalised first, without learned scale."""

    def __init__(self, layers: int, normalize: bool = False):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(layers))
        self.normalize = normalize

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, L, …, D) → (B, …, D)."""
        if self.normalize:
            hidden = functional.layer_norm(hidden, hidden.shape[-1:])
        return torch.einsum("l,bl...->b...", self.weights.softmax(0), hidden)

    def shares(self) -> list[float]:
        """Share of every layer in the sum."""
        return self.weights.detach().float().softmax(0).tolist()


class Head(torch.nn.Module):
    """What all heads have. `measured`: see the module's docstring."""

    measured = False

    @property
    def counts(self) -> bool:
        """Whether errors are counted now."""
        return self.measured and not self.training


class Pooled(Head):
    """KS, IC, SID, ER: linear projection, mean over time, linear classifier; one softmax per slot, e.g. IC's three.

    Args:
        slots: number of classes of every slot.
        projection: width between the two linear maps.
        weights: of the classes of every slot in the loss; all 1 for None.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        slots: Sequence[int],
        projection: int,
        normalize: bool = False,
        weights: Sequence[torch.Tensor] | None = None,
    ):
        super().__init__()
        for slot in range(len(slots)):
            self.register_buffer(f"weights_{slot}", weights[slot] if weights else None, persistent=False)
        self.sum = WeightedSum(layers, normalize)
        self.projector = torch.nn.Linear(width, projection)
        self.classifier = torch.nn.Linear(projection, sum(slots))
        self.slots = list(slots)

    def logits(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Means over time (B, L, D) → one (B, classes) per slot."""
        return self.classifier(self.projector(self.sum(hidden))).split(self.slots, dim=1)

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor) -> Answer:
        """`labels` (B, slots)."""
        if self.counts:
            wrong = (self.predict(hidden) != labels).any(1)
            return wrong.float().mean(), {}, len(labels)
        losses = [
            functional.cross_entropy(logits.float(), labels[:, slot], getattr(self, f"weights_{slot}"))
            for slot, logits in enumerate(self.logits(hidden))
        ]
        return sum(losses), {}, len(labels)

    @torch.no_grad()
    def predict(self, hidden: torch.Tensor) -> torch.Tensor:
        """The best class of every slot (B, slots)."""
        return torch.stack([logits.argmax(1) for logits in self.logits(hidden)], dim=1)


class FrameCTC(Head):
    """PR: linear projection and a linear classifier of every frame, trained by CTC. Blank is token 0.

    Attributes:
        judge: (errors, of how many) of a clip's tokens on the best path, given these and the right ones.
    """

    judge: Callable[[list[int], list[int]], tuple[float, int]]

    def __init__(self, layers: int, width: int, tokens: int, options: Mapping[str, Any]):
        super().__init__()
        self.sum = WeightedSum(layers, options["normalize"])
        self.projector = torch.nn.Linear(width, options["projection"])
        self.classifier = torch.nn.Linear(options["projection"], tokens)

    def logits(self, hidden: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, L, T, D), (B,) → (B, T', tokens), (B,)."""
        return self.classifier(self.projector(self.sum(hidden))), lengths

    def forward(
        self, hidden: torch.Tensor, lengths: torch.Tensor, text: torch.Tensor, text_lengths: torch.Tensor
    ) -> Answer:
        """`text` (B, U), `text_lengths` (B,). The loss is the mean over clips of CTC's loss per token."""
        if self.counts:
            scores, lengths = self.scores(hidden, lengths)
            clips = zip(scores, lengths.tolist(), text, text_lengths.tolist(), strict=True)
            judged = [
                self.judge(best_path(each[:frames]), right[:size].tolist()) for each, frames, right, size in clips
            ]
            errors, total = map(sum, zip(*judged, strict=True))
            return hidden.new_tensor(errors / max(1, total)), {}, total
        logits, lengths = self.logits(hidden, lengths)
        loss = functional.ctc_loss(
            logits.float().log_softmax(2).transpose(0, 1), text, lengths, text_lengths, zero_infinity=True
        )
        return loss, {}, len(lengths)

    @torch.no_grad()
    def scores(self, hidden: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities (B, T', tokens), float32, and lengths (B,)."""
        logits, lengths = self.logits(hidden, lengths)
        return logits.float().log_softmax(2), lengths


def best_path(scores: torch.Tensor) -> list[int]:
    """Tokens of the best path through scores (T, tokens): repetitions merged, blanks (0) left out."""
    return [token for token in torch.unique_consecutive(scores.argmax(1)).tolist() if token]


class RecurrentCTC(FrameCTC):
    """ASR, SF: projection, bidirectional LSTM layers with dropout, linear classifier, CTC; SpecAugment on the features
    in training.

    Args:
        options: projection, stack (frames that become one after the projection; s3prl: 1), layers, hidden, dropout,
            specaug, normalize.
    """

    def __init__(self, layers: int, width: int, tokens: int, options: Mapping[str, Any]):
        super().__init__(layers, width, tokens, options)
        self.stack = options["stack"]
        size, inputs = options["hidden"], self.stack * options["projection"]
        self.recurrent = torch.nn.ModuleList()
        for _ in range(options["layers"]):
            self.recurrent.append(BiLSTM(inputs, size))
            inputs = 2 * size
        self.dropout = torch.nn.Dropout(options["dropout"])
        self.classifier = torch.nn.Linear(inputs, tokens)
        self.specaug = specaug(**vars(read(HiddenAugment, options["specaug"], "specaug")))

    def logits(self, hidden: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        frames = self.sum(hidden)
        if self.training and self.specaug is not None:
            frames, _ = self.specaug(frames, lengths)
        frames, lengths = stacked(self.projector(frames), lengths, self.stack)
        for layer in self.recurrent:
            frames = self.dropout(layer(frames, lengths))
        return self.classifier(frames), lengths


def stacked(frames: torch.Tensor, lengths: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every `factor` frames side by side: (B, T, D) → (B, ⌈T / factor⌉, factor·D), filled up with 0; and lengths."""
    frames = functional.pad(frames, (0, 0, 0, -frames.shape[1] % factor))
    return frames.reshape(len(frames), -1, factor * frames.shape[2]), -(-lengths // factor)


class BiLSTM(torch.nn.Module):
    """One bidirectional LSTM layer whose backward half begins at the end of each clip, not of the batch.

    The same as `torch.nn.LSTM` on a packed sequence, which takes four times as long on a CPU.
    """

    def __init__(self, inputs: int, size: int):
        super().__init__()
        self.ahead = LSTM(inputs, size, batch_first=True)
        self.back = LSTM(inputs, size, batch_first=True)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, T, D), (B,) → (B, T, 2·size); what lies beyond a clip's end is to be ignored."""
        place = torch.arange(frames.shape[1], device=frames.device)
        lengths = lengths.to(frames.device)[:, None]
        mirrored = torch.where(place < lengths, lengths - 1 - place, place)[..., None]
        back, _ = self.back(frames.gather(1, mirrored.expand_as(frames)))
        ahead, _ = self.ahead(frames)
        return torch.cat([ahead, back.gather(1, mirrored.expand_as(back))], dim=2)


class XVector(Head):
    """SV: x-vector (Snyder et al. 2018) with additive margin softmax (Wang et al. 2018), scored by cosine.

    Time-delay layers with contexts 5, 3 (dilation 2), 3 (dilation 3), 1, 1; mean and standard deviation over time; two
    linear layers, of which the first gives the embedding.

    Args:
        options: projection, hidden (width of the time-delay layers and of the embedding), pooled (of the last
            time-delay layer), scale and margin of the loss.
    """

    CONTEXT = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))
    LOST = sum((kernel - 1) * dilation for kernel, dilation in CONTEXT)
    """Frames that the contexts take off a clip."""

    def __init__(self, layers: int, width: int, speakers: int, options: Mapping[str, Any]):
        super().__init__()
        size, pooled = options["hidden"], options["pooled"]
        self.sum = WeightedSum(layers, options["normalize"])
        self.projector = torch.nn.Linear(width, options["projection"])
        widths = [options["projection"], size, size, size, size, pooled]
        self.delays = torch.nn.ModuleList(
            torch.nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
            for inputs, outputs, (kernel, dilation) in zip(widths, widths[1:], self.CONTEXT, strict=False)
        )
        self.embedding = torch.nn.Linear(2 * pooled, size)
        self.last = torch.nn.Linear(size, size)
        self.speakers = torch.nn.Parameter(torch.empty(speakers, size))
        torch.nn.init.xavier_normal_(self.speakers)
        self.scale, self.margin = options["scale"], options["margin"]

    def embed(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(B, L, T, D), (B,) → embeddings (B, hidden)."""
        frames = self.projector(self.sum(hidden)).transpose(1, 2)
        short = self.LOST + 1 - frames.shape[2]
        if short > 0:
            frames = functional.pad(frames, (0, short))
        for layer in self.delays:
            frames = layer(frames).relu()
        lengths = (lengths - self.LOST).clamp(min=1)
        valid = (torch.arange(frames.shape[2], device=frames.device) < lengths[:, None])[:, None].to(frames.dtype)
        mean = (frames * valid).sum(2) / lengths[:, None]
        variance = ((frames - mean[..., None]).square() * valid).sum(2) / lengths[:, None]
        return self.embedding(torch.cat([mean, (variance + 1e-8).sqrt()], dim=1)).relu()

    def forward(self, hidden: torch.Tensor, lengths: torch.Tensor, labels: torch.Tensor) -> Answer:
        """`labels` (B, 1)."""
        vectors = functional.normalize(self.last(self.embed(hidden, lengths)).relu().float(), dim=1)
        cosine = vectors @ functional.normalize(self.speakers, dim=1).T
        margin = self.margin * functional.one_hot(labels[:, 0], len(self.speakers))
        return functional.cross_entropy(self.scale * (cosine - margin), labels[:, 0]), {}, len(labels)


class Diarization(Head):
    """SD: one LSTM and a sigmoid per speaker and frame, trained by the binary cross entropy of the better assignment of
    outputs to speakers (Fujita et al. 2019)."""

    def __init__(self, layers: int, width: int, speakers: int, options: Mapping[str, Any]):
        super().__init__()
        self.sum = WeightedSum(layers, options["normalize"])
        self.recurrent = LSTM(width, options["hidden"], batch_first=True)
        self.classifier = torch.nn.Linear(options["hidden"], speakers)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, L, T, D) → (B, T, speakers)."""
        return self.classifier(self.recurrent(self.sum(hidden))[0])

    def forward(self, hidden: torch.Tensor, lengths: torch.Tensor, activity: torch.Tensor) -> Answer:
        """`activity` (B, T, speakers), 0 or 1. The loss is the mean over frames and speakers."""
        logits = self.logits(hidden).float()
        valid = torch.arange(logits.shape[1], device=logits.device) < lengths.to(logits.device)[:, None]
        orders = [list(order) for order in permutations(range(logits.shape[2]))]
        losses = torch.stack(
            [
                functional.binary_cross_entropy_with_logits(logits, activity[..., order], reduction="none").mean(2)
                for order in orders
            ]
        )
        losses = (losses * valid).sum(2)  # (orders, B)
        if self.counts:
            right = torch.stack([((logits > 0) == (activity[..., order] > 0)).float().mean(2) for order in orders])
            right = (right * valid).sum(2).gather(0, losses.argmin(0)[None])[0]
            return 1 - (right / valid.sum(1)).mean(), {}, len(logits)
        return losses.amin(0).sum() / valid.sum(), {}, int(valid.sum())

    @torch.no_grad()
    def predict(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probability that each speaker speaks (B, T, speakers)."""
        return self.logits(hidden).sigmoid()
