"""Masks in training: fixed, adaptive, pathways, dynamic pathways; small enough to be worked out by hand."""

from dataclasses import replace

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.pruning.engines.adaptive import AdaptiveMask
from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.dynamic import DynamicPathways, Softly
from secateur.pruning.engines.fixed import FixedMask
from secateur.pruning.engines.mask import Mask, union
from secateur.pruning.engines.movement import MovementMask
from secateur.pruning.engines.pathways import Pathways
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.pruning.engines.rigl import RigL
from secateur.speech.data import Batch, BatchPlan
from secateur.speech.turns import Turns
from secateur.training.hooks import TrainingHook
from secateur.training.loop import train
from secateur.training.options import TrainingOptions

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    steps=12,
    accumulate=2,
    learning_rate=0.05,
    weight_decay=0.1,
    warmup=0,
    schedule="constant",
    clip=100.0,
    precision="float32",
    evaluate_every=5,
    average_best=0,
    checkpoint_seconds=0,
)
LANGUAGES = ("en", "fr", "it")


class Model(torch.nn.Module):
    """y = v·tanh(W x): W (4 × 5) is masked, v is not."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.inner = torch.nn.Linear(5, 4, bias=False)
        self.outer = torch.nn.Linear(4, 1)

    def forward(self, x, y):
        return ((self.outer(torch.tanh(self.inner(x))).squeeze(1) - y) ** 2).mean(), {}, len(x)


class Points:
    """Twelve points for each language; the target is another function of x in every language."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(36, 5, generator=generator)
        self.y = (self.x * torch.randn(3, 5, generator=generator).repeat_interleave(12, 0)).sum(1)

    def load(self, keys):
        rows = [int(key) for key in keys]
        return Batch(list(keys), [LANGUAGES[row // 12] for row in rows], {"x": self.x[rows], "y": self.y[rows]})


def plan(step):
    """Languages take turns; six of the twelve points at a time."""
    start = 12 * (step % 3) + 6 * (step // 3 % 2)
    return [str(index) for index in range(start, start + 6)]


DEV = [[str(index) for index in range(start, start + 12)] for start in (0, 12, 24)]


def run(folder, method, *others, **changes):
    model = Model()
    points = Points()
    train(model, points, plan, (points, DEV), replace(OPTIONS, **changes), 1, CPU, folder, "same", [method, *others])
    return model


def random_mask(seed: int, sparsity: float = 0.5) -> Mask:
    return Mask.random({"inner.weight": torch.zeros(4, 5)}, sparsity, seed)


class Watch(TrainingHook):
    """Keep the weights and moments of every step."""

    def start(self, model, optimizer):
        self.weight, self.optimizer = model.inner.weight, optimizer
        self.seen = [self.snapshot()]
        self.languages = []

    def snapshot(self):
        state = self.optimizer.state.get(self.weight, {})
        zeros = torch.zeros_like(self.weight)
        return [self.weight.detach().clone(), *(state.get(key, zeros).clone() for key in ("exp_avg", "exp_avg_sq"))]

    def after_update(self, step, batch):
        self.languages.append(batch.languages[0])
        self.seen.append(self.snapshot())


def test_weights_outside_a_fixed_mask_are_zero_throughout(tmp_path):
    mask, watch = random_mask(1), Watch()
    run(tmp_path, FixedMask(mask), watch)
    kept = mask["inner.weight"]
    for weight, *moments in watch.seen:
        assert torch.all(weight[~kept] == 0)
        assert all(torch.all(moment[~kept] == 0) for moment in moments)
    assert torch.all(watch.seen[-1][0][kept] != watch.seen[0][0][kept])


def test_pruned_weights_regrow_under_adaptation_and_the_last_one_is_exact(tmp_path):
    mask, watch = random_mask(1), Watch()
    method = AdaptiveMask(mask, Calendar([0.5], 12, 5))
    model = run(tmp_path, method, watch)
    outside = ~mask["inner.weight"]
    assert torch.all(watch.seen[0][0][outside] == 0)
    assert torch.all(watch.seen[4][0][outside] != 0), "soft: they are trained before the first adaptation"
    for step in (5, 10, 12):
        assert int((watch.seen[step][0] != 0).sum()) == 10
    assert [row[0] for row in method.log] == [5, 10, 12]
    assert all(kept == 10 and removed == regrown for *_, kept, removed, regrown in method.log)
    assert sum(row[-1] for row in method.log) > 0
    method.mask.check(model)
    assert method.mask.kept == 10
    assert method.mask != mask


def test_an_adaptation_keeps_the_largest_magnitudes(tmp_path):
    watch = Watch()
    method = AdaptiveMask(random_mask(1), Calendar([0.5], 12, 100), how=Softly(moments="clear"))
    before = {}

    class Before(TrainingHook):
        def start(self, model, optimizer):
            self.model = model

        def after_update(self, step, batch):
            before["weight"] = self.model.inner.weight.detach().clone()

    run(tmp_path, Before(), method, watch)
    assert method.mask == magnitude_mask({"inner.weight": before["weight"]}, 0.5)
    zeroed = watch.seen[-1]
    assert all(torch.all(tensor[~method.mask["inner.weight"]] == 0) for tensor in zeroed), "moments are cleared, too"


def test_straight_through_runs_the_masked_weights_and_trains_all(tmp_path):
    """One step by hand: Adam's first update is the sign of the gradient at m ⊙ θ, for every weight."""
    mask = random_mask(2)
    start = Model()
    masked = Model()
    mask.apply_({"inner.weight": masked.inner.weight.detach()})
    points = Points()
    masked(**points.load(plan(0)).tensors)[0].backward()
    watch = Watch()
    method = AdaptiveMask(mask, Calendar([0.5], 2, 100), how=Softly("straight_through"))
    model = run(tmp_path, method, watch, steps=2)
    expected = start.inner.weight.detach() * (1 - 0.05 * 0.1) - 0.05 * masked.inner.weight.grad.sign()
    torch.testing.assert_close(watch.seen[1][0], expected, rtol=1e-4, atol=1e-6)
    method.mask.check(model)


def test_a_pathways_step_by_hand(tmp_path):
    """Inside the mask: decay and the sign of the gradient at m_z ⊙ θ. Outside: the same bytes."""
    mask = random_mask(4)
    reference = Model()
    start = reference.inner.weight.detach().clone()
    mask.apply_({"inner.weight": reference.inner.weight.detach()})
    reference(**Points().load(plan(0)).tensors)[0].backward()
    inside = mask["inner.weight"]
    expected = torch.where(inside, start * (1 - 0.05 * 0.1) - 0.05 * reference.inner.weight.grad.sign(), start)
    watch = Watch()
    run(tmp_path, Pathways({"en": mask, "fr": mask, "it": mask}, steps=99), watch, steps=1)
    torch.testing.assert_close(watch.seen[1][0], expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(watch.seen[1][0][~inside], start[~inside])


def test_a_batch_changes_nothing_that_is_outside_its_languages_mask(tmp_path):
    """Not the weights, not their moments: neither by gradient nor by momentum nor by decay."""
    masks = {language: random_mask(seed, 0.7) for seed, language in enumerate(LANGUAGES)}
    watch = Watch()
    model = run(tmp_path, Pathways(masks, steps=12), watch)
    for language, before, after in list(zip(watch.languages, watch.seen[:-1], watch.seen[1:], strict=True))[:-1]:
        inside = masks[language]["inner.weight"]
        for old, new in zip(before, after, strict=True):
            assert not torch.any((old != new) & ~inside)
        assert torch.all((before[0] != after[0])[inside])
    # The last step also sets to zero what is in no mask.
    nobody = ~(masks["en"] | masks["fr"] | masks["it"])
    assert nobody.kept > 0
    (~nobody).check(model)


def test_a_batch_of_mixed_languages_is_refused(tmp_path):
    mask = random_mask(0)
    points = Points()
    options, mixed = replace(OPTIONS, accumulate=1), lambda step: ["1", "13"]
    pathways = [Pathways({"en": mask, "fr": mask}, 12)]
    with pytest.raises(SecateurError, match=r"mixes languages \(en, fr\)"):
        train(Model(), points, mixed, (points, DEV), options, 1, CPU, tmp_path, "x", pathways)
    with pytest.raises(SecateurError, match="'it' has no mask; there are masks of en, fr"):
        run(tmp_path, Pathways({"en": mask, "fr": mask}, 12))


@pytest.mark.parametrize("kill", [1, 4, 6, 9])
@pytest.mark.parametrize("kind", ["adaptive", "straight_through", "pathways", "dynamic", "rigl", "movement"])
def test_killed_within_an_interval_and_resumed_ends_with_the_same_bytes(tmp_path, kind, kill):
    def make():
        masks = {language: random_mask(seed, 0.3) for seed, language in enumerate(LANGUAGES)}
        match kind:
            case "adaptive":
                return AdaptiveMask(random_mask(5), Calendar([0.5], 12, 3))
            case "straight_through":
                return AdaptiveMask(random_mask(5), Calendar([0.5], 12, 3, 0.25), how=Softly("straight_through"))
            case "pathways":
                return Pathways(masks, steps=12)
            case "rigl":
                return RigL(random_mask(5), Calendar([0.5], 12, 2, 0.25), drop=0.5)
            case "movement":
                return MovementMask(random_mask(5), Calendar([0.5], 12, 3, 0.25))
            case "dynamic":
                return DynamicPathways(masks, Calendar([0.3, 0.6], 12, 1, 0.5), how=Softly(moments="clear"))

    class Kill(TrainingHook):
        def after_update(self, step, batch):
            if step == kill:
                raise KeyboardInterrupt

    whole_method, resumed_method = make(), make()
    whole = run(tmp_path / "whole", whole_method)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", make(), Kill())
    resumed = run(tmp_path / "cut", resumed_method, TrainingHook())
    for name, value in whole.state_dict().items():
        assert value.numpy().tobytes() == resumed.state_dict()[name].numpy().tobytes(), name
    if kind == "pathways":
        return
    assert whole_method.log == resumed_method.log
    if kind == "dynamic":
        assert whole_method.masks == resumed_method.masks
    else:
        assert whole_method.mask == resumed_method.mask


def test_languages_take_turns_however_much_data_each_has():
    lengths = {f"{language}{index}": 10 for language, count in (("en", 12), ("fr", 2)) for index in range(count)}
    turns_plan = BatchPlan(lengths, 20, seed=1, groups={name: name[:2] for name in lengths})
    turns = Turns(turns_plan)
    batches = [turns.step(step) for step in range(14)]
    assert [{name[:2] for name in batch} for batch in batches] == [{"en"}, {"fr"}] * 7
    assert sorted(name for batch in batches[:12:2] for name in batch) == sorted(n for n in lengths if n[:2] == "en")
    assert turns.step(6) == batches[6]
    assert [{name[:2] for name in batch} for batch in (Turns(turns_plan).step(step) for step in (3, 0))] == [
        {"fr"}, {"en"}
    ], "steps may be asked for in any order"  # fmt: skip


def test_languages_have_shares_by_temperature():
    """Sixteen times the audio: at temperature 1 sixteen of 17 steps, at 2 four of five, at 4 two of three."""
    lengths = {f"{language}{index}": 10 for language, count in (("en", 32), ("fr", 2)) for index in range(count)}
    turns_plan = BatchPlan(lengths, 20, seed=1, groups={name: name[:2] for name in lengths})
    for temperature, steps, english in ((1, 34, 32), (2, 20, 16), (4, 30, 20), (1000, 20, 10), (None, 20, 10)):
        turns = Turns(turns_plan, temperature)
        found = ["en" in turns.step(step)[0] for step in range(steps)]
        assert sum(found) == english
        for step in range(steps):
            assert abs(sum(found[: step + 1]) - turns.shares[0] * (step + 1)) < 1, "never further off than a step"


@pytest.mark.parametrize("kind", ["fixed", "adaptive", "pathways", "dynamic"])
def test_layers_that_a_step_skips_keep_to_their_masks(tmp_path, kind):
    """As stochastic depth does: every other step leaves the masked layer without a gradient, the first step, too."""

    class Skipping(Model):
        steps = 0

        def forward(self, x, y):
            if self.training:
                self.steps += 1
            if self.training and self.steps % 2:
                return ((self.outer(x[:, :4]).squeeze(1) - y) ** 2).mean(), {}, len(x)
            return super().forward(x, y)

    mask = random_mask(0)
    masks = dict.fromkeys(LANGUAGES, mask)
    method = {
        "fixed": lambda: FixedMask(mask),
        "adaptive": lambda: AdaptiveMask(mask, Calendar([0.5], 12, 3)),
        "pathways": lambda: Pathways(masks, steps=12),
        "dynamic": lambda: DynamicPathways(masks, Calendar([0.5], 12, 2)),
    }[kind]()
    model, points = Skipping(), Points()
    before = model.inner.weight.detach().clone()
    options = replace(OPTIONS, accumulate=1)
    train(model, points, plan, (points, DEV), options, 1, CPU, tmp_path, "x", [method])
    final = method.mask if hasattr(method, "mask") else union(method.masks.values())
    final.check(model)
    assert (model.inner.weight != before)[final["inner.weight"]].all()


def test_dynamic_pathways_step_up_for_all_languages_and_end_exactly(tmp_path):
    masks = {language: random_mask(seed, 0.3) for seed, language in enumerate(LANGUAGES)}
    method, watch = DynamicPathways(masks, Calendar([0.3, 0.6], 12, 1)), Watch()
    model = run(tmp_path, method, watch)
    assert [mask.kept for mask in method.masks.values()] == [8, 8, 8]
    # languages take turns, so each has its 1st step at steps 1, 2, 3; at 6 the level ends and all step up
    assert [(step, language, sparsity) for step, language, sparsity, *_ in method.log] == [
        (1, "en", 0.3), (2, "fr", 0.3), (3, "it", 0.3), (6, "en", 0.6), (6, "fr", 0.6), (6, "it", 0.6),
        (7, "en", 0.6), (8, "fr", 0.6), (9, "it", 0.6), (12, "en", 0.6), (12, "fr", 0.6), (12, "it", 0.6),
    ]  # fmt: skip
    together = method.masks["en"] | method.masks["fr"] | method.masks["it"]
    together.check(model)
    # A batch of z trains nothing that only another language holds.
    for step in (0, 1, 2):
        others = [masks[language] for language in LANGUAGES if language != watch.languages[step]]
        foreign = ~masks[watch.languages[step]] & (others[0] | others[1])
        before, after = watch.seen[step][0], watch.seen[step + 1][0]
        assert torch.equal(before[foreign["inner.weight"]], after[foreign["inner.weight"]])


def test_the_last_adaptation_may_take_what_grew_in_the_free_zone(tmp_path):
    """One level and one adaptation, the last: weights outside every mask have grown, and the largest are taken."""

    def regrown(rate):
        masks = {language: random_mask(0, 0.8) for language in LANGUAGES}
        method = DynamicPathways(masks, Calendar([0.8], 12, 100))
        run(tmp_path / str(rate), method, learning_rate=rate)
        assert [row[0] for row in method.log] == [12, 12, 12]
        return sum(row[5] for row in method.log)

    assert regrown(0.05) > 0
    assert regrown(1e-30) == 0, "pruned weights begin at zero: without training none can take a place"
