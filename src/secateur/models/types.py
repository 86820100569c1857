"""The types of models, one file each, found by listing this folder: those that declare their keys (SCHEMA).

SECTION is the section of the configuration that they belong to, `models` by default. PARTS lists what a search may need
of a model: `ctc`, a head on the encoder, or `joiner`, a transducer's. ONLY_FROM_FOLDERS is true of types that a study
cannot build anew: their models come from folders (`secateur.models.formats`). FIXED is true of types that take no
regularisers. SHOWN is {"called": what a reader calls it}.
"""

from pathlib import Path

from secateur.core.plugins import Plugin, Plugins

TYPES = Plugins("type of model", __package__, Path(__file__).parent, mark="SCHEMA")
CTC = "ctc"
"""The part that models have unless they say otherwise."""
GENERATE = "generate"
"""The part of models that write text by a generation of their own."""

JOINER = "joiner"
"""The part that this project's transducers have."""
JOINT = "joint_network"
"""The part that ESPnet's transducers have."""
ENCODER, DECODER = HALVES = ("encoder", "decoder")
"""What layers are of: the encoder, or the attention decoder of a hybrid model."""
ORDERED = {CTC, GENERATE, JOINER, JOINT}
"""The parts whose loss says which layers a model can do without."""


def of(section: str) -> dict[str, Plugin]:
    """The types that a section of the configuration may name."""
    found = {name: plugin for name, plugin in TYPES.all().items() if plugin.get("SECTION", "models") == section}
    return {name: plugin for name, plugin in found.items() if not plugin.get("ONLY_FROM_FOLDERS")}


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


def is_fixed(name: str) -> bool:
    """Whether a type takes no regularisers: intermediate CTC and stochastic depth."""
    return TYPES.named(name).get("FIXED", False)
