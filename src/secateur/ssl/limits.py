"""What counts as apart, of encoders that gates prune. No heavy imports."""

APART = 0.01
"""How far the expected sparsity may be from what is reached before it is said."""
