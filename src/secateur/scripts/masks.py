"""Compare the masks of a study: between languages, between levels, and by layer.

Writes the intersection over union of every pair of languages at one level and of every pair of levels of one language,
and the size and the sparsity of every matrix.
"""

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from secateur.core.files import write_json
from secateur.core.jobs import json_argument
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask, masks_of
from secateur.study.runs import ModelRun, model_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", type=json_argument, required=True, help="the study's configuration: JSON or @FILE")
    parser.add_argument("--root", type=Path, required=True, help="the study's folder")
    parser.add_argument("--output", type=Path, required=True, help="masks.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    runs = [run for run in model_runs(arguments.study) if run.mask_changes is not None]
    write_json(
        arguments.output,
        {"overlaps": list(overlaps(arguments.root, runs)), "matrices": list(matrices(arguments.root, runs))},
    )


def masks(root: Path, run: ModelRun) -> dict[str, Path]:
    """Files of the masks of a model by language; a mask for all goes by the model's scope."""
    files = masks_of(root / run.folder)
    return {run.scope if name == ONE_FOR_ALL else name: file for name, file in files.items()}


def axes(run: ModelRun) -> dict[str, Any]:
    """What masks have in common that are compared; models of one language each belong together."""
    scope = run.scope if run.scope == "all" or "-" in run.scope else "each"
    return {"corpus": run.corpus, "model": run.model, "scope": scope, "seed": run.seed, "method": run.method}


def overlaps(root: Path, runs: list[ModelRun]) -> Iterator[dict[str, Any]]:
    """Rows for every two masks of one method that differ in the language or in the level alone."""
    families: dict[tuple, list[tuple[ModelRun, str, Path]]] = {}
    for run in runs:
        for language, file in masks(root, run).items():
            families.setdefault(tuple(axes(run).values()), []).append((run, language, file))
    for members in families.values():
        loaded = [(run, language, Mask.load(file)) for run, language, file in members]
        for (run_a, a, mask_a), (run_b, b, mask_b) in combinations(loaded, 2):
            if (a == b) == (run_a.sparsity == run_b.sparsity):
                continue
            levels = {"level": run_a.sparsity, "level_b": run_b.sparsity}
            yield axes(run_a) | levels | {"language_a": a, "language_b": b, "iou": mask_a.iou(mask_b)}


def matrices(root: Path, runs: list[ModelRun]) -> Iterator[dict[str, Any]]:
    """The number of weights and the sparsity of every matrix under every mask."""
    for run in runs:
        for language, file in masks(root, run).items():
            mask = Mask.load(file)
            for matrix, sparsity in mask.sparsity_by_matrix().items():
                facts = {"matrix": matrix, "weights": mask[matrix].numel(), "sparsity": sparsity}
                yield axes(run) | {"level": run.sparsity, "language": language} | facts
