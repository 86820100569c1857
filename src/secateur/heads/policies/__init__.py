"""The policies that say in which order attention heads go, one file each, and the registry that lists this folder.

A policy makes one order of all heads, whose beginnings are the removals of every share from 0 to 1: they are nested,
and a model of a larger share is a smaller one without further heads.

To add one, add a file here: `some_policy.py` is the policy `some-policy`. The first line of its docstring describes it
in the schema. It has `order(given)`, which takes a `secateur.heads.order.Given` and answers with all heads, and may
have, as literals at the top of the file (`secateur.core.plugins`),

    NEEDS   what is costly to have: `times`, measured beforehand
    SHOWN   {"order": its place in figures}

Its module is imported only where it is used, and is named by the commands that do: its edits rerun these alone.
"""

from pathlib import Path

from secateur.core.plugins import Plugins

POLICIES = Plugins("policy", __name__, Path(__file__).parent, hyphens=True)
TIMES = "times"


def needs(name: str) -> tuple[str, ...]:
    """What a policy needs that is costly to have. Raises SecateurError if there is none of this name."""
    return POLICIES.named(name).get("NEEDS", ())
