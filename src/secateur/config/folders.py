"""Files and folders that a configuration names: `~` is the home folder; what is no such thing is said."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secateur.core.foreign import like_hub_id, no_folder, pointer
from secateur.speech import corpora
from secateur.ssl.known_tasks import paths

CLONE = Path(__file__).resolve().parents[3]
"""Where the package is run from, if that is a clone."""


def expand(config: dict[str, Any]) -> None:
    """Put the home folder in the place of `~`, and find `pretrained/NAME` of the clone from any working directory."""
    for _, holder, key in _places(config):
        holder[key] = os.path.expanduser(holder[key])
        if key == "pretrained" and not Path(holder[key]).exists() and (CLONE / holder[key]).is_dir():
            holder[key] = str(CLONE / holder[key])


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the paths of a study."""
    for where, holder, key in _places(config):
        path = holder[key]
        if "{" in path or "}" in path:
            yield f"{where}: {path!r} has braces, which are Snakemake's; allowed: a link to it of another name (ln -s)"
        if where.endswith((".root", ".folder", ".test_root")):
            if Path(path).is_file() or like_hub_id(path):
                yield str(no_folder(path, where))
        elif problem := pointer(path):
            yield f"{where}: {problem}"


def _places(config: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name of the key, what holds it, its last part) of everything that is a path."""
    found: list[tuple[str, Any, tuple[Any, ...]]] = []
    for name, corpus in config["corpora"].items():
        found += [(f"corpora.{name}{below}", holder, keys) for below, holder, keys in corpora.paths(corpus)]
    for name, lm in config["language_models"].items():
        text = lm.get("text") or {}
        found += [(f"language_models.{name}.text", text, tuple(text)), (f"language_models.{name}", lm, ("pretrained",))]
    for name, model in config["models"].items():
        found.append((f"models.{name}", model, ("pretrained",)))
    for index, entry in enumerate(config["ssl"]):
        found.append((f"ssl[{index}]", entry, ("folder",)))
        for task, options in entry["tasks"].items():
            found.append((f"ssl[{index}].tasks.{task}", options, paths(task)))
    for where, holder, keys in found:
        for key in keys:
            value = holder.get(key)
            if isinstance(value, list):
                yield from ((f"{where}.{key}[{number}]", value, number) for number in range(len(value)))
            elif value is not None:
                yield f"{where}.{key}", holder, key
