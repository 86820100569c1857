"""The RNN-T loss against enumeration of all alignments, a textbook loop, and finite differences."""

import itertools
import math

import pytest
import torch

from secateur.models.rnnt_loss import lattice_loss, rnnt_loss, step_log_probs, torchaudio_loss

LENGTHS = [(7, 4), (1, 0), (1, 3), (9, 0), (5, 5)]  # (frames, labels)


def problem(lengths=LENGTHS, vocabulary=6, blank=0, dtype=torch.float64, seed=0):
    """Random logits (B, T, U + 1, V), targets (B, U), and lengths."""
    generator = torch.Generator().manual_seed(seed)
    frames, labels = (torch.tensor(column) for column in zip(*lengths, strict=True))
    shape = (len(lengths), int(frames.max()), int(labels.max()) + 1, vocabulary)
    logits = 3 * torch.randn(shape, generator=generator, dtype=dtype)
    targets = torch.randint(0, vocabulary - 1, (shape[0], shape[2] - 1), generator=generator)
    return logits, targets + (targets >= blank), frames, labels


def enumerated(logits, target, blank):
    """−ln P of one utterance: the sum over all orders of T blanks and U labels that end with a blank."""
    log_probs = logits.log_softmax(-1)
    frames, labels = len(logits), len(target)
    paths = []
    for places in itertools.combinations(range(frames + labels - 1), labels):
        t = u = 0
        score = 0.0
        for step in range(frames + labels):
            if step in places:
                score += log_probs[t, u, target[u]].item()
                u += 1
            else:
                score += log_probs[t, u, blank].item()
                t += 1
        assert (t, u) == (frames, labels)
        paths.append(score)
    return -torch.logsumexp(torch.tensor(paths, dtype=torch.float64), 0).item()


def textbook(logits, target, blank):
    """Loss and gradient of one utterance by equations 16 to 20 of Graves 2012, node by node."""
    frames, labels = len(logits), len(target)
    probs = logits.softmax(-1).tolist()
    alpha = [[0.0] * (labels + 1) for _ in range(frames)]
    beta = [[0.0] * (labels + 1) for _ in range(frames)]
    for t in range(frames):
        for u in range(labels + 1):
            if t == u == 0:
                alpha[t][u] = 1.0
                continue
            by_blank = alpha[t - 1][u] * probs[t - 1][u][blank] if t else 0.0
            by_label = alpha[t][u - 1] * probs[t][u - 1][target[u - 1]] if u else 0.0
            alpha[t][u] = by_blank + by_label
    for t in reversed(range(frames)):
        for u in reversed(range(labels + 1)):
            if (t, u) == (frames - 1, labels):
                beta[t][u] = probs[t][u][blank]
                continue
            by_blank = beta[t + 1][u] * probs[t][u][blank] if t + 1 < frames else 0.0
            by_label = beta[t][u + 1] * probs[t][u][target[u]] if u < labels else 0.0
            beta[t][u] = by_blank + by_label
    likelihood = beta[0][0]
    gradient = torch.zeros_like(logits)
    for t in range(frames):
        for u in range(labels + 1):
            by_probability = [0.0] * logits.shape[-1]  # d(−ln P) / d Pr(k | t, u)
            if t + 1 < frames:
                by_probability[blank] = -alpha[t][u] * beta[t + 1][u] / likelihood
            elif u == labels:
                by_probability[blank] = -alpha[t][u] / likelihood
            if u < labels:
                by_probability[target[u]] = -alpha[t][u] * beta[t][u + 1] / likelihood
            mean = sum(p * g for p, g in zip(probs[t][u], by_probability, strict=True))
            for k, p in enumerate(probs[t][u]):
                gradient[t, u, k] = p * (by_probability[k] - mean)
    return -math.log(likelihood), gradient


def loss_and_gradient(logits, *rest, **options):
    logits = logits.clone().requires_grad_()
    losses = rnnt_loss(logits * 1.0, *rest, **options)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    return losses.detach(), gradient


@pytest.mark.parametrize("blank", [0, 5])
def test_loss_sums_all_alignments(blank):
    logits, targets, frames, labels = problem(blank=blank)
    losses = rnnt_loss(logits, targets, frames, labels, blank)
    for i, (t, u) in enumerate(LENGTHS):
        assert losses[i].item() == pytest.approx(enumerated(logits[i, :t], targets[i, :u].tolist(), blank), abs=1e-10)


@pytest.mark.parametrize("reuse_logits", [False, True])
@pytest.mark.parametrize("blank", [0, 5])
def test_loss_and_gradient_follow_the_textbook(blank, reuse_logits):
    logits, targets, frames, labels = problem(blank=blank, seed=1)
    losses, gradient = loss_and_gradient(logits, targets, frames, labels, blank, reuse_logits=reuse_logits)
    for i, (t, u) in enumerate(LENGTHS):
        loss, expected = textbook(logits[i, :t, : u + 1], targets[i, :u].tolist(), blank)
        assert losses[i].item() == pytest.approx(loss, abs=1e-10)
        torch.testing.assert_close(gradient[i, :t, : u + 1], expected, rtol=0, atol=1e-10)
        assert not gradient[i, t:].any()
        assert not gradient[i, :, u + 1 :].any()


