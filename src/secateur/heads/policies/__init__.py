"""The policies that say in which order attention heads go, one file each, and the registry that lists this folder.

A policy makes one order of all heads, whose beginnings are the removals of every share from 0 to 1: they are nested,
and a model of a larger share is a smaller one without further heads.

To add one, add a file here: `some_policy.py` is the policy `some-policy`. The first line of its docstring describes it
in the schema. It has `order(given)`, which takes a `secateur.heads.order.Given` and answers with all heads, and may
have, as literals at the top of the file (`secateur.core.plugins`),

    NEEDS   what is costly to have: `times`, measured beforehand
    BLOCK   the kind of attention that a model must have for it: `encoder-self`, `decoder-self` or `decoder-source`
    SHOWN   {"order": its place in figures}; {"default": True} for one that studies have which name none;
            {"plain": True} for the one that goes by importance alone, with which tables compare the others

Its module is imported only where it is used, and is named by the commands that do: its edits rerun these alone.
"""

from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.core.plugins import Plugins

POLICIES = Plugins("policy", __name__, Path(__file__).parent, hyphens=True)
TIMES = "times"


def plain() -> str:
    """The policy that goes by importance alone. Raises SecateurError if none says that it does."""
    for name, plugin in POLICIES.all().items():
        if plugin.get("SHOWN", {}).get("plain"):
            return name
    raise SecateurError(f"{POLICIES.folder}: no policy goes by importance alone; mark one in its SHOWN as plain")


def needs(name: str) -> tuple[str, ...]:
    """What a policy needs that is costly to have. Raises SecateurError if there is none of this name."""
    return POLICIES.named(name).get("NEEDS", ())


def block(name: str) -> str:
    """The kind of attention that a model must have for a policy; "" if any will do."""
    return POLICIES.named(name).get("BLOCK", "")
