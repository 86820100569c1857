"""The parts that a report grows by: dense models first, then system after system. No heavy imports.

A part that is finished is a smaller study: `reduced` gives the configuration of the parts that are, whose tables need
no file but those that are there.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from secateur.reporting import table as table_specs
from secateur.reporting.results import SIZES_FILE

DENSE, PRUNE = "dense", "prune"
SECTIONS = (DENSE, PRUNE, "layers", "regularise", "heads", "ssl")
"""The sections of a configuration whose entries say what is run; other sections only define names."""
METHODS, PATHWAYS = "methods", "pathways"
"""What an entry of `prune` has several of."""
OF_ALL = (SIZES_FILE, "masks.json")
"""Files of all models together, which `secateur so-far` makes of those that are there."""


@dataclass(frozen=True)
class Part:
    """An entry of a section; of `prune`, one of its methods or of its pathways.

    Attributes:
        name: what people call it.
        section, index: where it stands in the configuration.
        key, item: which of several the entry has.
    """

    name: str
    section: str
    index: int
    key: str = ""
    item: int = 0


def parts(config: Mapping[str, Any]) -> list[Part]:
    """The parts of a study's report, in the order in which they come into it."""
    found: list[Part] = []
    for section in SECTIONS:
        for index, entry in enumerate(config[section]):
            name = f"{entry.get('model') or entry['name']}"
            if len({other["corpus"] for other in config[section]}) > 1:
                name += f" on {entry['corpus']}"
            if section == PRUNE:
                name += f" {entry['variant']}" if entry["variant"] else ""
                found += [
                    Part(f"{method} of {name}", section, index, METHODS, item)
                    for item, method in enumerate(entry[METHODS])
                ]
                found += [
                    Part(f"{each['method']} {item + 1} of {name}", section, index, PATHWAYS, item)
                    for item, each in enumerate(entry[PATHWAYS])
                ]
            else:
                scopes = entry["scopes"] if section == DENSE else ["all"]
                name += "" if scopes == ["all"] else f" ({', '.join(scopes)})"
                found.append(Part(f"{section} {name}", section, index))
    return found


def reduced(config: Mapping[str, Any], chosen: Collection[Part]) -> dict[str, Any]:
    """The configuration with the chosen parts alone."""
    sections = {}
    for section in SECTIONS:
        entries = []
        for index, entry in enumerate(config[section]):
            mine = [part for part in chosen if (part.section, part.index) == (section, index)]
            if mine and section == PRUNE:
                kept = {
                    key: [item for number, item in enumerate(entry[key]) if (key, number) in _items(mine)]
                    for key in (METHODS, PATHWAYS)
                }
                entries.append(entry | kept)
            elif mine:
                entries.append(entry)
        sections[section] = entries
    return dict(config) | sections


def _items(chosen: Collection[Part]) -> set[tuple[str, int]]:
    return {(part.key, part.item) for part in chosen}


def needed(config: Mapping[str, Any], chosen: Collection[Part]) -> list[str]:
    """The files, relative to the study's folder, that a report on these parts needs."""
    return [file for file in table_specs.measured(reduced(config, chosen)) if file not in OF_ALL]


def files_by_part(config: Mapping[str, Any], root: str) -> dict[str, list[str]]:
    """For each part by name the files that it adds, below `root`; for dense models all that they need."""
    found = parts(config)
    dense = [part for part in found if part.section == DENSE]
    before = set(needed(config, dense))
    answer = {}
    for part in found:
        if part.section == DENSE:
            files = needed(config, [part])
        else:
            files = [file for file in needed(config, [*dense, part]) if file not in before]
        answer[part.name] = [f"{root}/{file}" for file in files]
    return answer


def finished(config: Mapping[str, Any], there: Callable[[str], bool]) -> list[Part]:
    """The parts that a report can be made on now: dense models, and what else is there once all of these are.

    `there` says of a file, relative to the study's folder, whether it is there and up to date.
    """
    found = parts(config)
    dense = [part for part in found if part.section == DENSE]
    chosen = [part for part in dense if all(map(there, needed(config, [part])))]
    if chosen != dense:
        return chosen
    for part in found:
        if part.section != DENSE and all(map(there, needed(config, [*dense, part]))):
            chosen.append(part)
    return chosen
