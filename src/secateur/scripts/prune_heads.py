"""Remove a share of a model's attention heads: a smaller checkpoint, which computes what the masked model does.

Beside the checkpoint, removed.json lists the heads that are gone. If the smaller model and the masked one differ, the
job stops and writes nothing.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.heads.importance import read_importance
from secateur.heads.options import IMPORTANCES
from secateur.heads.order import read_times, removal_order, removed_at
from secateur.heads.policies import POLICIES, plain
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model, smaller
from secateur.models.surgery.heads import check_compaction, heads, made_up_batch, remove_heads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--importances", type=Path, required=True, help="importance.tsv of the model")
    parser.add_argument("--importance", default="gradient", choices=IMPORTANCES, help="which of its importances")
    parser.add_argument("--policy", default=plain(), choices=POLICIES.names(), help="what decides the order of removal")
    parser.add_argument("--times", type=Path, help="times.json of the architecture, for policies that need them")
    parser.add_argument("--share", type=float, required=True, help="share of the heads to remove, 0 to 1")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new checkpoint")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_model(arguments.model)
    importance = read_importance(arguments.importances, arguments.importance)
    if importance.keys() != set(heads(loaded.model)):
        raise SecateurError(
            f"{arguments.importances}: is of other heads than {arguments.model} has; estimate them for this model"
        )
    times = read_times(arguments.times) if arguments.times else None
    order = removal_order(arguments.policy, importance, times)
    removed = removed_at(order, arguments.share)
    model = remove_heads(copy.deepcopy(loaded.model), removed)
    difference = check_compaction(loaded.model, removed, model, made_up_batch(loaded.model))
    save_model(arguments.output, model, smaller(loaded.config, model), loaded.tokens)
    write_json(
        arguments.output / "removed.json", {"heads": len(order), "removed": [head._asdict() for head in removed]}
    )
    record |= {"heads": len(order), "heads_removed": len(removed), "difference": difference}
