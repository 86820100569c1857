"""Log-mel energies of samples that come in pieces: those of `features.log_mel`, each as soon as its window is there."""

import kaldi_native_fbank
import numpy as np

from secateur.speech.features import SAMPLE_RATE


class OnlineLogMel:
    """Frames of one utterance at 16 kHz, with `bins` values each."""

    def __init__(self, bins: int = 80):
        options = kaldi_native_fbank.FbankOptions()
        options.frame_opts.samp_freq = SAMPLE_RATE
        options.frame_opts.dither = 0.0
        options.mel_opts.num_bins = bins
        self._fbank, self._bins, self._given = kaldi_native_fbank.OnlineFbank(options), bins, 0

    def accept(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples (N,) in [-1, 1]; returns the frames (T, bins) that they complete, T from 0."""
        self._fbank.accept_waveform(SAMPLE_RATE, samples * 32768.0)
        return self._new()

    def finish(self) -> np.ndarray:
        """The last frames (T, bins): no more samples will come."""
        self._fbank.input_finished()
        return self._new()

    def _new(self) -> np.ndarray:
        ready = range(self._given, self._fbank.num_frames_ready)
        self._given = ready.stop
        frames = [self._fbank.get_frame(index) for index in ready]
        return np.stack(frames) if frames else np.zeros((0, self._bins), np.float32)
