import itertools

import numpy as np
import pytest
import torch
from small_models import CONFORMER, make_model
from tiny import with_encoder

from secateur.core.errors import SecateurError
from secateur.layers.hidden import layer_outputs
from secateur.models.upstream.encoder import Encoder
from secateur.speech.features import log_mel
from secateur.ssl.clusters import (
    assign,
    differences,
    in_batches,
    kmeans,
    layer_frames,
    mfcc,
    read_targets,
    sampled,
    write_targets,
)
from secateur.ssl.guides import guide_frames


def blobs(count=300, clusters=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 20 * torch.randn(clusters, 3, generator=generator)
    labels = torch.arange(count) % clusters
    return centres[labels] + 0.1 * torch.randn(count, 3, generator=generator), labels


def test_one_iteration_of_lloyd_by_hand():
    """Two clusters on a line: from any two starts they end at the means of the two groups."""
    frames = torch.tensor([[0.0], [1.0], [2.0], [10.0], [12.0]])
    for seed in range(5):
        centres, history = kmeans(frames, 2, seed)
        assert sorted(centres[:, 0].tolist()) == [1.0, 11.0]
        assert history[-1] == pytest.approx((1 + 0 + 1 + 1 + 1) / 5)
    labels, distances = assign(frames, torch.tensor([[1.0], [11.0]]))
    assert labels.tolist() == [0, 0, 0, 1, 1] and distances.tolist() == [1, 0, 1, 1, 1]


def test_separate_groups_are_found_and_the_distance_never_rises():
    frames, groups = blobs()
    for seed in range(5):
        centres, history = kmeans(frames, 6, seed)
        labels, _ = assign(frames, centres)
        assert len({(int(label), int(group)) for label, group in zip(labels, groups, strict=True)}) == 6
        assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(history))
        for label in range(6):
            torch.testing.assert_close(centres[label], frames[labels == label].mean(0), rtol=1e-4, atol=1e-4)
    again, _ = kmeans(frames, 6, 0)
    assert torch.equal(again, kmeans(frames, 6, 0)[0])


def test_frames_that_are_all_alike_make_no_nan():
    frames = torch.cat([torch.zeros(50, 2), torch.ones(3, 2)])
    centres, _ = kmeans(frames, 4, 0)
    assert centres.isfinite().all()
    with pytest.raises(SecateurError, match="53 frames cannot make 54 clusters"):
        kmeans(frames, 54, 0)


def test_distances_do_not_depend_on_the_chunks(monkeypatch):
    frames, _ = blobs()
    whole = assign(frames, frames[:7])
    wanted = torch.cdist(frames.double(), frames[:7].double()).square().min(1)
    torch.testing.assert_close(whole[1].double(), wanted.values, rtol=1e-3, atol=1e-3)
    assert torch.equal(whole[0], wanted.indices)
    monkeypatch.setattr("secateur.ssl.clusters.CHUNK", 11)
    assert torch.equal(whole[0], assign(frames, frames[:7])[0])


