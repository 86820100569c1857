"""The jobs of compositions: one a step, each as a command of the slice that the step is of."""

from typing import Any

from secateur.compose import study as compose
from secateur.heads import commands as heads
from secateur.layers import commands as layers
from secateur.layers.study import order_file
from secateur.pruning import commands as pruning
from secateur.pruning import methods
from secateur.study.command import Command
from secateur.study.paths import Paths, run_of


def keep_layers(paths: Paths, at: Any) -> Command:
    """The model before without some of its encoder's layers, or its decoder's."""
    run = run_of(at)
    step, before = compose.found(paths.config, run)[1][-1], compose.before(paths.config, run)
    return layers.export_depth(paths, before, order_file(before, step.strategy, step.of), step.layers)


def remove_heads(paths: Paths, at: Any) -> Command:
    """The model before without a share of its heads."""
    run = run_of(at)
    (entry, chain), before = compose.found(paths.config, run), compose.before(paths.config, run)
    return heads.without_share(paths, before, entry["importance"], chain[-1].policy, chain[-1].heads)


def remove_channels(paths: Paths, at: Any) -> Command:
    """The model before without a share of the channels of its front end."""
    (entry, chain), before = compose.found(paths.config, run_of(at)), compose.before(paths.config, run_of(at))
    return heads.without_channels(paths, before, entry["utterances"], chain[-1].channels)


def mask(paths: Paths, at: Any) -> Command:
    """The model before under a mask, which is one for all languages."""
    step = compose.found(paths.config, run_of(at))[1][-1]
    schedule = compose.schedule_of(paths.config, step)
    return pruning.by_method(paths, at, methods.named(step.mask), schedule, step.sparsity, ends=True)


def recover(paths: Paths, at: Any) -> Command:
    """The model before, trained on."""
    return heads.trained_on(paths, at, compose.before(paths.config, run_of(at)))
