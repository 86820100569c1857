"""Structured pruning: heads, units and whole blocks that are removed, so that the matrices shrink."""
