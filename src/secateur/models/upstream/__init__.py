"""Encoders of waveforms: those that self-supervised models have, and CTC models that are fine-tuned from them."""
