"""A trained model trained on at several learning rates, the model as it was among the candidates: dev data decide.

A rate that serves a random model ruins an annealed one, and which rate serves what was removed nobody knows beforehand.
So every rate is tried with all its steps, and that model is kept which has the lowest dev loss; if none has a lower one
than before the first step, the model stays as it was. The record has them all.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.training.acoustic import Material, learn
from secateur.training.hooks import TrainingHook
from secateur.training.task import Task

History = list[dict[str, Any]]


@dataclass(frozen=True)
class Best:
    """What trials found.

    Attributes:
        model: that with the lowest dev loss.
        rate: at which it was trained; 0 if that is the model as it was.
        history: of the best of the trainings.
        trials: of every rate, `rate` and `dev_loss`, that of the mean of its best checkpoints, in nats.
    """

    model: torch.nn.Module
    rate: float
    history: History
    trials: list[dict[str, float]]


def best_of(
    task: Task,
    material: Material,
    start: torch.nn.Module,
    rates: Sequence[float],
    dev_loss: Callable[[torch.nn.Module], float],
    hooks: Callable[[torch.nn.Module], Sequence[TrainingHook]] = lambda model: (),
    inputs: Sequence[Path] = (),
) -> Best:
    """Train copies of `start`, one at each of the rates, on the same batches, and choose by dev loss.

    Args:
        dev_loss: of a model.
        hooks: take part in the training of a model.
        inputs: as for `secateur.training.acoustic.fit`.

    Each training saves its state in a folder of its own, so that a killed job repeats none that is finished.
    Raises SecateurError for rates that are none, not above 0, or twice the same, and with several processes.
    """
    if not rates or min(rates) <= 0 or len(set(rates)) < len(rates):
        raise SecateurError(f"--rates: {', '.join(map(str, rates)) or 'none'}; wanted different rates above 0")
    if task.options.processes * task.options.nodes > 1:
        raise SecateurError("--rates: several rates are tried by one process; set processes and nodes to 1")
    lowest, model, chosen = dev_loss(start), start, 0.0
    history: History = []
    best_trial, trials = float("inf"), []
    for rate in rates:
        other = copy.deepcopy(start)
        one = replace(task, options=replace(task.options, learning_rate=rate))
        rows = learn(one, material, other, hooks(other), inputs, task.state / f"rate-{rate:g}")
        loss = dev_loss(other)
        trials.append({"rate": rate, "dev_loss": loss})
        if loss < best_trial:
            best_trial, history = loss, rows
        if loss < lowest:
            lowest, model, chosen = loss, other, rate
    return Best(model, chosen, history, trials)
