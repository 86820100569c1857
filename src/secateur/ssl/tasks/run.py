"""All tasks of one upstream, which share its hidden states."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.core.foreign import no_folder
from secateur.ssl.options import head_training
from secateur.ssl.tasks import TASKS, Data, Result, Task, check, module, prompts
from secateur.ssl.tasks.clips import total_seconds
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden
from secateur.ssl.tasks.metrics import over_heads

DIRECTORIES, OFFICIAL = "directories", "official"
KEPT = 1000
"""Values on resampled items that are kept of every metric: those of two upstreams are of the same draws, so that their
differences make an interval of the difference."""


def load(name: str, options: Mapping[str, Any], corpus: prompts.Corpus) -> Data:
    """The data of a task, checked. `options["source"]` says from where: `directories` (of `corpus`) or `official`."""
    task = module(name)
    if options["source"] == DIRECTORIES:
        if task.TASK.missing:
            raise SecateurError(f"ssl[].tasks.{name}: {task.TASK.missing}; give the official corpus, or leave it out")
        data = task.from_directories(corpus, options)
    else:
        for key in ("root", "test_root"):
            if options.get(key) and not Path(options[key]).is_dir():
                raise no_folder(options[key], f"ssl[].tasks.{name}.{key}")
        data = task.official(options)
    check(data, name)
    return data


def run(
    tasks: Mapping[str, Mapping[str, Any]], corpus: prompts.Corpus, hidden: Hidden, fit: Fit
) -> dict[str, dict[str, Any]]:
    """Run `tasks` (options by name) in the order of `TASKS`; what each measured, ready for JSON.

    A task trains as many heads as its `training` says (`heads`), with seeds of their own, and measures their mean.

    Clips are encoded first, those whose frames are wanted before those of which means are enough, so none is encoded
    twice. Training that was killed resumes if the same is run again; finished tasks only load their heads.
    """
    data = {name: load(name, tasks[name], corpus) for name in in_order(tasks)}
    for pooled in (False, True):
        for name, each in data.items():
            if module(name).TASK.pooled == pooled:
                hidden.prepare(each.clips, frames=not pooled)
    found = {}
    for number, (name, each) in enumerate(data.items()):
        progress.JOB.part(number, len(data))
        started = time.monotonic()
        heads = head_training(tasks[name]).heads
        results = [module(name).run(each, hidden, fit.again(number), tasks[name]) for number in range(heads)]
        result = joined(results, fit.seed)
        seconds = time.monotonic() - started
        found[name] = described(module(name).TASK, each, result, seconds)
        for metric, value in result.metrics.items():
            logging.info(
                "%s: %s %.2f %% [%.2f, %.2f], %.1f s", name, metric, value.value, value.low, value.high, seconds
            )
    return found


def in_order(names: Iterable[str]) -> list[str]:
    """`names` in the order of `TASKS`; a SecateurError for one that is not among these."""
    return sorted(names, key=lambda name: TASKS.names().index(TASKS.named(name).name))


def joined(results: Sequence[Result], seed: int) -> Result:
    """What several heads measured, as one; the details are the first one's, with the values of all."""
    first = results[0]
    if len(results) == 1:
        return first
    metrics = {name: over_heads([each.metrics[name] for each in results], seed) for name in first.metrics}
    values = {name: [each.metrics[name].value for each in results] for name in metrics}
    return Result(metrics, {**first.details, "heads": values})


def described(task: Task, data: Data, result: Result, seconds: float) -> dict[str, Any]:
    """A task's measurements, with what is needed to read them."""
    splits = [items for items in (data.items, *data.folds) if items]
    return {
        "title": task.title,
        "metrics": {
            metric.name: {
                "value": result.metrics[metric.name].value,
                "low": result.metrics[metric.name].low,
                "high": result.metrics[metric.name].high,
                "higher_is_better": metric.higher,
                "scored": metric.scored and not data.confounded,
                "chance": data.chance.get(metric.name),
                "units": list(result.metrics[metric.name].resampled.sizes or ()),
                "heads": list(result.metrics[metric.name].heads) or [result.metrics[metric.name].value],
                "draws": [round(float(draw), 4) for draw in result.metrics[metric.name].resampled.draws[:KEPT]],
            }
            for metric in task.metrics
            if metric.name in result.metrics
        },
        "notes": "; ".join(filter(None, (data.confounded, data.notes))),
        "clips": {split: len(items) for split, items in splits[0].items()},
        "audio_seconds": {
            split: round(total_seconds(item.clip for item in items), 2) for split, items in splits[0].items()
        },
        "details": dict(result.details),
        "seconds": round(seconds, 3),
    }
