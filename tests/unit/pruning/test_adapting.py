"""Masks that adapt, worked out by hand: three languages and ten weights, and a step of AdamW after an adaptation."""

import copy

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.pruning.engines.adaptive import AdaptiveMask
from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.dynamic import DynamicPathways, Softly
from secateur.pruning.engines.mask import Mask
from secateur.pruning.engines.moments import Moments
from secateur.speech.data import Batch

THETA = [0.9, 0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0.05, 0.4]


class Ten(torch.nn.Module):
    """Ten weights."""

    def __init__(self, values=None):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(values or THETA))


def mask(*members: int) -> Mask:
    bits = torch.zeros(10, dtype=torch.bool)
    bits[list(members)] = True
    return Mask.of({"w": bits})


def members(mask: Mask) -> list[int]:
    return mask["w"].nonzero().flatten().tolist()


class Toy:
    """Three languages and ten weights. Between adaptations a test sets the weights to what they have grown to.

    weight    0    1    2    3    4    5    6    7    8    9
    θ        .9   .8   .1   .7   .2   .6   .3   .5   .05  .4
    en        x    x    x    x
    fr                  x    x    x    x
    it        x              x         x              x
    free: 6, 7 and 9 belong to nobody, and begin at zero.
    """

    def __init__(self, calendar: Calendar, **how: str):
        masks = {"en": mask(0, 1, 2, 3), "fr": mask(2, 3, 4, 5), "it": mask(0, 3, 5, 8)}
        self.method = DynamicPathways(masks, calendar, how=Softly(**how))
        self.model = Ten()
        self.method.start(self.model, torch.optim.AdamW(self.model.parameters()))
        self.steps = 0

    def grow(self, **weights: float) -> None:
        with torch.no_grad():
            for name, value in weights.items():
                self.model.w[int(name[1:])] = value

    def step(self, language: str, **grown: float) -> None:
        """A step of a language in which weights become what is said: `w6=0.4`."""
        batch = Batch(["u"], [language], {})
        self.method.before_forward(self.steps, batch)
        self.method.after_backward(self.steps, batch)
        self.grow(**grown)
        self.method.after_update(self.steps, batch)
        self.steps += 1

    @property
    def weights(self) -> list[float]:
        return [round(value, 4) for value in self.model.w.tolist()]

    @property
    def masks(self) -> dict[str, list[int]]:
        return {language: members(each) for language, each in self.method.masks.items()}


def test_unions_and_free_zones_of_three_languages():
    toy = Toy(Calendar([0.6], 30, 5))
    assert toy.weights == [0.9, 0.8, 0.1, 0.7, 0.2, 0.6, 0, 0, 0.05, 0]
    # en: not in fr or it = {1, 6, 7, 9}; fr: not in en or it = {4, 6, 7, 9}; it: not in en or fr = {6, 7, 8, 9}
    assert members(toy.method.region("en")) == [0, 1, 2, 3, 6, 7, 9]
    assert members(toy.method.region("fr")) == [2, 3, 4, 5, 6, 7, 9]
    assert members(toy.method.region("it")) == [0, 3, 5, 6, 7, 8, 9]


def grown(free_zone: str) -> Toy:
    """One step a language, after which each adapts (n = 1); all of the free zone has grown."""
    toy = Toy(Calendar([0.6], 30, 1, settle=0.4), free_zone=free_zone)
    # en of {0: .9, 1: .8, 2: .1, 3: .7, 6: .3, 7: .5, 9: .02}: 0, 1, 3 and 7. Weight 2 leaves; fr holds it.
    toy.step("en", w6=0.3, w7=0.5, w9=0.02)
    assert toy.masks["en"] == [0, 1, 3, 7]
    assert toy.weights == [0.9, 0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0.05, 0.02], (
        "nothing is zero before all have adapted"
    )
    # fr of {2: .1, 3: .7, 4: .2, 5: .6, 6: .3, 9: .02}: 3, 5, 6 and 4. Weight 7 is en's now. 2 leaves, and is nobody's.
    toy.step("fr")
    assert toy.masks["fr"] == [3, 4, 5, 6]
    # it of {0: .9, 2: .1, 3: .7, 5: .6, 8: .05, 9: .02}: 0, 3, 5 and 2, which fr has left for it. 8 leaves.
    toy.step("it")
    assert toy.masks["it"] == [0, 2, 3, 5]
    assert toy.method.log == [(1, "en", 0.6, 4, 1, 1), (2, "fr", 0.6, 4, 1, 1), (3, "it", 0.6, 4, 1, 1)]
    return toy


