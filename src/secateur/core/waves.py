"""Waveforms in frames, as archives of features hold them for models that read samples.

A frame is 10 ms: how many of its samples are of the utterance, and then the samples.
"""

STEP = 160
WIDTH = 1 + STEP
