from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import IGNORED
from secateur.ssl.options import PredictionOptions
from secateur.ssl.pretraining import MaskedPrediction, draw_masks

HEAD = PredictionOptions(
    clusters=7, codeword=5, temperature=0.1, mask_probability=0.08, mask_length=4, masked_weight=0.75
)


def test_masks_are_spans_at_the_stated_rate_within_each_utterance():
    torch.manual_seed(0)
    frames = torch.tensor([500] * 200)
    masked = draw_masks(frames, 500, 0.08, 10)
    # A frame is free if no span starts at it or at one of the nine before it.
    assert masked[:, 20:].float().mean().item() == pytest.approx(1 - 0.92**10, abs=0.01)
    for row in masked:
        padded = functional.pad(row.long(), (1, 1))
        begins = torch.nonzero(padded[1:] - padded[:-1] == 1)[:, 0]
        ends = torch.nonzero(padded[1:] - padded[:-1] == -1)[:, 0]
        assert (ends - begins)[ends < 500].min() >= 10


def test_every_utterance_has_a_mask_and_none_reaches_into_the_padding():
    torch.manual_seed(0)
    frames = torch.randint(1, 60, (300,))
    masked = draw_masks(frames, 60, 0.001, 10)
    assert masked.any(1).all()
    assert not masked[torch.arange(60) >= frames[:, None]].any()
    assert len({int(row.int().argmax()) for row in masked}) > 20


@pytest.fixture
def prediction(tiny):
    torch.manual_seed(0)
    model = MaskedPrediction(Encoder(tiny), HEAD).eval()
    waveforms, lengths = torch.randn(3, 8000), torch.tensor([8000, 8000, 5000])
    targets = torch.randint(7, (3, 26))
    targets[2, 14:] = IGNORED
    return model, waveforms, lengths, targets


@torch.no_grad()
def test_loss_by_hand(prediction):
    """Frame by frame: cosine similarities over the temperature, and α between masked and other frames."""
    model, waveforms, lengths, targets = prediction
    loss, statistics, weight = model(waveforms, lengths, targets)
    features, frames = model.encoder.features(waveforms, lengths)
    masked = draw_masks(frames, features.shape[1], 0.08, 4, torch.Generator().manual_seed(0))
    hidden = model.encoder.contextualize(features, frames, masked)[-1]
    losses, right = {True: [], False: []}, []
    for index in range(3):
        for frame in range(min(int(frames[index]), 26)):
            if targets[index, frame] == IGNORED:
                continue
            query = model.projection(hidden[index, frame])
            cosines = torch.stack([functional.cosine_similarity(query, word, dim=0) for word in model.codewords])
            hidden_frame = bool(masked[index, frame])
            losses[hidden_frame].append(-(cosines / 0.1).log_softmax(0)[targets[index, frame]].item())
            if hidden_frame:
                right.append(float(cosines.argmax() == targets[index, frame]))
    wanted = sum(share * sum(found) / len(found) for share, found in ((0.75, losses[True]), (0.25, losses[False])))
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    assert int(weight) == len(losses[True]) + len(losses[False])
    assert statistics["accuracy"].item() == pytest.approx(sum(right) / len(right))
    assert model(waveforms, lengths, targets)[0] == loss


@torch.no_grad()
def test_a_masked_frame_is_not_seen_through_the_projection(prediction):
    """All frames masked: the input of the layers is the same whatever the speech."""
    model, waveforms, lengths, _ = prediction
    features, frames = model.encoder.features(waveforms, lengths)
    masked = torch.ones(features.shape[:2], dtype=torch.bool)
    first = model.encoder.contextualize(features, frames, masked)[-1]
    second = model.encoder.contextualize(torch.randn_like(features), frames, masked)[-1]
    torch.testing.assert_close(first[0], second[0])


def test_it_learns_what_can_be_known(tiny):
    """Two tones in turn, whose targets are their numbers: the model is sure of them after some steps."""
    torch.manual_seed(0)
    model = MaskedPrediction(Encoder(tiny), replace(HEAD, clusters=2))
    seconds = torch.arange(12800) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * hertz * seconds) for hertz in (400.0, 2500.0)])
    targets = torch.tensor([[0] * 39, [1] * 39])
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(60):
        loss, statistics, _ = model(tones + 0.01 * torch.randn(2, 12800), torch.tensor([12800, 12800]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert statistics["accuracy"] == 1 and loss < 0.1
