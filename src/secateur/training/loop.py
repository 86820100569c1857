"""One step-based training loop for every method.

A step is one global batch: `plan(n)` names its utterances, which may be split into micro-batches to save memory. A
model answers with a mean loss and what it is the mean of (utterances, or tokens for a language model); weighted by
that, the gradient of a step does not depend on how it was split. Every random choice of a step is seeded by (seed,
step): to resume, nothing but the tensors and the step number is needed, and a resumed run ends with the same bytes as
an uninterrupted one.
"""

import argparse
import hashlib
import json
import logging
import math
import random
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from secateur.core import distributed
from secateur.core.devices import autocast, autocast_dtype
from secateur.core.errors import SecateurError
from secateur.core.files import check_space, write_tsv
from secateur.core.jobs import LEFT_OVER
from secateur.models import load_tensors, read_tensors, save_model, save_tensors
from secateur.speech.data import Batch
from secateur.training.moving_average import MovingAverage

REMEDY = "look at these, or lower learning_rate, lengthen warmup, or set precision: float32"
STATE = "resume"
"""Folder of a run's saved state, beside what it is to become."""
STATE_SIZE = 3
"""Of a saved state, in models: weights and AdamW's two moments of each."""
HISTORY_COLUMNS = ("step", "learning_rate", "train_loss", "dev_loss", "grad_norm", "utterances", "seconds")


class Examples(Protocol):
    """What the loop reads: `secateur.speech.data.SpeechExamples` or `TextExamples`."""

    def load(self, keys: Sequence[str]) -> Batch: ...


