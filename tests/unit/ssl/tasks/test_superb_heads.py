"""The heads by their definitions."""

import math

import pytest
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from secateur.ssl.tasks.heads import BiLSTM, Diarization, FrameCTC, Pooled, RecurrentCTC, WeightedSum, XVector, stacked

LINEAR = {"projection": 5, "normalize": False}
XVECTOR = LINEAR | {"hidden": 6, "pooled": 7, "scale": 30.0, "margin": 0.4}
SPECAUG = {"frequency_masks": 0, "frequency_width": 0, "time_masks": 1, "time_width": 0.5}
RECURRENT = LINEAR | {"stack": 2, "layers": 2, "hidden": 4, "dropout": 0.0, "specaug": SPECAUG}


def test_a_weighted_sum_by_hand():
    layer = WeightedSum(3)
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 5.0], [8.0, 2.0]]])  # (1, 3, 2)
    torch.testing.assert_close(layer(hidden), torch.tensor([[4.0, 3.0]]))
    with torch.no_grad():
        layer.weights.copy_(torch.tensor([math.log(1.0), math.log(2.0), math.log(5.0)]))
    torch.testing.assert_close(layer(hidden), torch.tensor([[(1 + 6 + 40) / 8, (2 + 10 + 10) / 8]]))
    assert layer.shares() == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_normalising_layers_takes_out_their_scale():
    hidden = torch.randn(2, 3, 7, 4)
    scaled = hidden * torch.tensor([1.0, 50.0, 4.0])[:, None, None]
    torch.testing.assert_close(WeightedSum(3, True)(scaled), WeightedSum(3, True)(hidden), rtol=1e-2, atol=1e-3)
    assert not torch.allclose(WeightedSum(3)(scaled), WeightedSum(3)(hidden), rtol=1e-2, atol=1e-3)


def test_pooling_before_the_projection_equals_pooling_after_it():
    """What is kept of a clip, the mean over time of each layer, is all that SUPERB's head needs."""
    head, hidden = Pooled(3, 4, [2, 5], 6), torch.randn(2, 3, 9, 4)
    after = head.classifier(head.projector(head.sum(hidden)).mean(1)).split([2, 5], dim=1)
    for found, expected in zip(head.logits(hidden.mean(2)), after, strict=True):
        torch.testing.assert_close(found, expected)


def test_the_loss_of_several_slots_is_their_sum_and_classes_may_be_weighted():
    head, hidden = Pooled(1, 4, [2, 3], 6), torch.randn(5, 1, 4)
    labels = torch.tensor([[0, 2], [1, 1], [1, 0], [1, 2], [0, 0]])
    first, second = head.logits(hidden)
    expected = functional.cross_entropy(first, labels[:, 0]) + functional.cross_entropy(second, labels[:, 1])
    torch.testing.assert_close(head(hidden, labels)[0], expected)
    assert head(hidden, labels)[2] == 5
    weighted = Pooled(1, 4, [2, 3], 6, weights=[torch.tensor([1.0, 3.0]), torch.ones(3)])
    weighted.load_state_dict(head.state_dict())
    expected = functional.cross_entropy(first, labels[:, 0], torch.tensor([1.0, 3.0])) + functional.cross_entropy(
        second, labels[:, 1]
    )
    torch.testing.assert_close(weighted(hidden, labels)[0], expected)


def test_a_bidirectional_lstm_equals_torchs_on_packed_sequences():
    ours, theirs = BiLSTM(3, 4), torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    halves = [(ours.ahead, ""), (ours.back, "_reverse")]
    with torch.no_grad():
        for half, suffix in halves:
            for name, value in half.named_parameters():
                value.copy_(getattr(theirs, name + suffix))
    frames, lengths = torch.randn(3, 8, 3), torch.tensor([8, 3, 6])
    packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    valid = torch.arange(8) < lengths[:, None]
    torch.testing.assert_close(ours(frames, lengths)[valid], expected[valid])


