import numpy as np
import torch

from secateur.speech.features import log_mel
from secateur.ssl.tasks.upstream import OFFSET, SCALES, Fbank, deltas


def test_deltas_are_slopes():
    line = torch.arange(10.0)[:, None] * torch.tensor([1.0, -2.0]) + 3
    torch.testing.assert_close(deltas(line)[2:-2], torch.tensor([1.0, -2.0]).expand(6, 2))
    # By hand at the first frame of 0, 1, 4, 9 …, whose predecessors are 0: (1·(1 − 0) + 2·(4 − 0)) / 10.
    assert deltas(torch.tensor([[0.0], [1.0], [4.0], [9.0], [16.0]]))[0].item() == np.float32(0.9)
    torch.testing.assert_close(deltas(torch.full((5, 3), 7.0)), torch.zeros(5, 3))


def test_fbank_gives_log_mel_energies_with_two_deltas_whatever_the_batch():
    samples = [torch.randn(count) * 0.1 for count in (4000, 9000)]
    lengths = torch.tensor([4000, 9000])
    hidden, frames = Fbank()(torch.nn.utils.rnn.pad_sequence(samples, batch_first=True), lengths)
    assert len(hidden) == 1 and hidden[0].shape == (2, 54, 240) and frames.tolist() == [23, 54]
    alone, _ = Fbank()(samples[0][None], lengths[:1])
    torch.testing.assert_close(hidden[0][0, :23], alone[0][0])
    energies = torch.from_numpy(log_mel(samples[0].numpy(), 80))
    torch.testing.assert_close(alone[0][0, :, :80] * SCALES[0] + OFFSET, energies)
    torch.testing.assert_close(alone[0][0, :, 80:160] * SCALES[1], deltas(energies))
    torch.testing.assert_close(alone[0][0, :, 160:] * SCALES[2], deltas(deltas(energies)))


def test_with_cmvn_every_dimension_of_a_clip_has_mean_0_and_deviation_1_whatever_the_batch():
    samples = [torch.randn(count) * 0.1 for count in (4000, 9000)]
    batch, lengths = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True), torch.tensor([4000, 9000])
    (plain,), frames = Fbank()(batch, lengths)
    (found,), counts = Fbank(cmvn=True)(batch, lengths)
    assert counts.tolist() == frames.tolist()
    for row, count in enumerate(frames):
        clip = found[row, :count]
        torch.testing.assert_close(clip.mean(0), torch.zeros(240), rtol=0, atol=1e-4)
        torch.testing.assert_close(clip.std(0, correction=0), torch.ones(240), rtol=0, atol=1e-4)
        wanted = plain[row, :count] - plain[row, :count].mean(0)
        torch.testing.assert_close(clip * plain[row, :count].std(0, correction=0), wanted, rtol=1e-3, atol=1e-3)
