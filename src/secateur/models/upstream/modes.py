"""Whether a model runs, or is recorded."""

import torch


def is_eager() -> bool:
    """Whether code runs here and now, and is not recorded for export."""
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing())
