"""Self-supervised encoders: the model, its pretraining, its structured pruning by distillation, and its use.

from secateur.ssl.checkpoints import load_upstream
upstream = load_upstream("results/…/compacted")
hidden, frames = upstream(waveforms, lengths)  # L + 1 tensors (B, T, D); 16 kHz samples (B, S) and their numbers
"""