def test_stacking_puts_neighbours_side_by_side():
    frames = torch.arange(10.0).view(1, 5, 2)
    found, lengths = stacked(frames, torch.tensor([5]), 2)
    assert found.tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]] and lengths.tolist() == [3]


@pytest.mark.parametrize("kind", [FrameCTC, RecurrentCTC])
def test_a_clip_is_recognised_alike_in_any_batch(kind):
    head = kind(2, 4, 6, RECURRENT).eval()
    hidden, lengths = torch.randn(3, 2, 12, 4), torch.tensor([12, 6, 9])
    for row, length in enumerate(lengths.tolist()):
        hidden[row, :, length:] = 0.0
    together, counts = head.scores(hidden, lengths)
    alone, count = head.scores(hidden[1:2, :, :6], lengths[1:2])
    assert counts[1] == count[0]
    torch.testing.assert_close(together[1, : count[0]], alone[0])
    assert alone.exp().sum(2).allclose(torch.ones(1), atol=1e-5)


def test_specaugment_masks_in_training_only():
    head, hidden, lengths = RecurrentCTC(2, 4, 6, RECURRENT), torch.randn(2, 2, 40, 4), torch.tensor([40, 40])
    head.eval()
    torch.testing.assert_close(head.logits(hidden, lengths)[0], head.logits(hidden, lengths)[0])
    head.train()
    torch.manual_seed(1)
    assert not torch.allclose(head.logits(hidden, lengths)[0], head.logits(hidden, lengths)[0])


def test_additive_margin_softmax_by_its_formula():
    """Wang et al. 2018, eq. 5: −log e^{s(cos − m)} / (e^{s(cos − m)} + Σ_{j ≠ y} e^{s·cos_j})."""
    head = XVector(2, 4, 3, XVECTOR)
    hidden, lengths, labels = torch.randn(2, 2, 30, 4), torch.tensor([30, 25]), torch.tensor([[2], [0]])
    loss, _, weight = head(hidden, lengths, labels)
    vectors = functional.normalize(head.last(head.embed(hidden, lengths)).relu(), dim=1)
    cosine = vectors @ functional.normalize(head.speakers, dim=1).T
    expected = 0.0
    for row, label in zip(cosine.tolist(), (2, 0), strict=True):
        own = math.exp(30 * (row[label] - 0.4))
        others = sum(math.exp(30 * value) for place, value in enumerate(row) if place != label)
        expected -= math.log(own / (own + others)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-4) and weight == 2


def test_an_embedding_does_not_depend_on_padding_and_short_clips_have_one():
    head = XVector(2, 4, 3, XVECTOR).eval()
    hidden = torch.randn(1, 2, 20, 4)
    padded = functional.pad(hidden, (0, 0, 0, 15))
    torch.testing.assert_close(head.embed(padded, torch.tensor([20])), head.embed(hidden, torch.tensor([20])))
    assert head.embed(hidden[:, :, :3], torch.tensor([3])).isfinite().all()
    assert XVector.LOST == 4 + 4 + 6


def test_diarization_takes_the_better_assignment_of_every_clip():
    head = Diarization(1, 2, 2, LINEAR | {"hidden": 3})
    hidden, lengths = torch.randn(2, 1, 6, 2), torch.tensor([6, 4])
    activity = (torch.rand(2, 6, 2) < 0.5).float()
    loss, _, weight = head(hidden, lengths, activity)
    logits = head.logits(hidden)
    total = 0.0
    for row, length in enumerate((6, 4)):
        total += min(
            functional.binary_cross_entropy_with_logits(
                logits[row, :length], activity[row, :length, order], reduction="sum"
            ).item()
            / 2
            for order in ([0, 1], [1, 0])
        )
    assert loss.item() == pytest.approx(total / 10) and weight == 10
    swapped = activity.clone()
    swapped[1] = swapped[1].flip(1)
    assert head(hidden, lengths, swapped)[0].item() == pytest.approx(loss.item())
