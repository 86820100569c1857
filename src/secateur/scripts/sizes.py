"""Measure what the models of a study cost: parameters, bytes on disk, arithmetic per second of audio, memory.

One process for all models: loading torch takes longer than measuring a model. Bytes are those of files: of the
checkpoints themselves, and of files that are written for the purpose and not kept: sparse ones of models with masks,
and those of sub-models, which have no checkpoint. What searches make of the training text (a lexicon, an n-gram) is
written and kept.
"""

import argparse
import copy
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from secateur.compose.study import bare_runs
from secateur.core.files import write_json
from secateur.core.jobs import json_argument
from secateur.decoding.search import module
from secateur.heads.study import checkpoints
from secateur.models.checkpoint import stored_bytes
from secateur.models.load import Loaded, load_model
from secateur.models.size import parameter_counts, size
from secateur.models.surgery.layers import Kept, read_depths
from secateur.pruning.engines.mask import masks_of
from secateur.pruning.sparse import chosen_masks, sparse_bytes
from secateur.speech.datadir import read_table
from secateur.speech.tokens import Tokenizer
from secateur.study.runs import model_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", type=json_argument, required=True, help="the study's configuration: JSON or @FILE")
    parser.add_argument("--root", type=Path, required=True, help="the study's folder")
    parser.add_argument(
        "--layers", type=json_argument, default={}, help="JSON: model → files of layer-search; both below ROOT"
    )
    parser.add_argument("--lms", nargs="*", default=[], help="folders of language models, below ROOT")
    parser.add_argument(
        "--lexicons",
        type=json_argument,
        default={},
        help="JSON: folder to write, below ROOT → {search, texts: files, tokens: file}",
    )
    parser.add_argument("--output", type=Path, required=True, help="sizes.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    root, study = arguments.root, arguments.study
    folders = [run.folder for run in (*model_runs(study), *checkpoints(study), *bare_runs(study))]
    results = {}
    for folder in tqdm(folders, desc="sizes", disable=None):
        loaded = load_model(root / folder)
        results[folder] = cost(root / folder, loaded)
        if files := arguments.layers.get(folder):
            results[folder]["sub_models"] = sub_models(loaded, [root / file for file in files])
    for folder in arguments.lms:
        results[folder] = parameter_counts(load_model(root / folder).model) | {"bytes": checkpoint_bytes(root / folder)}
    for folder, made in arguments.lexicons.items():
        results[folder] = lexicon(root / folder, made["search"], made["texts"], made["tokens"])
    write_json(arguments.output, results)


def lexicon(folder: Path, search: Mapping[str, Any], texts: Sequence[str], tokens: str) -> dict[str, int]:
    """Write what a search makes of training texts, and measure it."""
    sentences = [text for file in texts for text in read_table(Path(file)).values()]
    numbers = import_module(module(search["type"])).save(folder, sentences, Tokenizer.load(Path(tokens)), search)
    stored = sum(file.stat().st_size for file in folder.iterdir())
    return {"parameters": numbers, "nonzero": numbers, "bytes": stored}


def cost(folder: Path, loaded: Loaded) -> dict[str, Any]:
    """The size of one model; of a pruned one also what its masks take.

    `sparsity` is the share of the prunable weights that a mask removes, the mean over its masks; `mask_bytes` those of
    its masks; `sparse_bytes` those of a sparse file of the model and all its masks, `sparse_bytes_each`, by language,
    with one of them.
    """
    result = size(loaded.model, loaded.config["features"]) | {"bytes": checkpoint_bytes(folder)}
    if files := masks_of(folder):
        masks, tensors = chosen_masks(folder), loaded.model.state_dict()
        each = {name: sparse_bytes(tensors, {name: mask}) for name, mask in masks.items()}
        result |= {
            "sparsity": fmean(mask.sparsity for mask in masks.values()),
            "mask_bytes": sum(file.stat().st_size for file in files.values()),
            "sparse_bytes": sparse_bytes(tensors, masks) if len(masks) > 1 else next(iter(each.values())),
            "sparse_bytes_each": each,
        }
    return result


def sub_models(loaded: Loaded, files: list[Path]) -> dict[str, dict[str, Any]]:
    """The size of every sub-model that searches found, by its layers as tables name them: `1,2,5`."""
    found = {kept.name: kept for file in files for kept in read_depths(file).values()}
    return {name: _cost_of(loaded, kept) for name, kept in found.items()}


def _cost_of(loaded: Loaded, kept: Kept) -> dict[str, Any]:
    model = kept.apply_(copy.deepcopy(loaded.model))
    return size(model, loaded.config["features"]) | {"bytes": stored_bytes(model)}


def checkpoint_bytes(folder: Path) -> int:
    """The bytes of a checkpoint's tensors."""
    return (folder / "model.safetensors").stat().st_size
