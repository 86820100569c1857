"""Language models that are pruned ones of others: `language_models: NAME: {pruned: {of: OTHER, heads: 0.5}}`.

The entry becomes that of the other one, with what goes under the key `pruned`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from secateur.core.errors import SecateurError
from secateur.study.checks import unknown
from secateur.study.own import AS_IT_IS, UNTRAINED

WAYS = ("layers", "heads", "sparsity")


def expand(config: dict[str, Any]) -> None:
    """Put the entry of the whole language model in the place of each that prunes it.

    Raises SecateurError for one that is not there, or is pruned itself.
    """
    models = config["language_models"]
    whole = {name: entry for name, entry in models.items() if "pruned" not in entry}
    for name, entry in models.items():
        if "pruned" in entry:
            of = entry["pruned"]["of"]
            if of not in whole:
                raise SecateurError(unknown(f"language_models.{name}.pruned.of", of, "those that are whole", whole))
            kept = {key: value for key, value in whole[of].items() if key != "own"}
            models[name] = {**kept, "training": entry["training"] or AS_IT_IS, "pruned": entry["pruned"]}
            if not entry["training"]:
                config["training"][AS_IT_IS] = UNTRAINED


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with them."""
    for name, entry in config["language_models"].items():
        if not (pruned := entry.get("pruned")):
            continue
        where = f"language_models.{name}.pruned"
        if not any(pruned[key] for key in WAYS):
            yield f"{where}: nothing goes; allowed: one at least of {', '.join(WAYS)}"
        if (layers := pruned["layers"]) and "layers" in entry and not layers <= entry["layers"]:
            yield f"{where}.layers: {layers}; allowed: 1 to {entry['layers']}, {pruned['of']!r} has as many layers"


def said(entry: Mapping[str, Any]) -> str:
    """How a language model was made smaller, for a reader; "" of a whole one."""
    if not (pruned := entry.get("pruned")):
        return ""
    parts = [f"{pruned['layers']} layers"] if pruned["layers"] else []
    parts += [f"{100 * pruned['heads']:g} % of the heads removed"] if pruned["heads"] else []
    parts += [f"{100 * pruned['sparsity']:g} % of the weights zero"] if pruned["sparsity"] else []
    return f"{pruned['of']}: {', '.join(parts)}"
