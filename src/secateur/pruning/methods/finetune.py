"""A dense control: one level's steps on one language. Level by level, pruning begins with it."""

from secateur.pruning.methods import DENSE, ZERO, Method, Shown

METHOD = Method(levels=ZERO, start=DENSE, ranked=None, masks=None, first_level=True)
SHOWN = Shown("dense, fine-tuned", order=80, line=":")
