"""One step-based training loop for every method.

A step is one global batch: `plan(n)` names its utterances, which may be split into micro-batches to save memory. A
model answers with a mean loss and what it is the mean of (utterances, or tokens for a language model); weighted by
that, the gradient of a step does not depend on how it was split. Every random choice of a step is seeded by (seed,
step): to resume, nothing but the tensors and the step number is needed, and a resumed run ends with the same bytes as
an uninterrupted one.
"""

import logging
import math
import random
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from secateur.core import distributed, progress
from secateur.core.devices import autocast, autocast_dtype
from secateur.core.errors import SecateurError
from secateur.core.files import check_space
from secateur.speech.data import Batch
from secateur.training.hooks import TrainingHook
from secateur.training.moving_average import MovingAverage
from secateur.training.optimizer import make_optimizer
from secateur.training.options import TrainingOptions
from secateur.training.rates import learning_rate
from secateur.training.state import SIZE, State

REMEDY = "look at these, or lower learning_rate, lengthen warmup, or set precision: float32"


class Examples(Protocol):
    """What the loop reads: `secateur.speech.data.SpeechExamples` or `TextExamples`."""

    def load(self, keys: Sequence[str]) -> Batch: ...


Dev = tuple[Examples, Sequence[Sequence[str]]]
"""Development data and its batches."""


def train(
    model: torch.nn.Module,
    examples: Examples,
    plan: Callable[[int], list[str]],
    dev: Dev,
    options: TrainingOptions,
    seed: int,
    device: torch.device,
    state: Path,
    identity: str,
    hooks: Sequence[TrainingHook] = (),
    before: int = 0,
) -> list[dict[str, Any]]:
    """Train `model` in place and return the history, one row per evaluation.

    Args:
        examples, plan: training data, and the utterances of every step.
        dev: development data and its batches; the dev loss is the mean over utterances.
        options: how, as an entry of `training` in the configuration says it.
        state: folder in which the run saves itself; `identity` names what is trained with what, and a state of
            another identity, device or precision is ignored. Delete the folder when the result is safe.
        hooks: take part in every step, in this order.
        before: steps that earlier trainings of the same model took, whose batches and random choices are not repeated.

    With `average_best` k > 0 the model ends as the mean of its k best evaluated checkpoints by dev loss, else as its
    last step left it. With `ema` > 0 what is evaluated, and kept, is a moving average of the weights of all steps.
    Raises SecateurError when a loss or gradient is not finite, naming the utterances.
    Of several processes (`secateur.core.distributed`) only the first one returns; the others end.
    """
    group = distributed.join(device)
    dtype = autocast_dtype(device, options.precision)
    kept = State(state, f"{identity} {device.type} {dtype}", writes=group.rank == 0)
    run = _Run(model.to(device), options, device, hooks, group, kept)
    run.begin()
    steps, saved = options.steps, time.monotonic()
    bar = tqdm(total=steps, initial=kept.step, desc="train", unit="step", disable=None if group.rank == 0 else True)
    with ThreadPoolExecutor(1) as reader:

        def read(step: int) -> tuple[list[Future], bool]:
            parts, borrowed = _mine(plan(before + step), group, options.accumulate)
            return [reader.submit(examples.load, part) for part in parts], borrowed

        pending = read(kept.step) if kept.step < steps else ([], False)
        for step in range(kept.step, steps):
            batches, borrowed = [future.result() for future in pending[0]], pending[1]
            pending = read(step + 1) if step + 1 < steps else ([], False)
            _seed_everything(seed, before + step, group.rank)
            backward = run.backward(step, batches, borrowed)
            if group.size > 1:  # what hooks draw from here on has to be the same everywhere
                _seed_everything(seed, before + step)
            run.update(step, batches, *backward)
            bar.update()
            if kept.step % options.evaluate_every == 0 or kept.step == steps:
                bar.set_postfix(run.evaluate(step, dev))
            if time.monotonic() - saved >= options.checkpoint_seconds or kept.step == steps:
                saved = run.save()
    bar.close()
    run.finish()
    return kept.history


def _mine(keys: list, group: distributed.Group, accumulate: int) -> tuple[list[list], bool]:
    """This process' part of a batch, in micro-batches, and whether it is borrowed.

    A process without a part borrows an utterance, which then weighs nothing: all take part in every step.
    """
    part = group.part(keys)
    return _split(part or keys[:1], accumulate), not part