def test_an_adaptation_of_all_languages_empties_the_free_zone():
    assert grown("zero").weights == [0.9, 0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0, 0]


def test_or_keeps_what_has_grown_there_but_for_what_has_left_a_mask():
    toy = grown("keep")
    assert toy.weights == [0.9, 0.8, 0.1, 0.7, 0.2, 0.6, 0.3, 0.5, 0, 0.02], "8 has left it; 9 was in no mask"
    toy.step("en", w9=0.75)
    assert toy.masks["en"] == [0, 1, 3, 9], "what was kept grows on, and 0.75 is more than weight 7"


def test_settling_fixes_all_masks_at_once_and_trains_within_them():
    """30 steps, of which 12 settle: at step 18 all adapt for the last time, and then nothing changes a mask."""
    toy = Toy(Calendar([0.6], 30, 100, settle=0.4))
    for step in range(18):
        assert not toy.method.settled
        toy.step(("en", "fr", "it")[step % 3], **({"w7": 0.85, "w9": 0.65, "w6": 0.01} if step == 17 else {}))
    # en of {0, 1, 2, 3, 6, 7, 9}: .9 .85 .8 .7; fr of {2: .1, 3: .7, 4: .2, 5: .6, 6: .01, 9: .65}: 3, 9, 5, 4;
    # it of {0: .9, 2: .1, 3: .7, 5: .6, 6: .01, 8: .05}: 0, 3, 5, 2. Nobody holds 6 and 8.
    assert toy.masks == {"en": [0, 1, 3, 7], "fr": [3, 4, 5, 9], "it": [0, 2, 3, 5]}
    assert toy.weights == [0.9, 0.8, 0.1, 0.7, 0.2, 0.6, 0, 0.85, 0, 0.65]
    assert toy.method.settled and [row[:2] for row in toy.method.log] == [(18, "en"), (18, "fr"), (18, "it")]
    assert members(toy.method.region("en")) == [0, 1, 3, 7], "the free zone is closed"
    before = toy.weights
    for step in range(18, 30):
        toy.step(("en", "fr", "it")[step % 3])
    assert (toy.weights, len(toy.method.log)) == (before, 3)


def test_levels_step_up_for_all_and_only_the_last_one_settles():
    calendar = Calendar([0.2, 0.5, 0.7], 60, 4, settle=0.4)
    assert (calendar.interval, calendar.fixed) == (20, 52)
    assert [done for done in range(1, 61) if calendar.ends(done)] == [20, 40, 52]
    assert [calendar.sparsity(done) for done in (0, 19, 20, 39, 40, 52, 59, 60)] == [0.2, 0.2, 0.5, 0.5] + [0.7] * 4
    assert [calendar.boundary(done) for done in (0, 19, 20, 45)] == [20, 20, 40, 52]
    assert Calendar([0.7], 20, 4, settle=0.99).fixed == 1, "one step adapts at least"
    with pytest.raises(SecateurError, match="20 steps; wanted a multiple of the 3 levels"):
        Calendar([0.2, 0.5, 0.7], 20, 4)


def test_a_language_that_adapts_with_all_others_does_not_do_so_by_itself_just_before():
    toy = Toy(Calendar([0.6], 6, 2))
    for step in range(6):
        toy.step(("en", "fr", "it")[step % 3])
    assert [row[:2] for row in toy.method.log] == [(6, "en"), (6, "fr"), (6, "it")]


@pytest.mark.parametrize("free_zone", ["zero", "keep"])
def test_straight_through_sets_nothing_to_zero_before_masks_are_fixed(free_zone):
    toy = Toy(Calendar([0.6], 10, 1, settle=0.4), soft="straight_through", free_zone=free_zone)
    assert toy.weights == THETA, "the dense values stay where the masks removed them"
    for step in range(5):
        toy.step(("en", "fr", "it")[step % 3])
        assert toy.weights == THETA
        assert members(toy.method.runs("en")) == toy.masks["en"], "but only the mask runs"
    toy.step("it")
    # en took 7 (.5) for 2 at its first adaptation, fr 9 (.4) for 2, 6 (.3) for 4; it holds 0, 3, 5 and 2 or 4.
    held = sorted(set().union(*toy.masks.values()))
    assert toy.weights == [value if place in held else 0 for place, value in enumerate(THETA)]
    assert toy.method.settled


