"""The RNN-T loss (Graves 2012, "Sequence transduction with recurrent neural networks"), exact, in plain torch.

The lattice of an utterance has nodes (t, u): t frames consumed, u labels put out. From (t, u) a blank leads to
(t + 1, u) and the label y[u] to (t, u + 1); the last step is a blank at (T − 1, U). With α the log-probability of
reaching a node and β that of finishing from it (section 2.4), −ln P(y|x) = −β(0, 0).

Nodes on an anti-diagonal t + u = d depend only on the one before, so α is found in T + U vector operations. β is α on
the reversed lattice: both run in the same operations, as a batch of twice the size, in float64.
"""

from collections.abc import Callable

import torch

_NEVER = float("-inf")


def rnnt_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    logit_lengths: torch.Tensor,
    target_lengths: torch.Tensor,
    blank: int = 0,
    reuse_logits: bool = False,
) -> torch.Tensor:
    """−ln P(y|x) of each utterance (B,), in nats.

    Args:
        logits: (B, T, U + 1, V), before the softmax. Float64 stays so; anything else is taken as float32.
        targets: (B, U) label indices, without blank; what stands beyond an utterance's length is ignored.
        logit_lengths: frames of each utterance (B,), at least 1.
        target_lengths: labels of each utterance (B,), 0 or more.
        reuse_logits: write the gradient over the logits. The caller must not read them again, and whatever made them
            must not need its output for its own gradient (a linear layer does not). A second backward is an error.

    On a GPU the kernel of an installed torchaudio is used.
    """
    if not logits.dtype.is_floating_point or logits.dtype.itemsize < 4:
        logits = logits.float()
    targets = targets.clamp(min=0)
    if logits.is_cuda and logits.dtype == torch.float32:
        kernel = _installed_kernel()
        if kernel is not None:
            return torchaudio_loss(kernel, logits, targets, logit_lengths, target_lengths, blank)
    return _RNNTLoss.apply(logits, targets, logit_lengths, target_lengths, blank, reuse_logits)


def torchaudio_loss(
    kernel: Callable[..., torch.Tensor],
    logits: torch.Tensor,
    targets: torch.Tensor,
    logit_lengths: torch.Tensor,
    target_lengths: torch.Tensor,
    blank: int,
) -> torch.Tensor:
    """The losses (B,) by `kernel`, called as `torchaudio.functional.rnnt_loss` wants it; arguments as `rnnt_loss`."""
    frames, labels = logit_lengths.max(), target_lengths.max()
    logits = logits[:, :frames, : labels + 1].contiguous()
    integers = (
        tensor.to(logits.device, torch.int32).contiguous()
        for tensor in (targets[:, :labels], logit_lengths, target_lengths)
    )
    return kernel(logits, *integers, blank=blank, clamp=-1, reduction="none", fused_log_softmax=True)


def _installed_kernel() -> Callable[..., torch.Tensor] | None:
    try:
        from torchaudio.functional import rnnt_loss as kernel
    except (ImportError, OSError, RuntimeError):  # not there, or built for another torch
        return None
    return kernel


def step_log_probs(logits: torch.Tensor, targets: torch.Tensor, blank: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """ln P of the blank and of the next label at every node, (B, T, U + 1) each; −inf after the last label.

    Arguments as for `rnnt_loss`; T may be a part of the frames.
    """
    labels = targets[:, None, :, None].expand(-1, logits.shape[1], -1, 1)
    normalizer = torch.logsumexp(logits, dim=-1)
    log_label = logits[:, :, :-1].gather(3, labels)[..., 0] - normalizer[:, :, :-1]
    return logits[..., blank] - normalizer, torch.nn.functional.pad(log_label, (0, 1), value=_NEVER)


def lattice_loss(
    log_blank: torch.Tensor, log_label: torch.Tensor, logit_lengths: torch.Tensor, target_lengths: torch.Tensor
) -> torch.Tensor:
    """−ln P(y|x) of each utterance (B,) from what `step_log_probs` gives.

    For lattices whose logits are too large to keep: they can be made, a part of the frames at a time, twice.
    """
    return _LatticeLoss.apply(log_blank, log_label, logit_lengths, target_lengths)


class _LatticeLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, log_blank, log_label, logit_lengths, target_lengths):
        likelihood, *steps = _forward_backward(log_blank, log_label, logit_lengths, target_lengths)
        ctx.save_for_backward(*steps)
        return -likelihood.to(log_blank.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, scale):
        through_blank, through_label = (steps * -scale[:, None, None] for steps in ctx.saved_tensors)
        return through_blank, through_label, None, None


