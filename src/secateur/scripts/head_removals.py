"""List which attention heads a model loses, by importance, policy and share, and what it then costs.

If a model without some heads computes anything else than the one where they are masked, the job stops.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.heads.importance import read_importance
from secateur.heads.options import IMPORTANCES
from secateur.heads.order import doubt_of, read_times
from secateur.heads.policies import POLICIES, TIMES, needs
from secateur.heads.removals import removals
from secateur.models.load import load_model
from secateur.models.surgery.heads import heads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--importances", type=Path, required=True, help="importance.tsv of the model")
    parser.add_argument("--times", type=Path, help="times.json of the architecture, for policies that need them")
    parser.add_argument("--systems", nargs="+", required=True, help="pairs such as gradient/global")
    parser.add_argument("--shares", type=float, nargs="+", required=True, help="shares of the heads to remove, 0 to 1")
    parser.add_argument("--output", type=Path, required=True, help="removals.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded = load_model(arguments.model)
    systems = [tuple(text.split("/")) for text in arguments.systems]
    for text, system in zip(arguments.systems, systems, strict=True):
        if len(system) != 2 or system[0] not in IMPORTANCES or system[1] not in POLICIES.names():
            raise SecateurError(
                f"--systems: {text!r}; give IMPORTANCE/POLICY, of {', '.join(IMPORTANCES)} and "
                f"{', '.join(POLICIES.names())}"
            )
    found = {name: read_importance(arguments.importances, name) for name, _ in systems}
    if any(values.keys() != set(heads(loaded.model)) for values in found.values()):
        raise SecateurError(
            f"{arguments.importances}: is of other heads than {arguments.model} has; estimate them for this model"
        )
    times = read_times(arguments.times) if arguments.times else None
    content = removals(loaded.model, found, systems, arguments.shares, times, loaded.config["features"])
    doubt = doubt_of(arguments.times) if arguments.times else ""
    policies = dict.fromkeys(policy for _, policy in systems if TIMES in needs(policy))
    write_json(arguments.output, content | {"doubts": dict.fromkeys(policies, doubt) if doubt else {}})
    record["sets"] = len(content["sets"])