def test_gradient_agrees_with_finite_differences():
    logits, targets, frames, labels = problem([(3, 2), (2, 1)], vocabulary=4)
    weights = torch.tensor([0.3, -2.0], dtype=torch.float64)

    def weighted(logits):
        return rnnt_loss(logits, targets, frames, labels) * weights

    assert torch.autograd.gradcheck(weighted, logits.requires_grad_())


@pytest.mark.parametrize("blank", [0, 5])
def test_loss_and_gradient_in_parts_are_those_of_the_whole(blank):
    logits, targets, frames, labels = problem(blank=blank, seed=2)
    losses, gradient = loss_and_gradient(logits, targets, frames, labels, blank)
    logits.requires_grad_()
    parts = [step_log_probs(part, targets, blank) for part in logits.split(4, dim=1)]
    steps = [torch.cat(part, dim=1) for part in zip(*parts, strict=True)]
    in_parts = lattice_loss(*steps, frames, labels)
    torch.testing.assert_close(in_parts, losses, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(in_parts.sum(), logits)[0], gradient, rtol=0, atol=1e-12)


def test_float32_is_close_to_float64_on_long_utterances():
    logits, targets, frames, labels = problem([(300, 80), (200, 60)], vocabulary=8)
    exact, exact_gradient = loss_and_gradient(logits, targets, frames, labels)
    losses, gradient = loss_and_gradient(logits.float(), targets, frames, labels)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses.double(), exact, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=0, atol=1e-4)


def test_half_precision_logits_are_computed_in_float32():
    logits, targets, frames, labels = problem()
    losses = rnnt_loss(logits.bfloat16(), targets, frames, labels)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, rnnt_loss(logits.bfloat16().float(), targets, frames, labels))


def test_padding_changes_nothing():
    logits, targets, frames, labels = problem()
    losses, gradient = loss_and_gradient(logits, targets, frames, labels)
    padded = torch.full((len(LENGTHS), 14, 11, 6), 1e4, dtype=torch.float64)
    padded_targets = torch.full((len(LENGTHS), 10), -1)
    for i, (t, u) in enumerate(LENGTHS):
        padded[i, :t, : u + 1] = logits[i, :t, : u + 1]
        padded_targets[i, :u] = targets[i, :u]
    padded_losses, padded_gradient = loss_and_gradient(padded, padded_targets, frames, labels)
    assert torch.equal(padded_losses, losses)
    for i, (t, u) in enumerate(LENGTHS):
        torch.testing.assert_close(padded_gradient[i, :t, : u + 1], gradient[i, :t, : u + 1], rtol=0, atol=1e-14)
    assert padded_gradient.abs().sum().item() == pytest.approx(gradient.abs().sum().item())


def test_logits_are_overwritten_only_when_allowed_and_never_twice():
    logits, targets, frames, labels = problem()
    for reuse in (False, True):
        source = logits.clone().requires_grad_()
        used = source * 1.0
        total = rnnt_loss(used, targets, frames, labels, reuse_logits=reuse).sum()
        total.backward(retain_graph=True)
        assert torch.equal(used.detach(), logits) != reuse
        if reuse:
            with pytest.raises(RuntimeError, match="inplace"):
                total.backward()


def test_an_installed_kernel_gets_what_it_wants():
    """The kernel here is our own loss, strict about what torchaudio's documentation asks of its arguments."""
    logits, targets, frames, labels = problem(dtype=torch.float32)
    longer, more_targets = logits.repeat(1, 2, 2, 1), targets.repeat(1, 2)  # than any utterance

    def kernel(logits, targets, logit_lengths, target_lengths, blank, clamp, reduction, fused_log_softmax):
        assert logits.dtype == torch.float32
        for tensor in (targets, logit_lengths, target_lengths):
            assert tensor.dtype == torch.int32
        assert all(tensor.is_contiguous() for tensor in (logits, targets, logit_lengths, target_lengths))
        assert logits.shape[1] == logit_lengths.max()
        assert logits.shape[2] == targets.shape[1] + 1 == target_lengths.max() + 1
        assert (clamp, reduction, fused_log_softmax) == (-1, "none", True)
        return rnnt_loss(logits, targets.long(), logit_lengths.long(), target_lengths.long(), blank)

    losses = torchaudio_loss(kernel, longer, more_targets, frames, labels, 0)
    torch.testing.assert_close(losses, rnnt_loss(logits, targets, frames, labels))
