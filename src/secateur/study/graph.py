"""What models are made from, and what is made from them, along all steps."""

from collections.abc import Mapping
from typing import Any

from secateur.study.runs import ModelRun, model_runs, parents, start, steps_of_job


def direct_parents(config: Mapping[str, Any], run: ModelRun) -> dict[str, ModelRun]:
    """The models that a model is made from, by folder; none for a dense model that starts from random weights."""
    found = parents(config, run)
    parts = (found.start, found.ranked, *found.masks.values()) if found else (start(config, run),)
    return {part.folder: part for part in parts if part}


def ancestors(config: Mapping[str, Any], run: ModelRun) -> dict[str, ModelRun]:
    """A model and all that it is made from, by folder."""
    found: dict[str, ModelRun] = {}
    left = [run]
    while left:
        one = left.pop()
        if one.folder not in found:
            found[one.folder] = one
            left += reversed(direct_parents(config, one).values())
    return found


def steps_to_come(config: Mapping[str, Any]) -> dict[str, int]:
    """Optimiser steps of the longest chain of trainings that begins with each model's own, by folder.

    The more there are, the sooner a model should be trained, or all else is done when its descendants only begin.
    """
    runs: dict[str, ModelRun] = {}
    children: dict[str, list[str]] = {}
    left = list(model_runs(config))
    while left:
        run = left.pop()
        if run.folder not in runs:
            runs[run.folder] = run
            for folder, parent in direct_parents(config, run).items():
                children.setdefault(folder, []).append(run.folder)
                left.append(parent)
    longest: dict[str, int] = {}

    def chain(folder: str) -> int:
        if folder not in longest:
            longest[folder] = steps_of_job(config, runs[folder]) + max(map(chain, children.get(folder, ())), default=0)
        return longest[folder]

    for folder in runs:
        chain(folder)
    return longest
