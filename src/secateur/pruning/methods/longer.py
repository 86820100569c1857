"""A dense control: the steps of all levels."""

from secateur.pruning.methods import DENSE, ZERO, Method, Shown

METHOD = Method(levels=ZERO, start=DENSE, ranked=None, masks=None, all_levels=True)
SHOWN = Shown("dense, longer", order=90, line="--")
