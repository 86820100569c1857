from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from secateur.core.errors import SecateurError
from secateur.core.files import identity
from secateur.models.build import build_model
from secateur.speech.data import Batch, BatchPlan, TextExamples
from secateur.speech.tokens import Tokenizer, train_characters
from secateur.training import loop as training
from secateur.training.hooks import TrainingHook
from secateur.training.loop import evaluate, train
from secateur.training.options import TrainingOptions

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    steps=12,
    learning_rate=0.05,
    warmup=2,
    schedule="linear",
    precision="float32",
    evaluate_every=4,
    average_best=0,
    checkpoint_seconds=0,
)


class Regression(torch.nn.Module):
    """y = w·x with dropout, in the interface of the speech models; loss is the mean over utterances."""

    def __init__(self, dropout: float = 0.3):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x, y):
        loss = ((self.linear(self.dropout(x)).squeeze(1) - y) ** 2).mean()
        return loss, {}, len(x)


class Points:
    """Twenty fixed points of a plane."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(20, 3, generator=generator)
        self.y = self.x @ torch.tensor([1.0, -2.0, 0.5])
        self.lengths = {f"{index:02d}": 10 + index for index in range(20)}

    def load(self, keys):
        rows = [int(key) for key in keys]
        return Batch(list(keys), ["en"] * len(keys), {"x": self.x[rows], "y": self.y[rows]})


def run(folder: Path, methods=(), dropout=0.3, **changes):
    torch.manual_seed(3)
    model, points = Regression(dropout), Points()
    plan = BatchPlan(points.lengths, 100, seed=7)
    dev = (points, [sorted(points.lengths)[:10], sorted(points.lengths)[10:]])
    history = train(
        model, points, plan.step, dev, replace(OPTIONS, **changes), 7, CPU, folder / "state", "same", methods
    )
    return model, history


def weights(model) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


def test_a_later_training_of_the_same_model_has_batches_and_noise_of_its_own(tmp_path):
    class Seen(TrainingHook):
        def __init__(self):
            self.rows = []

        def before_forward(self, step, batch):
            self.rows.append((tuple(batch.utterances), torch.rand(()).item()))

    def seen(folder, steps, before):
        model, points, method = Regression(dropout=0.3), Points(), Seen()
        plan = BatchPlan(points.lengths, 8, seed=1)
        options = replace(OPTIONS, steps=steps, accumulate=1)
        dev = (points, [sorted(points.lengths)])
        train(model, points, plan.step, dev, options, 7, CPU, tmp_path / folder, "same", [method], before)
        return method.rows

    whole = seen("whole", 8, 0)
    assert len(set(whole)) == 8
    assert seen("later", 3, 5) == whole[5:]


class Killed(Exception):
    pass


class KillAt(TrainingHook):
    def __init__(self, step):
        self.step = step

    def after_update(self, step, batch):
        if step == self.step:
            raise Killed


class Steps(TrainingHook):
    """Notes the steps that are taken."""

    def __init__(self):
        self.seen = []

    def before_forward(self, step, batch):
        self.seen.append(step)


class Counter(TrainingHook):
    """Keeps a running sum, which must survive a restart."""

    def __init__(self):
        self.total = torch.zeros(1)

    def after_update(self, step, batch):
        self.total += step

    def tensors(self):
        return {"total": self.total}

    def restore(self, tensors):
        self.total = tensors["total"]


@pytest.mark.parametrize("kill", [0, 3, 6, 10])
@pytest.mark.parametrize(("average", "ema"), [(0, 0.0), (2, 0.0), (0, 0.9), (2, 0.9)])
def test_killed_and_resumed_ends_with_the_same_bytes(tmp_path, kill, average, ema):
    counter = Counter()
    whole, history = run(tmp_path / "whole", [counter], average_best=average, ema=ema)
    with pytest.raises(Killed):
        run(tmp_path / "cut", [Counter(), KillAt(kill)], average_best=average, ema=ema)
    second, steps = Counter(), Steps()
    resumed, resumed_history = run(tmp_path / "cut", [second, steps], average_best=average, ema=ema)
    assert steps.seen == list(range(kill, 12)), "it goes on from the last saved step"
    assert weights(resumed) == weights(whole)
    assert second.total == counter.total == sum(range(12))
    untimed = [{key: value for key, value in row.items() if key != "seconds"} for row in history]
    assert untimed == [{key: value for key, value in row.items() if key != "seconds"} for row in resumed_history]
    assert [row["step"] for row in history] == [4, 8, 12]


def test_a_state_of_another_identity_is_not_resumed(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, [KillAt(8)])
    points, steps = Points(), Steps()
    plan = BatchPlan(points.lengths, 100, seed=7)
    dev = (points, [sorted(points.lengths)])
    train(Regression(), points, plan.step, dev, OPTIONS, 7, CPU, tmp_path / "state", "other", [steps])
    assert steps.seen == list(range(12))


@pytest.mark.parametrize("name", ["state.safetensors", "best-8.safetensors"])
def test_a_damaged_state_is_not_resumed(tmp_path, name, caplog):
    """Training starts over and ends with the same bytes."""
    whole, _ = run(tmp_path / "whole", average_best=2)
    with pytest.raises(Killed):
        run(tmp_path / "cut", [KillAt(9)], average_best=2)
    file = tmp_path / "cut" / "state" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again, history = run(tmp_path / "cut", average_best=2)
    assert f"{name}: the checksum does not fit" in caplog.text and "starting afresh" in caplog.text
    assert weights(again) == weights(whole) and [row["step"] for row in history] == [4, 8, 12]


def test_a_disk_without_room_for_the_state_is_told_before_the_first_step(tmp_path, monkeypatch):
    """Of four weights in float32: two states of three models, two best checkpoints and one more, and the model."""
    asked, steps = [], Steps()

    def full(*arguments):
        asked.append(arguments)
        raise SecateurError("no room")

    monkeypatch.setattr(training, "check_space", full)
    with pytest.raises(SecateurError, match="no room"):
        run(tmp_path, [steps], average_best=2)
    assert asked == [(tmp_path / "state", 16 * (6 + 2 + 2), "training")]
    assert not steps.seen and not (tmp_path / "state").exists()


def test_accumulated_gradients_equal_those_of_the_whole_batch(tmp_path):
    whole, _ = run(tmp_path / "1", dropout=0.0)
    parts, _ = run(tmp_path / "3", dropout=0.0, accumulate=3)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_first_step_is_adamw_by_hand(tmp_path):
    """After one step every weight moves by −lr·(sign(g) + decay·w): Adam's first update is the gradient's sign."""
    torch.manual_seed(3)
    start = Regression().linear.weight.detach().clone()
    model, _ = run(tmp_path, steps=1, warmup=0, schedule="constant", dropout=0.0)
    decayed = start * (1 - 0.05 * 0.01)
    moved = (model.linear.weight - decayed).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.05), rtol=1e-4, atol=1e-6)


def test_a_parameter_with_a_rate_of_its_own_moves_so_many_times_as_far_and_does_not_decay(tmp_path):
    class Rated(Regression):
        def __init__(self):
            super().__init__(0.0)
            self.slow = torch.nn.Parameter(torch.ones(2, 2))
            self.slow.rate = 0.5

        def forward(self, x, y):
            loss, statistics, weight = super().forward(x, y)
            return loss + self.slow.sum(), statistics, weight

    model, points = Rated(), Points()
    plan, dev = BatchPlan(points.lengths, 100, seed=7), (points, [["00"]])
    options = replace(OPTIONS, steps=1, warmup=0, schedule="constant", clip=1e9)
    train(model, points, plan.step, dev, options, 7, CPU, tmp_path / "state", "rated")
    torch.testing.assert_close(model.slow, torch.full((2, 2), 1 - 0.5 * 0.05), rtol=1e-5, atol=0)


def test_the_model_is_the_mean_of_the_best_checkpoints(tmp_path):
    kept = {}

    class Keep(TrainingHook):
        def start(self, model, optimizer):
            self.model = model

        def after_update(self, step, batch):
            kept[step + 1] = {name: value.clone() for name, value in self.model.state_dict().items()}

    model, history = run(tmp_path, [Keep()], average_best=2)
    best = sorted(history, key=lambda row: row["dev_loss"])[:2]
    for name, value in model.state_dict().items():
        mean = (kept[best[0]["step"]][name] + kept[best[1]["step"]][name]) / 2
        torch.testing.assert_close(value, mean)


class Weights(TrainingHook):
    """Notes the weights that every step leaves, and those that are evaluated."""

    def __init__(self):
        self.trained, self.evaluated = {}, []

    def start(self, model, optimizer):
        self.model = model
        self.first = model.linear.weight.detach().clone()

    def after_update(self, step, batch):
        self.trained[step + 1] = self.model.linear.weight.detach().clone()

    @contextmanager
    def evaluating(self, batch):
        self.evaluated.append(self.model.linear.weight.detach().clone())
        yield


@pytest.mark.parametrize("best", [0, 1])
def test_the_moving_average_by_hand_is_evaluated_and_kept_and_not_trained(tmp_path, best):
    plain, averaged = Weights(), Weights()
    run(tmp_path / "plain", [plain])
    model, history = run(tmp_path / "averaged", [averaged], ema=0.5, average_best=best)
    assert all(torch.equal(plain.trained[step], averaged.trained[step]) for step in range(1, 13))
    mean, means = averaged.first, {}
    for step in range(1, 13):
        decay = min(0.5, step / (step + 9))
        mean = means[step] = decay * mean + (1 - decay) * averaged.trained[step]
    for step, evaluated in zip((4, 4, 8, 8, 12, 12), averaged.evaluated, strict=True):  # two batches each
        torch.testing.assert_close(evaluated, means[step])
    step = min(history, key=lambda row: row["dev_loss"])["step"] if best else 12
    torch.testing.assert_close(model.linear.weight.data, means[step])


def test_a_loss_that_is_not_finite_names_the_utterances(tmp_path):
    torch.manual_seed(3)
    points = Points()
    points.y[4] = float("nan")
    plan = BatchPlan(points.lengths, 10, seed=7)
    dev = (points, [["00"]])
    with pytest.raises(SecateurError, match=r"loss is nan at step \d+, on utterances 04;.*learning_rate"):
        train(Regression(), points, plan.step, dev, replace(OPTIONS, steps=20), 7, CPU, tmp_path / "s", "x")


def test_dev_loss_weighs_every_utterance_alike():
    model, points = Regression(0.0), Points()
    autocast = torch.autocast("cpu", enabled=False)
    uneven = evaluate(model, points, [["00"], [f"{index:02d}" for index in range(1, 20)]], CPU, autocast)
    whole = evaluate(model, points, [sorted(points.lengths)], CPU, autocast)
    assert uneven == pytest.approx(whole, rel=1e-5)


def test_methods_are_called_in_order(tmp_path):
    calls = []

    class Spy(TrainingHook):
        def start(self, model, optimizer):
            calls.append("start")

        def before_forward(self, step, batch):
            calls.append("before_forward")

        def after_backward(self, step, batch):
            calls.append("after_backward")

        def after_update(self, step, batch):
            calls.append("after_update")

    run(tmp_path, [Spy()], steps=2, accumulate=2)
    assert calls == ["start", *(["before_forward"] * 2 + ["after_backward", "after_update"]) * 2]


def test_identity_changes_with_every_value_and_file(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("y")
    files = [tmp_path / "a", tmp_path / "b"]
    first = identity({"steps": 3, "rate": 0.1}, files)
    assert identity({"rate": 0.1, "steps": 3}, files) == first
    assert identity({"steps": 4, "rate": 0.1}, files) != first
    assert identity({"steps": 3, "rate": 0.1}, files[::-1]) != first
    (tmp_path / "b").write_text("z")
    assert identity({"steps": 3, "rate": 0.1}, files) != first


LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 32, "layers": 1, "dropout": 0.0}


def test_a_language_models_loss_is_the_mean_over_tokens_however_it_is_batched(tmp_path):
    """Sentences of very different lengths: a mean over utterances would be another number, and another gradient."""
    tokens = train_characters(["abc"])
    examples = TextExamples(["a", "abcabcabcabc", "b c", "cabbage"], Tokenizer(tokens))
    names = sorted(examples.lengths)
    torch.manual_seed(0)
    model = build_model(LM, tokens)
    autocast = torch.autocast("cpu", enabled=False)
    whole = evaluate(model, examples, [names], CPU, autocast)
    assert evaluate(model, examples, [[name] for name in names], CPU, autocast) == pytest.approx(whole, rel=1e-5)
    total = sum(len("".join(text)) + 1 for text in ("a", "abcabcabcabc", "b c", "cabbage"))
    by_hand = sum(model(**examples.load([name]).tensors)[0].item() * examples.lengths[name] for name in names) / total
    assert whole == pytest.approx(by_hand, rel=1e-5)
    histories = []
    for accumulate in (1, 3):
        torch.manual_seed(0)
        model = build_model(LM, tokens)
        options = replace(OPTIONS, steps=3, accumulate=accumulate)
        folder = tmp_path / str(accumulate)
        dev = (examples, [names])
        histories.append(train(model, examples, lambda step: names, dev, options, 1, CPU, folder, "lm")[-1])
    for column in ("train_loss", "dev_loss", "grad_norm"):
        assert histories[0][column] == pytest.approx(histories[1][column], rel=1e-3)


def test_a_dev_loss_or_gradient_that_is_not_finite_stops_the_run(tmp_path):
    points = Points()
    points.y[4] = float("inf")
    training, dev = ["00", "01"], (points, [["02", "04"]])
    with pytest.raises(SecateurError, match=r"loss is inf of the dev set, on utterances 02, 04; look at these"):
        train(Regression(), Points(), lambda step: training, dev, OPTIONS, 7, CPU, tmp_path / "dev", "x")

    class Poison(TrainingHook):
        def after_backward(self, step, batch):
            self.weight.grad[0, 0] = float("nan")

        def start(self, model, optimizer):
            self.weight = model.linear.weight

    good = (Points(), [["02"]])
    with pytest.raises(SecateurError, match=r"gradient is not finite at step 1, on utterances 00, 01; look at these"):
        train(Regression(), Points(), lambda step: training, good, OPTIONS, 7, CPU, tmp_path / "g", "x", [Poison()])
