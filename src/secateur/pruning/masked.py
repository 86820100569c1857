"""Models as they run after pruning: with their masks in the weights."""

from pathlib import Path

from secateur.models.load import Loaded, load_model
from secateur.pruning.engines.mask import Mask, mask_for


def load_masked(folder: str | Path, language: str | None = None, mask: Path | None = None) -> Loaded:
    """A model on the CPU with what its mask removes at zero, if it has one; `mask`: another file in that one's place.

    Raises SecateurError as `mask_for` does, where there is a mask for each language.
    """
    loaded = load_model(folder, language=language)
    if chosen := mask or mask_for(Path(folder), language):
        Mask.load(chosen).apply_(loaded.model)
    return loaded
