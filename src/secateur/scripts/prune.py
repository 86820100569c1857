"""Prune a model to a sparsity and train what is left, under a mask that is fixed or adapts: one level of a schedule.

The mask keeps the largest weights of --ranked, or as many weights drawn at random; training starts from the weights of
--start. IMP: both are the level before. LTH: --start is the dense model, so the survivors are rewound to it.
Sparsity 0 is fine-tuning.
"""

import argparse
import random
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import write_tsv
from secateur.models import load_model
from secateur.pruning.engines import adaptive
from secateur.pruning.engines.fixed import FixedMask
from secateur.pruning.engines.mask import Mask, mask_file, prunable, weights
from secateur.pruning.engines.ranking import magnitude_mask
from secateur.training import acoustic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=Path, required=True, help="model whose weights training starts from")
    parser.add_argument("--ranked", type=Path, help="model whose weights are ranked (that of --start)")
    parser.add_argument("--within", type=Path, help="mask that the new one must be nested in")
    parser.add_argument("--sparsity", type=float, required=True, help="share of the prunable weights to remove")
    parser.add_argument("--ranking", default="global", choices=["global", "layerwise"], help="what is ranked together")
    parser.add_argument("--random", action="store_true", help="draw the mask at random instead (a control)")
    parser.add_argument("--adapt-every", type=int, help="let the mask adapt every so many steps; default: it is fixed")
    parser.add_argument("--soft", default="regrow", choices=["regrow", "straight_through"], help="between adaptations")
    parser.add_argument("--keep-moments", action="store_true", help="keep the optimiser's moments of pruned weights")
    parser.add_argument("--include", nargs="*", default=[], help="regular expressions: weights that are prunable, too")
    parser.add_argument("--exclude", nargs="*", default=[], help="regular expressions: weights that are not prunable")
    acoustic.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if not 0 <= arguments.sparsity < 1:
        raise SecateurError(f"--sparsity {arguments.sparsity}: wanted the share of weights to remove, 0 to below 1")
    material = acoustic.Material(arguments)
    start = load_model(arguments.start)
    ranked = load_model(arguments.ranked or arguments.start).model
    candidates = weights(ranked, prunable(ranked, arguments.include, arguments.exclude))
    if arguments.random:
        # Another mask for every language: one for all would be a control for sharing, too.
        seed = random.Random(f"{arguments.seed} {' '.join(arguments.languages)}").randrange(2**32)
        mask = Mask.random(candidates, arguments.sparsity, seed)
    else:
        within = Mask.load(arguments.within, candidates) if arguments.within else None
        mask = magnitude_mask(candidates, arguments.sparsity, arguments.ranking, within)
    if arguments.adapt_every:
        method = adaptive.AdaptiveMask(
            mask,
            arguments.sparsity,
            arguments.adapt_every,
            arguments.training["steps"],
            arguments.ranking,
            arguments.soft,
            not arguments.keep_moments,
        )
    else:
        method = FixedMask(mask)
    inputs = [arguments.start / "model.safetensors"]
    inputs += [arguments.ranked / "model.safetensors"] if arguments.ranked else []
    inputs += [arguments.within] if arguments.within else []
    acoustic.fit(arguments, record, material, start.model, start.config, [method], inputs)
    method.mask.check(start.model)
    method.mask.save(mask_file(arguments.output))
    if arguments.adapt_every:
        rows = [dict(zip(adaptive.LOG_COLUMNS, row, strict=True)) for row in method.log]
        write_tsv(arguments.output / "adaptations.tsv", adaptive.LOG_COLUMNS, rows)
    record |= {"sparsity": method.mask.sparsity, "prunable": method.mask.total}