class Method:
    """A pruning (or other) method that takes part in training. This base class does nothing.

    A method gets to see every step; what it must remember over a restart goes through `tensors` and `restore`.
    """

    def start(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Once, after the model and the optimizer are made or restored."""

    def before_forward(self, step: int, batch: Batch) -> None:
        """Before each micro-batch of step `step` (from 0)."""

    def after_backward(self, step: int, batch: Batch) -> None:
        """When the step's gradients are complete, before clipping."""

    def after_update(self, step: int, batch: Batch) -> None:
        """After the optimizer has changed the weights."""

    def evaluating(self, batch: Batch) -> AbstractContextManager:
        """A context in which the model is as it is to be evaluated on `batch` (dev data)."""
        return nullcontext()

    def tensors(self) -> dict[str, torch.Tensor]:
        """What must be saved to resume."""
        return {}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `tensors` gave."""


def learning_rate(options: Mapping[str, Any], step: int) -> float:
    """The learning rate of step `step` (from 0). `learning_rate` is the peak, reached after `warmup` steps.

    `noam` (Vaswani et al. 2017): inverse square root of the step; ESPnet1's `transformer-lr` r at width d with warm-up
    w peaks at r·d^-0.5·w^-0.5. `linear` and `cosine` end at zero after `steps`. `constant` stays at the peak, `wsd`
    (warm-up, stable, decay: Hu et al. 2024) until the last `decay` share of the steps, in which it goes down to zero in
    a line. With `cycles` k > 1 the schedule is that of steps / k steps, and begins anew k times.
    """
    steps = options["steps"] // options.get("cycles", 1)
    peak, warmup, done = options["learning_rate"], options["warmup"], step % steps + 1
    if done <= warmup:
        return peak * done / warmup
    share = (done - warmup) / max(1, steps - warmup)
    match options["schedule"]:
        case "noam":
            return peak * math.sqrt(max(1, warmup) / done)
        case "linear":
            return peak * (1 - share)
        case "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * share))
        case "constant":
            return peak
        case "wsd":
            return peak * min(1.0, (steps - done) / (options["decay"] * steps))
    raise SecateurError(f"training.schedule: {options['schedule']!r}; allowed: noam, linear, cosine, constant, wsd")


def make_optimizer(model: torch.nn.Module, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) with weight decay on matrices only, betas and eps as in ESPnet's recipes.

    A parameter with an attribute `rate` is trained at that many times the learning rate, without weight decay.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rates = sorted({parameter.rate for parameter in parameters if hasattr(parameter, "rate")})
    plain = [parameter for parameter in parameters if not hasattr(parameter, "rate")]
    groups = [
        {"params": [parameter for parameter in plain if parameter.ndim > 1], "weight_decay": options["weight_decay"]},
        {"params": [parameter for parameter in plain if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    for rate in rates:
        own = [parameter for parameter in parameters if getattr(parameter, "rate", None) == rate]
        groups.append({"params": own, "weight_decay": 0.0, "rate": rate})
    return torch.optim.AdamW(groups, lr=options["learning_rate"], betas=(0.9, 0.98), eps=1e-9, fused=True)


def train(
    model: torch.nn.Module,
    examples: Examples,
    plan: Callable[[int], list[str]],
    dev: tuple[Examples, Sequence[Sequence[str]]],
    options: Mapping[str, Any],
    seed: int,
    device: torch.device,
    state: Path,
    identity: str,
    methods: Sequence[Method] = (),
    before: int = 0,
) -> list[dict[str, Any]]:
    """Train `model` in place and return the history, one row per evaluation.

    Args:
        examples, plan: training data, and the utterances of every step.
        dev: development data and its batches; the dev loss is the mean over utterances.
        options: an entry of `training` in the configuration.
        state: folder in which the run saves itself; `identity` names what is trained with what, and a state of
            another identity, device or precision is ignored. Delete the folder when the result is safe.
        methods: take part in every step, in this order.
        before: steps that earlier trainings of the same model took, whose batches and random choices are not repeated.

    With `average_best` k > 0 the model ends as the mean of its k best evaluated checkpoints by dev loss, else as its
    last step left it. With `ema` > 0 what is evaluated, and kept, is a moving average of the weights of all steps.
    Raises SecateurError when a loss or gradient is not finite, naming the utterances.
    Of several processes (`secateur.core.distributed`) only the first one returns; the others end.
    """
    group = distributed.join(device)
    model.to(device)
    optimizer = make_optimizer(model, options)
    dtype = autocast_dtype(device, options["precision"])
    run = _State(state, f"{identity} {device.type} {dtype}", writes=group.rank == 0)
    average = MovingAverage(model, options.get("ema", 0.0))
    # The state before, the state being written, the best checkpoints and one more, and the model in the end.
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    size = STATE_SIZE + bool(average.decay)
    check_space(state, weights * (2 * size + options["average_best"] + 2), "training")
    run.restore(model, optimizer, average, methods)
    group.check_equal("the step that training goes on from", run.step)
    for method in methods:
        method.start(model, optimizer)
    computing = autocast(device, options["precision"])
    rows, steps = run.history, options["steps"]
    losses, count, norm = run.losses, run.count, 0.0
    saved = started = time.monotonic()
    model.train()
    bar = tqdm(total=steps, initial=run.step, desc="train", unit="step", disable=None if group.rank == 0 else True)
    with ThreadPoolExecutor(1) as reader:

        def read(step: int):
            keys = plan(before + step)
            mine = group.part(keys)
            # A process without a part borrows an utterance, which then weighs nothing: all take part in every step.
            parts = _split(mine or keys[:1], options["accumulate"])
            return [reader.submit(examples.load, part) for part in parts], not mine

        pending = read(run.step) if run.step < steps else ([], False)
        for step in range(run.step, steps):
            batches, borrowed = [future.result() for future in pending[0]], pending[1]
            pending = read(step + 1) if step + 1 < steps else ([], False)
            _seed_everything(seed, before + step, group.rank)
            for parameters in optimizer.param_groups:
                parameters["lr"] = learning_rate(options, step) * parameters.get("rate", 1.0)
            optimizer.zero_grad(set_to_none=True)
            summed, total, seen = 0.0, 0, 0
            for batch in batches:
                for method in methods:
                    method.before_forward(step, batch)
                with computing:
                    loss, _, weight = model(**{name: tensor.to(device) for name, tensor in batch.tensors.items()})
                weight, value = 0 if borrowed else int(weight), _finite(loss.item(), batch, f"at step {step + 1}")
                # The total weight is known only after the last micro-batch: sum first, divide then.
                whole = len(batches) == group.size == 1
                (loss if whole else loss * weight).backward()
                summed, total = summed + value * weight, total + weight
                seen += 0 if borrowed else len(batch.utterances)
            summed, total, seen = group.add(summed, total, seen)
            group.add_gradients(model.parameters())
            if not whole:
                torch._foreach_div_([p.grad for p in model.parameters() if p.grad is not None], total)
            if group.size > 1:  # what methods draw from here on has to be the same everywhere
                _seed_everything(seed, before + step)
            losses += summed / total
            for method in methods:
                method.after_backward(step, batches[-1])
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options["clip"]).item()
            if not math.isfinite(norm):
                names = ", ".join(name for batch in batches for name in batch.utterances[:20])
                raise SecateurError(f"the gradient is not finite at step {step + 1}, on utterances {names}; {REMEDY}")
            optimizer.step()
            for method in methods:
                method.after_update(step, batches[-1])
            average.update()
            count += int(seen)
            run.step = step + 1
            bar.update()
            since = run.step - (rows[-1]["step"] if rows else 0)
            if run.step % options["evaluate_every"] == 0 or run.step == steps:
                if group.size > 1:
                    group.check_equal("the model", _fingerprint(model))
                with average.applied():
                    dev_loss = evaluate(model, *dev, device, computing, methods, group)
                    run.keep_best(model, dev_loss, options["average_best"])
                rows.append(
                    {
                        "step": run.step,
                        "learning_rate": learning_rate(options, step),
                        "train_loss": losses / since,
                        "dev_loss": dev_loss,
                        "grad_norm": norm,
                        "utterances": count,
                        "seconds": round(run.seconds + time.monotonic() - started, 2),
                    }
                )
                losses, count = 0.0, 0
                logging.info("step %d: train %.3f dev %.3f", run.step, rows[-1]["train_loss"], dev_loss)
                bar.set_postfix(train=f"{rows[-1]['train_loss']:.2f}", dev=f"{dev_loss:.2f}")
            if time.monotonic() - saved >= options["checkpoint_seconds"] or run.step == steps:
                run.losses, run.count = losses, count
                now = time.monotonic()
                run.save(model, optimizer, average, methods, now - started)
                saved = now
    bar.close()
    group.leave()
    average.finish()
    run.average_best(model, options["average_best"])
    model.eval()
    return rows


@torch.no_grad()
def evaluate(
    model: torch.nn.Module,
    examples: Examples,
    batches: Sequence[Sequence[str]],
    device: torch.device,
    computing: torch.autocast,
    methods: Sequence[Method] = (),
    group: distributed.Group = distributed.ALONE,
) -> float:
    """Mean loss over `batches`, each by the model's own weight, in evaluation mode; the model's mode is restored.

    The processes of `group` share the batches, and all have the result.
    Raises SecateurError when a loss is not finite, naming the utterances.
    """
    training = model.training
    model.eval()
    total, count = 0.0, 0
    for keys in group.part(batches):
        batch = examples.load(keys)
        with ExitStack() as stack:
            for method in methods:
                stack.enter_context(method.evaluating(batch))
            stack.enter_context(computing)
            loss, _, weight = model(**{name: tensor.to(device) for name, tensor in batch.tensors.items()})
        total += _finite(loss.item(), batch, "of the dev set") * int(weight)
        count += int(weight)
    model.train(training)
    total, count = group.add(total, count)
    return total / count


def identity(values: Any, files: Sequence[Path]) -> str:
    """A hash of what a run computes and from what: JSON-able `values`, and the contents of small `files`."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def finish(
    arguments: argparse.Namespace,
    record: dict[str, Any],
    model: torch.nn.Module,
    config: Mapping[str, Any],
    tokens: Sequence[str],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Save a trained model and its history in `arguments.output`, and note what the job's record needs."""
    save_model(arguments.output, model, config, tokens)
    note(arguments, record, next(model.parameters()).device, history)


def note(
    arguments: argparse.Namespace,
    record: dict[str, Any],
    device: torch.device,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Save a training's history in `arguments.output`, and note what the job's record needs."""
    write_tsv(arguments.output / "history.tsv", HISTORY_COLUMNS, history)
    record |= {
        "seed": arguments.seed,
        "device": str(device),
        "precision": str(autocast_dtype(device, arguments.training["precision"]) or torch.float32),
        "steps": arguments.training["steps"],
        "processes": arguments.training.get("processes", 1) * arguments.training.get("nodes", 1),
        "seconds": history[-1]["seconds"],  # of all the pieces of a run that was killed and went on
        LEFT_OVER: arguments.output / STATE,
    }


class _State:
    """The saved state of a run: one safetensors file, with the bookkeeping in its header, and the best checkpoints.

    All processes of a run read it, one of them writes.
    """

    def __init__(self, folder: Path, identity: str, writes: bool = True):
        self.folder, self.identity, self.writes = folder, identity, writes
        self.step, self.seconds, self.losses, self.count = 0, 0.0, 0.0, 0
        self.history: list[dict[str, Any]] = []
        self.best: list[tuple[float, int]] = []

    @property
    def file(self) -> Path:
        return self.folder / "state.safetensors"

    def save(self, model, optimizer, average: MovingAverage, methods: Sequence[Method], seconds: float) -> None:
        if not self.writes:
            return
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        tensors |= {f"average.{name}": value for name, value in average.tensors().items()}
        for index, method in enumerate(methods):
            tensors |= {f"method.{index}.{name}": value for name, value in method.tensors().items()}
        header = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds + seconds,
            "losses": self.losses,
            "count": self.count,
            "history": self.history,
            "best": self.best,
        }
        save_tensors(self.file, tensors, {"state": json.dumps(header)})
        self._forget(step for _, step in self.best)

    def restore(self, model, optimizer, average: MovingAverage, methods: Sequence[Method]) -> None:
        if not self.file.exists():
            return
        try:
            tensors, texts = read_tensors(self.file)
            header = json.loads(texts["state"])
            for _, step in header["best"]:
                load_tensors(self._best_file(step))
        except SecateurError as error:  # a machine lost its power, say
            logging.warning("%s; starting afresh", error)
            self._forget(())
            return
        if header["identity"] != self.identity:
            logging.info("%s: the saved state is of another configuration or code; starting afresh", self.folder)
            self._forget(())
            return
        self.step, self.seconds = header["step"], header["seconds"]
        self.losses, self.count = header["losses"], header["count"]
        self.history, self.best = header["history"], [(loss, step) for loss, step in header["best"]]
        groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimizer": {}, "average": {}, "method": {}}
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            groups[kind][rest] = value
        model.load_state_dict(groups["model"], strict=True)
        parameters = dict(model.named_parameters())
        for name, value in groups["optimizer"].items():
            key, _, parameter = name.partition(".")
            place = parameters[parameter]
            # AdamW's step counter lives on the CPU unless the fused GPU kernel wants it beside the weights.
            optimizer.state[place][key] = value.to(place.device)
        average.restore(groups["average"])
        for index, method in enumerate(methods):
            prefix = f"{index}."
            method.restore(
                {name[len(prefix) :]: value for name, value in groups["method"].items() if name.startswith(prefix)}
            )
        logging.info("%s: resumed at step %d", self.folder, self.step)

    def keep_best(self, model: torch.nn.Module, loss: float, keep: int) -> None:
        """Keep the checkpoint if its dev loss is among the `keep` best; an earlier step wins a tie."""
        if keep < 1:
            return
        best = sorted([*self.best, (loss, self.step)])[:keep]
        if (loss, self.step) in best and self.writes:
            save_tensors(self._best_file(self.step), model.state_dict())
        # Files that fell out go only after the next save: until then a restart still needs them.
        self.best = best

    def average_best(self, model: torch.nn.Module, keep: int) -> None:
        if keep < 1:
            return
        checkpoints = [load_tensors(self._best_file(step)) for _, step in sorted(self.best, key=lambda item: item[1])]
        mean = {}
        for name, value in checkpoints[-1].items():
            if value.is_floating_point():
                value = torch.stack([checkpoint[name].double() for checkpoint in checkpoints]).mean(0).to(value.dtype)
            mean[name] = value
        model.load_state_dict(mean, strict=True)

    def _best_file(self, step: int) -> Path:
        return self.folder / f"best-{step}.safetensors"

    def _forget(self, keep) -> None:
        kept = {self._best_file(step) for step in keep}
        for file in self.folder.glob("best-*.safetensors") if self.writes else ():
            if file not in kept:
                file.unlink()


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
