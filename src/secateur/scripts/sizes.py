"""Measure what the models of a study cost: parameters, bytes on disk, arithmetic per second of audio, memory.

One process for all models: loading torch takes longer than measuring a model.
"""

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from secateur.core.files import write_json
from secateur.core.jobs import json_argument
from secateur.heads.study import checkpoints
from secateur.models.load import load_model
from secateur.models.size import size
from secateur.pruning.engines.mask import Mask, masks_of, union
from secateur.study.runs import model_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", type=json_argument, required=True, help="the study's configuration: JSON or @FILE")
    parser.add_argument("--root", type=Path, required=True, help="the study's folder")
    parser.add_argument("--output", type=Path, required=True, help="sizes.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    folders = [run.folder for run in (*model_runs(arguments.study), *checkpoints(arguments.study))]
    results = {folder: cost(arguments.root / folder) for folder in tqdm(folders, desc="sizes", disable=None)}
    write_json(arguments.output, results)


def cost(folder: Path) -> dict[str, Any]:
    """The size of one model; of a pruned one also what its masks take and keep.

    `sparsity` is the share of the prunable weights that a mask removes, the mean over its masks; `prunable` the number
    of prunable weights, `kept` how many of them each mask keeps, `kept_by_any` how many at least one of them.
    """
    loaded = load_model(folder)
    result = size(loaded.model, loaded.config["features"]) | {"bytes": (folder / "model.safetensors").stat().st_size}
    files = list(masks_of(folder).values())
    if files:
        masks = [Mask.load(file) for file in files]
        result |= {
            "sparsity": fmean(mask.sparsity for mask in masks),
            "mask_bytes": sum(file.stat().st_size for file in files),
            "prunable": masks[0].total,
            "kept": [mask.kept for mask in masks],
            "kept_by_any": union(masks).kept,
        }
    return result
