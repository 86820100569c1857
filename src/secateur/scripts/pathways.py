"""Train one shared set of weights with a mask for each language: ASR Pathways, fixed or dynamic.

With --levels the masks adapt (Dynamic ASR Pathways): they start at the first level, every --interval steps all
languages step up to the next one, and --adapt-every counts the steps of a language. --training gives the optimiser and
the number of steps; with --levels that number must be their count times the interval.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.models import load_model
from secateur.pruning.engines import dynamic
from secateur.pruning.engines.mask import Mask, mask_file
from secateur.pruning.engines.pathways import Pathways, Turns, union
from secateur.training import acoustic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, required=True, help="dense model to start from")
    parser.add_argument(
        "--masks", type=Path, nargs="+", required=True, help="initial masks, in the order of --languages"
    )
    parser.add_argument("--levels", type=float, nargs="+", help="sparsities of dynamic pathways; default: fixed masks")
    parser.add_argument("--interval", type=int, help="steps at each level (T)")
    parser.add_argument("--adapt-every", type=int, help="steps of a language between adaptations of its mask (n)")
    parser.add_argument("--ranking", default="global", choices=["global", "layerwise"], help="what is ranked together")
    parser.add_argument("--keep-moments", action="store_true", help="keep the optimiser's moments of pruned weights")
    acoustic.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    material = acoustic.Material(arguments, monolingual=True)
    material.plan = Turns(material.plan)
    start = load_model(arguments.start)
    files = dict(zip(arguments.languages, arguments.masks, strict=True))
    masks = {language: Mask.load(file) for language, file in files.items()}
    steps = arguments.training["steps"]
    if arguments.levels:
        if steps != len(arguments.levels) * arguments.interval:
            raise SecateurError(
                f"--training: {steps} steps; {len(arguments.levels)} levels of {arguments.interval} steps are "
                f"{len(arguments.levels) * arguments.interval}"
            )
        method = dynamic.DynamicPathways(
            masks,
            arguments.levels,
            arguments.interval,
            arguments.adapt_every,
            arguments.ranking,
            not arguments.keep_moments,
        )
    else:
        method = Pathways(masks, steps)
    inputs = [arguments.start / "model.safetensors", *arguments.masks]
    acoustic.fit(arguments, record, material, start.model, start.config, [method], inputs)
    union(method.masks.values()).check(start.model)
    for language, mask in method.masks.items():
        mask.save(mask_file(arguments.output, language))
    if arguments.levels:
        rows = [dict(zip(dynamic.LOG_COLUMNS, row, strict=True)) for row in method.log]
        write_tsv(arguments.output / "adaptations.tsv", dynamic.LOG_COLUMNS, rows)
    record["sparsity"] = {language: mask.sparsity for language, mask in method.masks.items()}
