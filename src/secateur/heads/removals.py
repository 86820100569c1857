"""Which heads a model loses by importance, policy and share: one file for a whole sweep, whose sets are each made once.

    systems    for every importance, policy and share: its set, and the number of heads that are gone
    sets       by name: the heads removed, how far the compacted model is off the masked one, and what it costs
    whole      what the whole model costs, and how many heads it has
    doubts     by policy: why the times that it goes by are not to be relied on, where that is so

A set is named by the first system that has it.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from secateur.core.files import read_json
from secateur.heads.order import Times, removal_order, removed_at
from secateur.models.checkpoint import stored_bytes
from secateur.models.size import size
from secateur.models.surgery.heads import Head, check_compaction, heads, made_up_batch, remove_heads


def removals(
    model: torch.nn.Module,
    importances: Mapping[str, Mapping[Head, float]],
    systems: Sequence[tuple[str, str]],
    shares: Sequence[float],
    times: Times | None,
    bins: int,
) -> dict[str, Any]:
    """The content of the file, without `doubts`.

    Args:
        model: in evaluation mode, on the CPU.
        importances: of every head, by name.
        systems: pairs of importance and policy.
        bins: features per frame.

    Raises SecateurError when a compacted model differs from the masked one, and as `removal_order` does.
    """
    batch, rows, sets = made_up_batch(model), [], {}
    names: dict[frozenset[Head], str] = {}
    for importance, policy in systems:
        order = removal_order(policy, importances[importance], times)
        for share in shares:
            removed = removed_at(order, share)
            name = names.setdefault(frozenset(removed), f"{importance} {policy} {share:g}")
            axes = {"importance": importance, "policy": policy, "share": share}
            rows.append(axes | {"heads_removed": len(removed), "set": name})
            if name not in sets:
                compacted = without(model, removed)
                sets[name] = {
                    "removed": [list(head) for head in removed],
                    "difference": check_compaction(model, removed, compacted, batch),
                    **_cost(compacted, bins),
                }
    return {"systems": rows, "sets": sets, "whole": {"heads": len(heads(model)), **_cost(model, bins)}}


def sub_models(model: torch.nn.Module, file: str | Path) -> Iterator[tuple[str, torch.nn.Module]]:
    """A copy of `model` without each set of heads of a file, by the name of the set."""
    for name, found in read_json(file)["sets"].items():
        yield name, without(model, [Head(*head) for head in found["removed"]])


def without(model: torch.nn.Module, removed: Sequence[Head]) -> torch.nn.Module:
    """A copy of a model without some heads."""
    return remove_heads(copy.deepcopy(model), removed)


def _cost(model: torch.nn.Module, bins: int) -> dict[str, Any]:
    return size(model, bins) | {"bytes": stored_bytes(model)}
