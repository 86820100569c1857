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
SECTIONS = (DENSE, PRUNE, "layers", "regularise", "exits", "heads", "compose", "export", "streaming", "ssl")
"""The sections of a configuration whose entries say what is run; other sections only define names."""
SEARCHES, METHODS, PATHWAYS = "searches", "methods", "pathways"
SEVERAL = {DENSE: (SEARCHES,), PRUNE: (METHODS, PATHWAYS)}
"""What an entry of a section has several of, each of which is a part."""
OF_ALL = (SIZES_FILE, "masks.json")
"""Files of all models together, which `secateur so-far` makes of those that are there."""
TIMES = "timing/"
"""Where times are. They are measured last, all of a family together, so the page goes without them until then."""


@dataclass(frozen=True)
class Part:
    """An entry of a section; of `dense`, one of its searches; of `prune`, one of its methods or of its pathways.

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
            elif section == DENSE:
                name += "" if entry["scopes"] == ["all"] else f" ({', '.join(entry['scopes'])})"
                found += [
                    Part(f"{section} {name} {search}", section, index, SEARCHES, item)
                    for item, search in enumerate(_several(config, entry, SEARCHES))
                ]
            else:
                found.append(Part(f"{section} {name}", section, index))
    return found


def reduced(config: Mapping[str, Any], chosen: Collection[Part]) -> dict[str, Any]:
    """The configuration with the chosen parts alone."""
    sections = {}
    for section in SECTIONS:
        entries = []
        for index, entry in enumerate(config[section]):
            mine = [part for part in chosen if (part.section, part.index) == (section, index)]
            if mine:
                kept = {}
                for key in SEVERAL.get(section, ()):
                    whole = _several(config, entry, key)
                    some = [item for number, item in enumerate(whole) if (key, number) in _items(mine)]
                    kept |= {} if some == whole else {key: some}
                entries.append(entry | kept)
        sections[section] = entries
    return dict(config) | sections


def _several(config: Mapping[str, Any], entry: Mapping[str, Any], key: str) -> list[Any]:
    """What an entry has several of; a dense model is decoded with the searches of `decode` if it names none."""
    return entry.get(key) or (config["decode"]["searches"] if key == SEARCHES else [])


def _items(chosen: Collection[Part]) -> set[tuple[str, int]]:
    return {(part.key, part.item) for part in chosen}


def needed(config: Mapping[str, Any], chosen: Collection[Part]) -> list[str]:
    """The files, relative to the study's folder, that a report on these parts needs."""
    return [
        file
        for file in table_specs.measured(reduced(config, chosen))
        if file not in OF_ALL and not file.startswith(TIMES)
    ]


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
    """The parts that a report can be made on now: of dense models, and what else is there once all of its models' are.

    `there` says of a file, relative to the study's folder, whether it is there and up to date.
    """
    found = parts(config)
    dense = [part for part in found if part.section == DENSE]
    chosen = [part for part in dense if all(map(there, needed(config, [part])))]
    missing = {config[DENSE][part.index]["model"] for part in dense if part not in chosen}
    for part in found if chosen else ():
        names = {value for value in config[part.section][part.index].values() if isinstance(value, str)}
        if part.section != DENSE and not names & missing and all(map(there, needed(config, [*chosen, part]))):
            chosen.append(part)
    return chosen
