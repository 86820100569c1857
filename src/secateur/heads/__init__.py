"""Attention heads: which matter, which go first, and what removing them saves."""
