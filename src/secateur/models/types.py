"""The types of models, one file each, found by listing this folder: those that declare their keys (SCHEMA).

SECTION is the section of the configuration that they belong to, `models` by default. PARTS lists what a search may need
of a model: `ctc`, a head on the encoder, or `joiner`, a transducer's. SHOWN is {"called": what a reader calls it}.
With FROM_FOLDERS, models of the type come from folders alone (`secateur.models.formats`): no study describes one.
"""

from pathlib import Path

from secateur.core.plugins import Plugin, Plugins

TYPES = Plugins("type of model", __package__, Path(__file__).parent, mark="SCHEMA")
CTC = "ctc"
"""The part that models have unless they say otherwise."""


def of(section: str) -> dict[str, Plugin]:
    """The types that a section of the configuration may name."""
    return {name: plugin for name, plugin in TYPES.all().items() if plugin.get("SECTION", "models") == section}


def section(name: str) -> str:
    """The section of the configuration that a type belongs to."""
    return TYPES.named(name).get("SECTION", "models")


def called(name: str) -> str:
    """What a reader calls a type."""
    return TYPES.named(name).get("SHOWN", {}).get("called", name)


def module(name: str) -> str:
    """The module of a type. Raises SecateurError if there is none."""
    return TYPES.named(name).module


def parts(name: str) -> tuple[str, ...]:
    """What searches may use of a type."""
    return TYPES.named(name).get("PARTS", (CTC,))