class _Run:
    """A training between its first step and its last."""

    def __init__(
        self,
        model: torch.nn.Module,
        options: TrainingOptions,
        device: torch.device,
        hooks: Sequence[TrainingHook],
        group: distributed.Group,
        kept: State,
    ):
        self.model, self.options, self.device, self.hooks = model, options, device, hooks
        self.group, self.kept = group, kept
        self.optimizer = make_optimizer(model, options)
        self.average = MovingAverage(model, options.ema)
        self.computing = autocast(device, options.precision)
        self.norm = 0.0

    def finish(self) -> None:
        """Leave the model as the mean of its best checkpoints; of several processes only the first goes on."""
        self.group.leave()
        if not self.kept.finished:
            self.average.finish()
            self.kept.average_best(self.model, self.options.average_best)
            self.kept.conclude(self.model)
        self.model.eval()

    def begin(self) -> None:
        """Go on from the saved state, if there is one, with enough disk space for the next."""
        # The state before, the state being written, the best checkpoints and one more, and the model in the end.
        weights = sum(value.numel() * value.element_size() for value in self.model.state_dict().values())
        size = SIZE + bool(self.average.decay)
        check_space(self.kept.folder, weights * (2 * size + self.options.average_best + 2), "training")
        self.kept.restore(self.model, self.optimizer, self.average, self.hooks)
        self.group.check_equal("the step that training resumes from", self.kept.step)
        for hook in self.hooks:
            hook.start(self.model, self.optimizer)
        self.started = time.monotonic()
        progress.JOB.tell("steps", self.kept.step, self.options.steps)
        self.model.train()

    def backward(self, step: int, batches: Sequence[Batch], borrowed: bool) -> tuple[float, int]:
        """The gradients of a step; its mean loss and number of utterances, in all processes together."""
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate(self.options, step) * parameters.get("rate", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        summed, total, seen = 0.0, 0.0, 0.0
        whole = len(batches) == self.group.size == 1
        for batch in batches:
            for hook in self.hooks:
                hook.before_forward(step, batch)
            with self.computing:
                loss, _, weight = self.model(**_on(self.device, batch))
            weight, value = 0 if borrowed else int(weight), _finite(loss.item(), batch, f"at step {step + 1}")
            # The total weight is known only after the last micro-batch: sum first, divide then.
            (loss if whole else loss * weight).backward()
            summed, total = summed + value * weight, total + weight
            seen += 0 if borrowed else len(batch.utterances)
        summed, total, seen = self.group.add(summed, total, seen)
        self.group.add_gradients(self.model.parameters())
        if not whole:
            torch._foreach_div_([p.grad for p in self.model.parameters() if p.grad is not None], total)
        return summed / total, int(seen)

    def update(self, step: int, batches: Sequence[Batch], loss: float, seen: int) -> None:
        """Change the weights by the gradients."""
        self.kept.losses += loss
        for hook in self.hooks:
            hook.after_backward(step, batches[-1])
        self.norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip).item()
        if not math.isfinite(self.norm):
            names = ", ".join(name for batch in batches for name in batch.utterances[:20])
            raise SecateurError(f"the gradient is not finite at step {step + 1}, on utterances {names}; {REMEDY}")
        self.optimizer.step()
        for hook in self.hooks:
            hook.after_update(step, batches[-1])
        self.average.update()
        self.kept.count += seen
        self.kept.step = step + 1
        progress.JOB.tell("steps", self.kept.step, self.options.steps, loss=loss)

    def evaluate(self, step: int, dev: Dev) -> dict[str, str]:
        """Add a row to the history; answers with its losses, to be shown."""
        kept, rows = self.kept, self.kept.history
        if self.group.size > 1:
            self.group.check_equal("the model", _fingerprint(self.model))
        with self.average.applied():
            dev_loss = evaluate(self.model, *dev, self.device, self.computing, self.hooks, self.group)
            kept.keep_best(self.model, dev_loss, self.options.average_best)
        rows.append(
            {
                "step": kept.step,
                "learning_rate": learning_rate(self.options, step),
                "train_loss": kept.losses / (kept.step - (rows[-1]["step"] if rows else 0)),
                "dev_loss": dev_loss,
                "grad_norm": self.norm,
                "utterances": kept.count,
                "seconds": round(kept.seconds + time.monotonic() - self.started, 2),
            }
        )
        kept.losses, kept.count = 0.0, 0
        logging.info("step %d: train %.3f dev %.3f", kept.step, rows[-1]["train_loss"], dev_loss)
        return {"train": f"{rows[-1]['train_loss']:.2f}", "dev": f"{dev_loss:.2f}"}

    def save(self) -> float:
        """Save the state; answers with the time at which it was right."""
        now = time.monotonic()
        self.kept.save(self.model, self.optimizer, self.average, self.hooks, now - self.started)
        return now


@torch.no_grad()
def evaluate(
    model: torch.nn.Module,
    examples: Examples,
    batches: Sequence[Sequence[str]],
    device: torch.device,
    computing: torch.autocast,
    hooks: Sequence[TrainingHook] = (),
    group: distributed.Group = distributed.ALONE,
) -> float:
    """Mean loss over `batches`, each by the model's own weight, in evaluation mode; the model's mode is restored.

    The processes of `group` share the batches, and all have the result.
    Raises SecateurError when a loss is not finite, naming the utterances.
    """
    training = model.training
    model.eval()
    total, count = 0.0, 0.0
    for keys in group.part(batches):
        batch = examples.load(keys)
        with ExitStack() as stack:
            for hook in hooks:
                stack.enter_context(hook.evaluating(batch))
            stack.enter_context(computing)
            loss, _, weight = model(**_on(device, batch))
        total += _finite(loss.item(), batch, "of the dev set") * int(weight)
        count += int(weight)
    model.train(training)
    total, count = group.add(total, count)
    return total / count


def _on(device: torch.device, batch: Batch) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in batch.tensors.items()}


def _finite(loss: float, batch: Batch, where: str) -> float:
    if math.isfinite(loss):
        return loss
    raise SecateurError(f"the loss is {loss} {where}, on utterances {', '.join(batch.utterances[:20])}; {REMEDY}")


def _split(keys: list[str], parts: int) -> list[list[str]]:
    """Split a batch into at most `parts` micro-batches of nearly equal size."""
    parts = min(parts, len(keys))
    return [keys[index * len(keys) // parts : (index + 1) * len(keys) // parts] for index in range(parts)]


def _fingerprint(model: torch.nn.Module) -> int:
    """A checksum of all weights."""
    checksum = 0
    for value in model.state_dict().values():
        checksum = zlib.crc32(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(), checksum)
    return checksum


def _seed_everything(seed: int, step: int, rank: int = 0) -> None:
    mixed = (seed * 1_000_003 + step + rank * 2_654_435_761) % 2**32
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)
