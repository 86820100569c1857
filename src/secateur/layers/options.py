"""What a search for layers is about, for studies, the command line and the library."""

from dataclasses import dataclass
from typing import Literal

Half = Literal["encoder", "decoder"]
Objective = Literal["loss", "wer"]


@dataclass(frozen=True, kw_only=True)
class LayerSearchOptions:
    """Keys of an entry of `layers` (`secateur.core.options`)."""

    of: Half = "encoder"
    """Whose layers go: the encoder's, or those of a hybrid model's attention decoder, which takes searches that run it,
    and strategies without similarity."""
    objective: Objective = "loss"
    """What `greedy` compares - the loss of the dev data, of CTC, of the transducer or of the attention decoder, or the
    word error rate (of a decoder by joint beam search, beam 5)."""
