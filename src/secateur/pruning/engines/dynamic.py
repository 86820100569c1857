"""Dynamic ASR Pathways (S3): pathways whose masks adapt to the data of their language.

For language z the free zone is every weight in no other language's mask, m_r = 1 − ⋃_{l≠z} m_l. A batch of z runs and
trains (m_z ∪ m_r) ⊙ θ. Every n steps of z the magnitudes of these candidates are ranked, and the largest become the new
m_z at the current sparsity. A weight that leaves m_z and is in no other mask is set to zero (it lies in the free zone
and may grow back); one that another language holds keeps its value. Every T steps the sparsity of all languages steps
up by one level. The last adaptation of every language fixes the masks, and weights in no mask become zero. At the
beginning, too, weights in no mask are set to zero: they were pruned when the masks were made, and may grow back.
"""

from collections.abc import Mapping, Sequence

import torch

from secateur.core.errors import SecateurError
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import Mask, union
from secateur.pruning.engines.moments import clear_moments
from secateur.pruning.engines.pathways import Pathways, _language
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import Batch


class DynamicPathways(Pathways):
    """Train pathways and adapt their masks.

    Args:
        masks: initial mask of every language, at the first of `levels`.
        levels: sparsities, rising; each lasts `interval` steps (T), the last one being the target.
        every: n, the steps of a language between two adaptations of its mask.

    Attributes:
        log: one row per adaptation: (step, language, sparsity, kept, removed, regrown).
    """

    log_columns = ("step", "language", "sparsity", "kept", "removed", "regrown")

    def __init__(
        self,
        masks: Mapping[str, Mask],
        levels: Sequence[float],
        interval: int,
        every: int,
        ranking: str = "global",
        clear_moments: bool = True,
    ):
        super().__init__(masks, steps=len(levels) * interval)
        self.levels, self.interval, self.every = list(levels), interval, every
        self.ranking, self.clear_moments = ranking, clear_moments
        self.done = dict.fromkeys(self.masks, 0)
        self.log: list[tuple] = []
        self._resumed = False

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().start(model, optimizer)
        if not self._resumed:
            union(self.masks.values()).apply_(self._weights)

    def region(self, language: str) -> Mask:
        """m_z ∪ m_r: the mask of the language and its free zone."""
        mask = self.masks[language]
        others = [other for name, other in self.masks.items() if name != language]
        return mask | ~union(others) if others else Mask(mask.shapes, torch.ones_like(mask.flat))

    def after_update(self, step: int, batch: Batch) -> None:
        self._leave()
        language = _language(batch)
        self.done[language] += 1
        with torch.no_grad():
            if (step + 1) % self.interval == 0:
                # The end of a level: every language steps up to the next one, or is fixed at the target.
                level = min((step + 1) // self.interval, len(self.levels) - 1)
                for each in self.masks:
                    self._adapt(step, each, self.levels[level])
            elif self.done[language] % self.every == 0:
                self._adapt(step, language, self.levels[step // self.interval])
            if step + 1 == self.steps:
                union(self.masks.values()).apply_(self._weights)

    def _adapt(self, step: int, language: str, sparsity: float) -> None:
        old = self.masks[language]
        new = magnitude_mask(self._weights, sparsity, self.ranking, within=self.region(language))
        self.masks[language] = new
        self._outsides.clear()
        gone = old & ~new
        homeless = gone & ~union(self.masks.values())
        (~homeless).apply_(self._weights)
        if self.clear_moments:
            clear_moments(self._optimizer, self._weights, ~homeless)
        self.log.append((step + 1, language, sparsity, new.kept, gone.kept, (new & ~old).kept))

    def tensors(self) -> dict[str, torch.Tensor]:
        names = list(self.masks)
        rows = [(step, names.index(language), round(s * 1e6), *counts) for step, language, s, *counts in self.log]
        masks = {f"mask.{language}": mask.flat for language, mask in self.masks.items()}
        return masks | {
            "done": torch.tensor([self.done[language] for language in names]),
            "log": torch.tensor(rows, dtype=torch.int64),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        names = list(self.masks)
        shapes = next(iter(self.masks.values())).shapes
        self.masks = {language: Mask(shapes, tensors[f"mask.{language}"]) for language in names}
        self.done = dict(zip(names, tensors["done"].tolist(), strict=True))
        self.log = [(step, names[index], s / 1e6, *counts) for step, index, s, *counts in tensors["log"].tolist()]
        self._resumed = True


def stepping_up(given: Given) -> DynamicPathways:
    """Pathways that go through the levels in equal parts of the steps, with the options of `secateur.pruning.options`.

    Raises SecateurError if the steps do not divide.
    """
    interval, rest = divmod(given.steps, len(given.levels))
    if rest:
        raise SecateurError(f"--training: {given.steps} steps; wanted a multiple of the {len(given.levels)} levels")
    options = given.options
    how = (options["adapt_every"], given.ranking, not options["keep_moments"])
    return DynamicPathways(given.masks, given.levels, interval, *how)