def test_mfccs_are_kaldis_and_aligned_with_frames(noise):
    """Log-mel energies by hand, their cosine transform and lifter; frame t begins at sample 320 t."""
    samples = noise(0.5, 1)
    found = mfcc(samples, 320)
    assert found.shape == ((8000 - 400) // 160 // 2 + 1, 39)
    shifted = mfcc(samples[320:], 320)
    np.testing.assert_allclose(found[3:-3, :13], shifted[2:-3, :13], atol=1e-3)
    from secateur.speech.features import log_mel

    mel = log_mel(samples, 23)
    places = np.arange(23) + 0.5
    transform = np.stack([np.cos(np.pi / 23 * k * places) * np.sqrt((2 if k else 1) / 23) for k in range(13)])
    lifter = 1 + 0.5 * 22 * np.sin(np.pi * np.arange(13) / 22)
    wanted = (mel @ transform.T * lifter)[::2]
    np.testing.assert_allclose(found[:, 1:13], wanted[:, 1:], atol=0.02)  # the first is the energy
    with pytest.raises(SecateurError, match="frames every 200 samples"):
        mfcc(samples, 200)


def test_differences_by_hand():
    frames = np.array([[0.0], [1.0], [4.0], [9.0], [16.0]], np.float32)
    wanted = [(1 - 0 + 2 * (4 - 0)) / 10, (4 - 0 + 2 * (9 - 0)) / 10, (9 - 1 + 2 * (16 - 0)) / 10]
    np.testing.assert_allclose(differences(frames)[:3, 0], wanted, rtol=1e-6)


def test_targets_are_the_nearest_centres_of_every_frame(tmp_path, noise, tiny):
    torch.manual_seed(0)
    encoder = Encoder(tiny).eval()
    frames = layer_frames(encoder, 2, torch.device("cpu"))
    waves = {"long": noise(0.6, 1), "short": noise(0.2, 2), "none": noise(0.01, 3)}
    batches = [(list(waves)[:2], list(waves.values())[:2]), (["none"], [waves["none"]])]
    wanted = encoder(torch.from_numpy(waves["long"])[None], torch.tensor([9600]))[0][2][0]
    for matrix, alone in zip(frames(batches[0][1]), (frames([wave])[0] for wave in batches[0][1]), strict=True):
        np.testing.assert_allclose(matrix, alone, atol=1e-5)
    np.testing.assert_allclose(frames([waves["long"]])[0], wanted.detach(), atol=1e-6)
    collected = sampled(batches, frames, 33)
    assert len(collected) == 33
    torch.testing.assert_close(collected[: len(wanted)], wanted.detach())
    centres, _ = kmeans(collected, 5, 0)
    counts = write_targets(tmp_path, batches, frames, centres)
    found = read_targets(tmp_path)
    labels = assign(wanted.detach(), centres)[0]
    assert found["long"].dtype == np.int32 and found["long"].tolist() == labels.tolist()
    assert found["none"].shape == (0,) and counts.sum() == len(found["long"]) + len(found["short"])
    with pytest.raises(SecateurError, match=r"nowhere/targets\.scp: no such file"):
        read_targets(tmp_path / "nowhere")

    archive = tmp_path / "targets.ark"
    content = bytearray(archive.read_bytes())
    starts = [int(line.rpartition(":")[2]) for line in (tmp_path / "targets.scp").read_text().splitlines()]
    content[starts[0] + 12] ^= 1  # another cluster
    archive.write_bytes(content)
    with pytest.raises(SecateurError, match=r"the targets of 'long' are damaged; delete the folder and run again"):
        read_targets(tmp_path)["long"]
    np.testing.assert_array_equal(read_targets(tmp_path)["short"], found["short"])
    archive.write_bytes(content[: starts[1] + 20])
    (tmp_path / "targets.scp").write_text("".join((tmp_path / "targets.scp").read_text().splitlines(True)[:2]))
    with pytest.raises(SecateurError, match=r"the targets of 'short' are damaged"):
        read_targets(tmp_path)["short"]


def test_batches_keep_the_order_and_their_size():
    lengths = {"a": 5, "b": 3, "c": 3, "d": 9, "e": 1}
    found = [names for names, _ in in_batches(lambda name: np.zeros(lengths[name]), lengths, "abcde", budget=10)]
    assert found == [["a", "b"], ["c"], ["d"], ["e"]]
    batches = list(in_batches(lambda name: np.zeros(lengths[name]), lengths, "bced", budget=100))
    assert [names for names, _ in batches] == [["b", "c", "e", "d"]]
    assert [len(samples) for samples in batches[0][1]] == [3, 3, 1, 9]


@pytest.mark.parametrize(("front", "apart"), [({"input": "stack", "stack": 3}, 480), ({"input": "conv2d"}, 640)])
def test_frames_of_a_guide_are_its_outputs_at_their_middle(front, apart):
    """Every 320 samples one of the outputs of a model that makes one every 480, or 640, whatever the batch."""
    config = with_encoder(CONFORMER, dim=24) | front
    model, device = make_model(config), torch.device("cpu")
    generator = np.random.default_rng(0)
    waves = [generator.normal(scale=0.1, size=size).astype(np.float32) for size in (16_000, 9_000, 500)]
    found = guide_frames(model, config, 2, 320, device)(waves)
    assert [len(one) for one in found] == [len(mfcc(samples, 320)) for samples in waves[:2]] + [0]
    for samples, frames in zip(waves[:2], found, strict=False):
        speech = torch.from_numpy(log_mel(samples, config["features"]))[None]
        with layer_outputs(model) as outputs:
            hidden, (count,) = outputs(speech, torch.tensor([speech.shape[1]]))
        for place, frame in enumerate(frames):
            output = min((320 * place + 160) // apart, int(count) - 1)
            np.testing.assert_allclose(frame, hidden[2][0, output].numpy(), rtol=1e-3, atol=1e-4)
    assert len({int(row) for row in (found[0][:, 0] * 1e6)}) > 10