class _RNNTLoss(torch.autograd.Function):
    """Keeps one tensor of the size of the logits: they themselves, over which the gradient may be written."""

    @staticmethod
    def forward(ctx, logits, targets, logit_lengths, target_lengths, blank, reuse_logits):
        log_blank, log_label = step_log_probs(logits, targets, blank)
        likelihood, *steps = _forward_backward(log_blank, log_label, logit_lengths, target_lengths)
        # The normaliser is what the blank's logit has lost.
        ctx.save_for_backward(logits, logits[..., blank] - log_blank, targets, *steps)
        ctx.blank, ctx.reuse_logits = blank, reuse_logits
        return -likelihood.to(logits.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, scale):
        logits, normalizer, targets, *steps = ctx.saved_tensors
        through_blank, through_label = (taken * scale[:, None, None] for taken in steps)
        # d(−ln P)/d logit_v = softmax_v · P(through the node) − P(through the node by v)
        gradient = torch.sub(logits, normalizer[..., None], out=logits if ctx.reuse_logits else None)
        gradient.exp_().mul_((through_blank + through_label)[..., None])
        gradient[..., ctx.blank] -= through_blank
        labels = targets[:, None, :, None].expand(-1, logits.shape[1], -1, 1)
        gradient[:, :, :-1].scatter_add_(3, labels, -through_label[:, :, :-1, None])
        return gradient, None, None, None, None, None


def _forward_backward(
    log_blank: torch.Tensor, log_label: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ln P(y|x) (B,), and P(blank taken at a node | y) and P(label taken there | y), (B, T, U + 1) each."""
    dtype = log_blank.dtype
    log_blank, log_label = log_blank.double(), log_label.double()
    alpha, beta = _alpha_beta(log_blank, log_label, frames, labels)
    likelihood = beta[:, 0, 0]
    # From α where a step begins, its probability, and β where it ends (Graves 2012, eq. 20).
    start = alpha - likelihood[:, None, None]
    end = torch.nn.functional.pad(beta, (0, 1, 0, 1), value=_NEVER)
    end[torch.arange(len(end), device=end.device), frames, labels] = 0.0
    through_blank = (start + log_blank + end[:, 1:, :-1]).exp()
    through_label = (start + log_label + end[:, :-1, 1:]).exp()
    return likelihood, through_blank.to(dtype), through_label.to(dtype)


def _alpha_beta(
    log_blank: torch.Tensor, log_label: torch.Tensor, frames: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """α and β (B, T, U + 1), −inf outside an utterance's lattice, from the log-probabilities of the steps (same shape).

    β includes the step that leaves its node, α does not include it.
    """
    batch, height, width = log_blank.shape
    t = torch.arange(height, device=log_blank.device)[None, :, None]
    u = torch.arange(width, device=log_blank.device)[None, None, :]
    last_t, last_u = (frames - 1)[:, None, None], labels[:, None, None]
    inside = (t <= last_t) & (u <= last_u)
    # Reversed, node (t, u) becomes (last_t − t, last_u − u), and what a step costs is read where it ends.
    flipped = ((last_t - t).clamp(min=0) * width + (last_u - u).clamp(min=0)).flatten(1)

    def flip(values: torch.Tensor) -> torch.Tensor:
        return values.flatten(1).gather(1, flipped).view_as(values)

    def enter(values: torch.Tensor, dimension: int) -> torch.Tensor:
        """The cost of the step into each node, when `values` are read where it begins."""
        edge = torch.full_like(values.narrow(dimension, 0, 1), _NEVER)
        return torch.cat([edge, values.narrow(dimension, 0, values.shape[dimension] - 1)], dimension)

    down = torch.cat([enter(log_blank, 1), flip(log_blank).masked_fill(t == 0, _NEVER)])
    right = torch.cat([enter(log_label, 2), flip(log_label).masked_fill(u == 0, _NEVER)])
    both = inside.repeat(2, 1, 1)
    first = torch.cat([torch.zeros_like(log_blank[:, 0, 0]), flip(log_blank)[:, 0, 0]])
    reached = _reach(down.masked_fill(~both, _NEVER), right.masked_fill(~both, _NEVER), first)
    alpha, beta = reached[:batch], reached[batch:]
    return alpha, flip(beta).masked_fill(~inside, _NEVER)


def _reach(down: torch.Tensor, right: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Log-probability of reaching every node (B, T, W), (0, 0) being reached with `first` (B,).

    `down` and `right` (B, T, W) are the log-probabilities of the steps into a node from (t − 1, u) and (t, u − 1).
    """
    batch, height, width = down.shape
    diagonals = height + width - 1
    down, right = _skew(down), _skew(right)
    # One more column on the left: a step from there is impossible.
    reached = down.new_full((diagonals, batch, width + 1), _NEVER)
    reached[0, :, 1] = first
    for d in range(1, diagonals):
        before = reached[d - 1]
        torch.logaddexp(before[:, 1:] + down[d], before[:, :-1] + right[d], out=reached[d, :, 1:])
    t = torch.arange(height, device=down.device)[:, None]
    u = torch.arange(width, device=down.device)[None, :]
    return reached[t + u, :, u + 1].permute(2, 0, 1)


def _skew(values: torch.Tensor) -> torch.Tensor:
    """(B, T, W) → (T + W − 1, B, W): anti-diagonal t + u first; −inf where it lies outside."""
    batch, height, width = values.shape
    rows = torch.nn.functional.pad(values.transpose(1, 2), (0, width), value=_NEVER)  # (B, W, T + W)
    # Read with rows one shorter, each row moves one place to the right of the one above it.
    rows = rows.reshape(batch, -1)[:, : width * (height + width - 1)].view(batch, width, height + width - 1)
    return rows.permute(2, 0, 1).contiguous()
