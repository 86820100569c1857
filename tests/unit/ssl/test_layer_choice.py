"""Layers of self-supervised encoders by how far the output is from the whole encoder's, against a count by hand."""

import pytest
import torch
from gated_student import LAYERS

from secateur.core.errors import SecateurError
from secateur.models.upstream.encoder import Encoder
from secateur.speech.data import Batch
from secateur.ssl.layer_choice import EncoderScorer, chosen, kept
from secateur.ssl.students import make_student


@pytest.fixture
def encoder(tiny):
    torch.manual_seed(0)
    return Encoder(tiny).eval()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    found = []
    for lengths in ([6000, 3000], [5000]):
        waves = torch.randn(len(lengths), max(lengths), generator=generator)
        for wave, length in zip(waves, lengths, strict=True):
            wave[length:] = 0
        names = [f"u{length}" for length in lengths]
        found.append(Batch(names, [""] * len(names), {"waveforms": waves, "lengths": torch.tensor(lengths)}))
    return found


@torch.no_grad()
def distance(encoder, layers, batches):
    """Mean over utterances, each by itself, of a copy with these layers."""
    smaller, apart = kept(encoder, layers).eval(), []
    for batch in batches:
        for wave, length in zip(batch.tensors["waveforms"], batch.tensors["lengths"].tolist(), strict=True):
            given = wave[None, :length], torch.tensor([length])
            wanted, found = encoder(*given)[0][-1], smaller(*given)[0][-1]
            apart.append(float((found - wanted).square().sum() / wanted.square().sum()))
    return sum(apart) / len(apart)


def test_scores_are_distances_of_smaller_copies_utterance_by_utterance(encoder, batches):
    scorer, models = EncoderScorer(encoder, batches), [(1, 2, 3), (1, 3), (2, 3), (2,)]
    scores = scorer.score(models)
    for layers, score in zip(models, scores, strict=True):
        assert scorer.mean(score) == pytest.approx(distance(encoder, layers, batches), rel=1e-4, abs=1e-9)
        assert len(score.each) == 3
    assert scorer.mean(scores[0]) == 0.0 and len(encoder.encoder.layers) == 3


def test_greedy_keeps_what_is_nearest_one_after_another(encoder, batches):
    pairs = {layers: distance(encoder, layers, batches) for layers in ((1, 2), (1, 3), (2, 3))}
    best = min(pairs, key=pairs.get)
    assert chosen(encoder, "greedy", 2, batches) == list(best)
    assert chosen(encoder, "greedy", 1, batches) == [min(best, key=lambda layer: distance(encoder, [layer], batches))]


def test_a_layer_that_does_nothing_goes_first(encoder, batches):
    """Layer 2 hands on what it is given: both of its blocks add nothing, and its norms see what is normalised."""
    layer = encoder.encoder.layers[1]
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "norm" not in name:
                parameter.zero_()
    assert chosen(encoder, "greedy", 2, batches) == [1, 3]
    assert chosen(encoder, "truncate", 2, batches) == [1, 2]


def test_a_student_has_the_chosen_layers_of_its_teacher(encoder):
    student = make_student(encoder, LAYERS, [1, 3]).student
    whole = encoder.encoder.layers
    for mine, theirs in zip(student.encoder.layers, (whole[0], whole[2]), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
    assert student.config.num_hidden_layers == 2 and len(student.config.shapes) == 2


def test_what_cannot_be_chosen_is_refused(encoder, batches):
    with pytest.raises(SecateurError, match="strategy 'svcca' needs the layers compared before"):
        chosen(encoder, "svcca", 2, batches)
    with pytest.raises(SecateurError, match="layers: 4; keep from 1 to 3 of the teacher's layers"):
        chosen(encoder, "greedy", 4, batches)
    with pytest.raises(SecateurError, match="layers: 0; keep from 1 to 3"):
        kept(encoder, [])