def test_one_language_is_read_as_several_are():
    """Ten weights, six of them removed: all that the mask removes is the free zone."""
    for free_zone, ninth in (("zero", 0.0), ("keep", 0.35)):
        model = Ten()
        method = AdaptiveMask(mask(0, 1, 3, 5), Calendar([0.6], 10, 2, settle=0.4), how=Softly(free_zone=free_zone))
        method.start(model, torch.optim.AdamW(model.parameters()))
        assert model.w.tolist() == pytest.approx([0.9, 0.8, 0, 0.7, 0, 0.6, 0, 0, 0, 0])
        for step in range(2):
            with torch.no_grad():
                model.w[7], model.w[9] = 0.65, 0.35
            method.after_update(step, Batch(["a", "b"], ["en", "fr"], {}))
        assert members(method.mask) == [0, 1, 3, 7]
        assert model.w.tolist() == pytest.approx([0.9, 0.8, 0, 0.7, 0, 0, 0, 0.65, 0, ninth]), free_zone
        assert method.log == [(2, "all", 0.6, 4, 1, 1)]


RATE, BETAS, EPS, DECAY = 0.1, (0.9, 0.98), 1e-9, 0.0
GRADIENTS = [1.0, -2.0, 0.5, 3.0]
"""Of one weight, before and after its moments are cleared at step 3."""


def adam(gradients: list[float], first: int, second: int, steps: int) -> float:
    """AdamW's step by definition, with each moment as if it had begun after step `first` and `second`."""
    m = v = 0.0
    for step, gradient in enumerate(gradients[:steps]):
        m = 0.9 * m + 0.1 * gradient if step >= first else 0.0
        v = 0.98 * v + 0.02 * gradient**2 if step >= second else 0.0
    m, v = m / (1 - 0.9 ** (steps - first)), v / (1 - 0.98 ** (steps - second))
    return -RATE * m / (v**0.5 + EPS)


@pytest.mark.parametrize(("how", "first", "second"), [("keep", 0, 0), ("first", 3, 0), ("clear", 3, 3)])
def test_a_step_of_adamw_after_an_adaptation(how, first, second):
    """Weight 1 is removed after step 3. What it does next depends on what is left of its moments, and nothing else."""
    model = Ten([1.0] * 10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY, fused=True)
    moments = Moments(optimizer, {"w": model.w}, how)
    others = []
    for step, gradient in enumerate([*GRADIENTS, 1.5]):
        before = model.w.detach().clone()
        model.w.grad = torch.full((10,), gradient)
        optimizer.step()
        moments.correct({})
        change = (model.w.detach() - before).tolist()
        others.append(change[0])
        wanted = adam([*GRADIENTS, 1.5], *((first, second) if step >= 3 else (0, 0)), step + 1)
        assert change[1] == pytest.approx(wanted, rel=1e-4)
        assert change[0] == change[2] == pytest.approx(adam([*GRADIENTS, 1.5], 0, 0, step + 1), rel=1e-4)
        if step == 2:
            moments.clear(mask(1))
    if how == "clear":
        assert adam(GRADIENTS, 3, 3, 4) == pytest.approx(-RATE, rel=1e-6), "a first step is the sign of its gradient"
        # AdamW alone would divide by what belongs to step 4: 0.1·g / 0.3439 over √(0.02·g² / 0.0776).
        assert pytest.approx(0.573, abs=1e-3) == 0.1 / 0.3439 / (0.02 / 0.0776318) ** 0.5


def test_cleared_weights_that_a_step_is_not_for_wait(tmp_path):
    model = Ten([1.0] * 10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, eps=EPS, weight_decay=0.0)
    moments = Moments(optimizer, {"w": model.w}, "clear")
    model.w.grad = torch.ones(10)
    optimizer.step()
    moments.clear(mask(1, 2))
    state = copy.deepcopy(moments.tensors())
    outside = torch.zeros(10)
    outside[2] = 1
    model.w.grad = torch.ones(10) - outside
    optimizer.step()
    moments.correct({"w": outside})
    assert moments.tensors()["age.w"][:3].tolist() == [torch.inf, 1, 0]
    moments.restore(state)
    assert moments.tensors()["age.w"][:3].tolist() == [torch.inf, 0, 0]
