"""Learning from the whole model: the divergence by hand, and the loss as the formula has it."""

import copy

import pytest
import torch
from small_models import HYBRID, TRANSFORMER, make_batch, make_model
from tiny import TRAINING

from secateur.core.errors import SecateurError
from secateur.core.options import read
from secateur.training.distillation import Distillation, divergence
from secateur.training.optimizer import make_optimizer
from secateur.training.options import TrainingOptions


def test_the_divergence_by_hand():
    """P = (1/2, 1/2) and Q = (1/4, 3/4): ln 2 − ½·ln 3 + … = ½·ln(2) + ½·ln(2/3) nats a frame; padding is left out."""
    wanted = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.9, 0.1]]]).log()
    found = torch.tensor([[[0.25, 0.75], [0.5, 0.5]], [[0.25, 0.75], [0.2, 0.8]]]).log() + 3.0  # logits of any height
    each = 0.5 * torch.tensor(2.0).log() + 0.5 * torch.tensor(2 / 3).log()
    # First utterance: one frame differs, one does not; second: one frame, and one of padding. Mean of two.
    torch.testing.assert_close(divergence(wanted, found, torch.tensor([2, 1])), each)
    found.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda logits: divergence(wanted.double(), logits, torch.tensor([2, 1])).double(), found.double(), atol=1e-2,
        eps=1e-2, rtol=0.05,
    )  # fmt: skip


@pytest.fixture(params=["ctc", "hybrid"])
def pair(request):
    """A model and another, neither with dropout."""
    config = {"ctc": TRANSFORMER, "hybrid": HYBRID}[request.param]
    teacher = make_model(config | {"stochastic_depth": 0.0})
    for module in teacher.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    teacher.ctc.dropout_rate = 0.0
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        student.encoder.after_norm.bias += 0.3
    return teacher.eval(), student


def test_the_loss_is_a_mixture_and_evaluation_is_as_before(pair):
    teacher, student = pair
    tensors = make_batch().tensors
    student.eval()
    with torch.no_grad():
        before = student(**tensors)[0].item()
        (ours, lengths), (wanted, _) = (one.encode(tensors["speech"], tensors["speech_lengths"]) for one in pair[::-1])
        ours, wanted = (one[0] if isinstance(one, tuple) else one for one in (ours, wanted))
        logits = [one.ctc.ctc_lo(out).log_softmax(-1) for one, out in ((teacher, wanted), (student, ours))]
        far = sum(
            torch.nn.functional.kl_div(mine[:length], theirs[:length], reduction="sum", log_target=True)
            for theirs, mine, length in zip(*logits, lengths.tolist(), strict=True)
        ) / len(lengths)  # fmt: skip
    own = before  # without dropout
    losses = {}
    for weight in (0.0, 0.5, 1.0):
        one = copy.deepcopy(student)
        hook = Distillation(one, teacher, weight)
        hook.start(one, make_optimizer(one, read(TrainingOptions, TRAINING)))
        assert one.eval()(**tensors)[0].item() == before
        losses[weight] = one.train()(**tensors)[0].item()
    assert losses[0.0] == pytest.approx(own, rel=1e-5)
    assert losses[0.5] == pytest.approx((losses[0.0] + losses[1.0]) / 2, rel=1e-5)
    if getattr(student, "decoder", None) is None:
        assert losses[1.0] == pytest.approx(far.item(), rel=1e-4)
    else:
        assert losses[1.0] > student.ctc_weight * far.item()  # and the decoder's part


def test_a_copy_of_the_teacher_has_nothing_to_learn(pair):
    teacher, _ = pair
    twin, tensors = copy.deepcopy(teacher), make_batch().tensors
    Distillation(twin, teacher, 1.0).start(twin, make_optimizer(twin, read(TrainingOptions, TRAINING)))
    assert twin.train()(**tensors)[0].item() == pytest.approx(0.0, abs=1e-4)


def test_a_model_without_a_ctc_head_is_refused():
    with pytest.raises(SecateurError, match="no CTC head"):
        Distillation(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), 0.5)
