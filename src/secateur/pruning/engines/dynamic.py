"""Dynamic ASR Pathways (S3): pathways whose masks adapt to the data of their language.

For language z the free zone is every weight in no other language's mask, m_r = 1 − ⋃_{l≠z} m_l. A batch of z runs and
trains (m_z ∪ m_r) ⊙ θ. Every n steps of z the magnitudes of these candidates are ranked, and the largest become the new
m_z at the current sparsity. At the end of a level the sparsity of all languages steps up. After the last adaptation of
all, masks are fixed: training settles on m_z ⊙ θ as pathways do, and weights in no mask are zero.

A weight that another language holds keeps its value. One that nobody holds is set to zero (`free_zone`): every one, or
only those that a mask has left. That happens when each language has adapted, not before: languages adapt within one
turn of each other, and if the first of them emptied the free zone, the others would never find anything in it. At the
beginning, too, weights in no mask are set to zero: they were pruned when the masks were made, and may grow back.

With `soft: straight_through` a batch of z runs m_z ⊙ θ, and its gradient trains all of (m_z ∪ m_r) ⊙ θ; nothing is set
to zero before the masks are fixed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.given import Given
from secateur.pruning.engines.mask import Mask, union
from secateur.pruning.engines.moments import KEEP, Moments, named
from secateur.pruning.engines.pathways import Pathways
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.speech.data import Batch


@dataclass(frozen=True)
class Softly:
    """How weights are pruned softly: the keys of `secateur.pruning.options`."""

    soft: str = "regrow"
    free_zone: str = "zero"
    moments: str = KEEP


class DynamicPathways(Pathways):
    """Train pathways and adapt their masks.

    Args:
        masks: initial mask of every language, at the first level.
        calendar: when they adapt, and at which sparsity.
        ranking: see `magnitude_mask`.

    Attributes:
        log: one row per adaptation: (step, language, sparsity, kept, removed, regrown).
        settled: whether the masks are fixed by now.
    """

    log_columns = ("step", "language", "sparsity", "kept", "removed", "regrown")

    def __init__(
        self, masks: Mapping[str, Mask], calendar: Calendar, ranking: str = "global", how: Softly | None = None
    ):
        super().__init__(masks, calendar.steps)
        self.calendar, self.ranking, self.how = calendar, ranking, how or Softly()
        self.settled = False
        self.done = dict.fromkeys(self.masks, 0)
        self.log: list[tuple] = []
        self._adapted: set[str] = set()  # since weights were last set to zero
        self._left: Mask | None = None  # what has left a mask since then
        self._restored: Mapping[str, torch.Tensor] | None = None

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().start(model, optimizer)
        self._left = self._left.to(self._parameters[0].device) if self._left is not None else None
        self._kept = Moments(optimizer, self._weights, self.how.moments)
        self._kept.restore(self._restored or {})
        if self._restored is None and self.how.soft == "regrow":
            union(self.masks.values()).apply_(self._weights)

    def region(self, language: str) -> Mask:
        """m_z ∪ m_r: the mask of the language and its free zone; m_z when masks are fixed."""
        mask = self.masks[language]
        if self.settled:
            return mask
        others = [other for name, other in self.masks.items() if name != language]
        return mask | ~union(others) if others else Mask(mask.shapes, torch.ones_like(mask.flat))

    def runs(self, language: str) -> Mask:
        return self.masks[language] if self.how.soft == "straight_through" else self.region(language)

    def after_update(self, step: int, batch: Batch) -> None:
        language, done = self.language(batch), step + 1
        self._kept.correct(named(self._weights, self._outside(language, "region")))
        self._leave()
        self.done[language] += 1
        if self.settled:
            return
        with torch.no_grad():
            if self.calendar.ends(done):
                for each in self.masks:
                    self._adapt(done, each, self.calendar.sparsity(done))
            elif self.done[language] % self.calendar.every == 0 and self._is_early(done):
                self._adapt(done, language, self.calendar.sparsity(step))
            if done == self.calendar.fixed:
                self.settled = True
                self._outsides.clear()
                union(self.masks.values()).apply_(self._weights)

    def _is_early(self, done: int) -> bool:
        """Whether every language has a turn before all adapt again."""
        return self.calendar.boundary(done) - done >= len(self.masks)

    def _adapt(self, done: int, language: str, sparsity: float) -> None:
        old = self.masks[language]
        new = self.rank(sparsity, self.region(language))
        self.masks[language] = new
        self._outsides.clear()
        self.log.append((done, language, sparsity, new.kept, (old & ~new).kept, (new & ~old).kept))
        self._left = old & ~new if self._left is None else self._left | (old & ~new)
        self._adapted.add(language)
        if self._adapted == set(self.masks):
            self._empty_free_zone()

    def rank(self, sparsity: float, candidates: Mask) -> Mask:
        """The new mask of a language: the largest of its candidates."""
        return magnitude_mask(self._weights, sparsity, self.ranking, within=candidates)

    def _empty_free_zone(self) -> None:
        """Set to zero what nobody holds, or what has left a mask and nobody holds now."""
        nobody = ~union(self.masks.values())
        gone = nobody & self._left if self.how.free_zone == "keep" and self._left is not None else nobody
        if self.how.soft == "regrow":
            (~gone).apply_(self._weights)
            self._kept.clear(gone)
        self._left, self._adapted = None, set()

    def tensors(self) -> dict[str, torch.Tensor]:
        names = list(self.masks)
        rows = [(step, names.index(language), round(s * 1e6), *counts) for step, language, s, *counts in self.log]
        masks = {f"mask.{language}": mask.flat for language, mask in self.masks.items()}
        if self._left is not None:
            masks["left"] = self._left.flat
        return masks | {
            "done": torch.tensor([self.done[language] for language in names]),
            "adapted": torch.tensor([language in self._adapted for language in names]),
            "settled": torch.tensor(self.settled),
            "log": torch.tensor(rows, dtype=torch.int64),
            **self._kept.tensors(),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        names = list(self.masks)
        shapes = next(iter(self.masks.values())).shapes
        self.masks = {language: Mask(shapes, tensors[f"mask.{language}"]) for language in names}
        self.done = dict(zip(names, tensors["done"].tolist(), strict=True))
        self._adapted = {name for name, has in zip(names, tensors["adapted"].tolist(), strict=True) if has}
        self._left = Mask(shapes, tensors["left"]) if "left" in tensors else None
        self.settled = bool(tensors["settled"])
        self.log = [(step, names[index], s / 1e6, *counts) for step, index, s, *counts in tensors["log"].tolist()]
        self._restored = tensors


def softly(given: Given) -> Softly:
    """The options of a method, as a schedule has them."""
    return Softly(*(given.options[key] for key in ("soft", "free_zone", "moments")))


def stepping_up(given: Given) -> DynamicPathways:
    """Pathways that go through the levels in equal parts of the steps, with the options of `secateur.pruning.options`.

    Raises SecateurError if the steps do not divide.
    """
    calendar = Calendar(given.levels, given.steps, given.options["adapt_every"], given.settle)
    return DynamicPathways(given.masks, calendar, given.ranking, softly(given))
