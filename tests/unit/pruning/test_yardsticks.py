"""RigL and movement pruning by hand, on matrices of a few weights."""

import math

import pytest
import torch

from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.mask import Mask
from secateur.pruning.engines.movement import MovementMask
from secateur.pruning.engines.rigl import RigL
from secateur.speech.data import Batch

BATCH = Batch(["u"], ["en"], {})


class Two(torch.nn.Module):
    """Matrices of six and of four weights."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([0.1, -0.2, 0.3, 0.4, 0.5, 0.6]))
        self.b = torch.nn.Parameter(torch.tensor([0.7, -0.05, 0.8, 0.9]))

    def gradients(self, a, b):
        self.a.grad = None if a is None else torch.tensor(a)
        self.b.grad = None if b is None else torch.tensor(b)


def mask(a: str, b: str) -> Mask:
    return Mask.of({name: torch.tensor([bit == "x" for bit in bits]) for name, bits in (("a", a), ("b", b))})


def shown(mask: Mask) -> tuple[str, str]:
    return tuple("".join("x" if bit else "." for bit in mask[name].tolist()) for name in ("a", "b"))


def begun(hook, model, rate=0.0):
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0)
    hook.start(model, optimizer)
    return optimizer


def test_rigl_exchanges_as_many_weights_as_its_schedule_says():
    """α = 0.5 over 10 steps before settling: ¼·(1 + cos(π·2/10)) = 0.452 of four weights is one, of three one."""
    model = Two()
    hook = RigL(mask("xxxx..", ".xxx"), Calendar([0.3], 20, 2, settle=0.5), drop=0.5)
    begun(hook, model)
    assert [hook.share(done) for done in (0, 2, 5, 10)] == pytest.approx(
        [0.5, 0.25 * (1 + math.cos(0.628318)), 0.25, 0]
    )
    gradients = ([0.0, 9.0, 0.0, 0.0, 1.0, -2.0], [-3.0, 0.0, 0.0, 0.0])
    model.gradients(*gradients)
    hook.after_backward(0, BATCH)
    assert shown(hook.mask) == ("xxxx..", ".xxx"), "not at the first step"
    assert model.a.grad.tolist() == [0, 9, 0, 0, 0, 0], "outside the mask nothing is trained"
    model.gradients(*gradients)
    hook.after_backward(1, BATCH)
    # a: 0 (0.1) is the smallest in the mask; of 0, 4 and 5, outside what is left, 5 has the greatest gradient.
    # b: 1 (0.05) goes, 0 comes, though its weight was set to zero.
    assert shown(hook.mask) == (".xxx.x", "x.xx")
    assert model.a.tolist() == pytest.approx([0, -0.2, 0.3, 0.4, 0, 0]) and model.b.tolist() == pytest.approx(
        [0, 0, 0.8, 0.9]
    )
    assert model.a.grad.tolist() == [0, 9, 0, 0, 0, -2] and model.b.grad.tolist() == [-3, 0, 0, 0]
    assert hook.log == [(2, 7, 2, 2)]


def test_a_weight_that_is_dropped_and_grown_at_once_keeps_its_value_and_a_skipped_layer_its_mask():
    model = Two()
    hook = RigL(mask("xxxx..", ".xxx"), Calendar([0.3], 20, 2, settle=0.5), drop=0.5)
    begun(hook, model)
    model.gradients([7.0, 0.0, 0.0, 0.0, 1.0, 2.0], None)
    hook.after_backward(1, BATCH)
    assert shown(hook.mask) == ("xxxx..", ".xxx") and model.a[0].item() == pytest.approx(0.1)
    assert hook.log == [(2, 7, 0, 0)]


def test_rigl_settles_and_every_matrix_keeps_its_number_of_weights():
    torch.manual_seed(0)
    model = Two()
    hook = RigL(mask("xxxx..", "..xx"), Calendar([0.4], 10, 1, settle=0.4), drop=0.9)
    optimizer = begun(hook, model, rate=0.01)
    for step in range(10):
        model.gradients(torch.randn(6).tolist(), torch.randn(4).tolist())
        hook.after_backward(step, BATCH)
        optimizer.step()
        hook.after_update(step, BATCH)
        assert [int(bits.sum()) for bits in hook.mask.values()] == [4, 2]
        hook.mask.check({"a": model.a.detach(), "b": model.b.detach()})
    assert [row[0] for row in hook.log] == [1, 2, 3, 4, 5], "6 of 10 steps, the last of them is fixed"
    assert sum(row[3] for row in hook.log) > 0


def test_a_weight_that_rigl_has_grown_takes_the_first_step_of_a_new_one():
    """Its moments begin when it does: AdamW's first step is the rate, whatever the gradient."""
    model = Two()
    hook = RigL(mask("xxxx..", ".xxx"), Calendar([0.3], 40, 3, settle=0.25), drop=0.5)
    optimizer = begun(hook, model, rate=0.01)
    for step in range(3):
        model.gradients([0.0, 1.0, 1.0, 1.0, 0.0, -2.0], [0.1, 1.0, 1.0, 1.0])
        hook.after_backward(step, BATCH)
        optimizer.step()
        hook.after_update(step, BATCH)
    assert shown(hook.mask)[0] == ".xxx.x"
    assert model.a[5].item() == pytest.approx(0.01, rel=1e-5)


def test_movement_pruning_keeps_what_moves_away_from_zero():
    """S = −Σ g·w by hand, outside the mask, too: a large weight that shrinks leaves, a small one that grows enters."""
    model = Two()
    hook = MovementMask(mask("..xxxx", "x.xx"), Calendar([0.3], 10, 2, settle=0.4))
    begun(hook, model)
    for step in range(2):
        hook.before_forward(step, BATCH)
        assert model.a.tolist()[:2] == [0, 0], "the mask runs"
        model.gradients([-4.0, 1.0, 1.0, 1.0, 1.0, 2.0], [1.0, -9.0, 0.0, 0.0])
        hook.after_backward(step, BATCH)
        assert model.a.grad.tolist() == [0, 0, 1, 1, 1, 2] and model.b.grad.tolist() == [1, 0, 0, 0]
        hook.after_update(step, BATCH)
    # Twice −g·w: a: .8 .4 −.6 −.8 −1 −2.4; b: −1.4 −.9 0 0. Of the ten the greatest seven: not a5, b0 and a4.
    assert [score.tolist() for score in hook.scores.values()] == [
        pytest.approx([0.8, 0.4, -0.6, -0.8, -1.0, -2.4]), pytest.approx([-1.4, -0.9, 0, 0])
    ]  # fmt: skip
    assert shown(hook.mask) == ("xxxx..", ".xxx")
    assert model.a.tolist() == pytest.approx([0.1, -0.2, 0.3, 0.4, 0.5, 0.6]), "what has left keeps its value for now"
    for step in range(2, 6):
        hook.before_forward(step, BATCH)
        model.gradients([0.0] * 6, [0.0] * 4)
        hook.after_backward(step, BATCH)
        hook.after_update(step, BATCH)
    assert hook.settled and model.a.tolist() == pytest.approx([0.1, -0.2, 0.3, 0.4, 0, 0])
