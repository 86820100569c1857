"""Two studies, or one study twice, side by side: the systems that both have, and what the two runs differ in.

Both are read from their folders alone, without their configurations: what was decoded is in `utterances.tsv`, and how
it was made in the `run.json` beside it and beside its model.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv
from secateur.reporting.compared import number, two_sided
from secateur.speech.datadir import read_table
from secateur.statistics.estimates import TestSet, difference, error_rate

COLUMNS = (
    *("corpus", "model", "scope", "method", "level", "split", "search", "sub_model", "language", "seeds"),
    *("utterances", "left_out", "differing", "wer_a", "wer_b"),
    *("difference", "difference_low", "difference_high", "p_value"),
)
"""The difference is B minus A, in percentage points; `differing` utterances have other errors in B, in any seed."""
AVERAGE = "avg"
CONFIGURATION, CODE, VERSIONS, HARDWARE = "configuration", "code", "versions", "hardware"
DECODED = ("**/decode", "*depths", "exits", "onnx")
"""Folders in that of a model, of whole models or of parts of one, whose folders are named after searches."""
TRAINED = ("models", "lm", "upstreams")
"""Folders in that of a study whose records are compared."""
PLACES = ("output", "run_json", "keep")
"""Arguments that say where results go, or repeat the code."""
OF_CODE, OF_HARDWARE = ("code", "git"), ("host", "processor", "device", "threads", "precision", "processes")


@dataclass(frozen=True)
class System:
    """A model with a search on a split, over seeds: the parts of its path, and which of several sub-models it is."""

    corpus: str
    model: str
    scope: str
    method: str
    level: str
    split: str
    search: str
    sub_model: str = ""


Errors = dict[tuple[str, str], tuple[int, int]]
"""By language and utterance: errors, and words of the reference."""


@dataclass
class Study:
    """What a study has decoded.

    Attributes:
        root: its folder of results.
        systems: by system and seed, the errors.
        records: every `run.json` of a model, a language model, an encoder, or what was made of one, by its folder.
    """

    root: Path
    systems: dict[System, dict[str, Errors]] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> "Study":
        """Raises SecateurError for a folder in which nothing has been decoded."""
        study = cls(root)
        for folder in DECODED:
            for file in sorted(root.glob(f"models/*/*/*/*/*/seed*/{folder}/*/utterances.tsv")):
                study._add(file, file.relative_to(root).parts)
        if not study.systems:
            raise SecateurError(f"{root}: nothing is decoded there; name a study, or the folder of its results")
        for folder in TRAINED:
            for file in sorted(root.glob(f"{folder}/**/run.json")):
                study.records[str(file.parent.relative_to(root))] = read_json(file)
        return study

    def _add(self, file: Path, parts: Sequence[str]) -> None:
        corpus, model, scope, method, level, seed = parts[1:7]
        for row in read_tsv(file):
            system = System(corpus, model, scope, method, level, row["split"], parts[-2], row.get("sub_model", ""))
            found = self.systems.setdefault(system, {}).setdefault(seed, {})
            found[row.get("language") or scope, row["utterance"]] = int(row["errors"]), int(row["words"])

    def speakers(self, system: System, language: str) -> dict[str, str]:
        """Who speaks each utterance of a split; nobody known where the data are gone."""
        file = self.root / "data" / system.corpus / language / system.split / "utt2spk"
        return read_table(file) if file.is_file() else {}


def rows(a: Study, b: Study) -> Iterator[dict[str, Any]]:
    """A row for every system that both have and each of its languages, and one for the mean over languages.

    Paired by utterance and seed. Utterances that only one of the two has, or whose references are of another length,
    are left out and counted.
    """
    for system in a.systems:
        seeds = [seed for seed in a.systems[system] if seed in b.systems.get(system, {})]
        if not seeds:
            continue
        sides = [[study.systems[system][seed] for seed in seeds] for study in (a, b)]
        every = [errors for side in sides for errors in side]
        shared = [key for key in every[0] if len({errors.get(key, (0, -1))[1] for errors in every}) == 1]
        names = {key: None for errors in every for key in errors}
        languages = list(dict.fromkeys(language for language, _ in shared))
        for wanted in [*languages, *([AVERAGE] if len(languages) > 1 else [])]:
            keys = [key for key in shared if wanted in (AVERAGE, key[0]) and every[0][key][1]]
            left_out = sum(wanted in (AVERAGE, key[0]) for key in names) - len(keys)
            if keys:
                facts = {"language": wanted, "seeds": len(seeds), "utterances": len(keys), "left_out": left_out}
                yield vars(system) | facts | _compared(a, system, sides, keys)


def _compared(
    study: Study, system: System, sides: Sequence[Sequence[Errors]], keys: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """The rates of both sides on these utterances, and their difference."""
    known = {language: study.speakers(system, language) for language in dict.fromkeys(code for code, _ in keys)}
    speakers = [known[language].get(name, name) for language, name in keys]
    test = TestSet([sides[0][0][key][1] for key in keys], [language for language, _ in keys], speakers)
    mine, other = (np.array([[errors[key][0] for key in keys] for errors in side]) for side in sides)
    found = difference(other, mine, test)
    values = {
        "differing": int((mine != other).any(axis=0).sum()),
        "wer_a": error_rate(mine, test).value,
        "wer_b": error_rate(other, test).value,
        "difference": found.value,
        "difference_low": found.low,
        "difference_high": found.high,
        "p_value": two_sided(found),
    }
    return {name: number(value) for name, value in values.items()}


@dataclass(frozen=True)
class Change:
    """What two runs differ in: a fact of their records, its two values, and the folders of which that is so."""

    kind: str
    name: str
    a: Any
    b: Any
    folders: tuple[str, ...]


def changes(a: Study, b: Study) -> list[Change]:
    """What the records of the jobs that both studies have differ in, each difference once, by kind."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for folder, record in a.records.items():
        if folder not in b.records:
            continue
        mine, other = facts(record, a.root), facts(b.records[folder], b.root)
        for key in dict.fromkeys([*mine, *other]):
            values = mine.get(key), other.get(key)
            if values[0] != values[1]:
                found.setdefault((*key, *map(str, values)), []).append(folder)
    order = [CONFIGURATION, CODE, VERSIONS, HARDWARE]
    named = [Change(*key, tuple(folders)) for key, folders in found.items()]
    return sorted(named, key=lambda change: (order.index(change.kind), change.name))


def facts(record: Mapping[str, Any], root: Path) -> dict[tuple[str, str], Any]:
    """What a record says of how a result came about, by kind and name. Paths below the study's folder are alike."""
    command = record.get("command", "")
    found: dict[tuple[str, str], Any] = {}
    for name, value in flat(record.get("arguments", {})):
        if name.partition(".")[0] in (*PLACES, *OF_CODE):
            continue
        found[CONFIGURATION, f"{command} {name}"] = _without(value, root.name)
    found[CODE, f"code of {command}"] = record.get("arguments", {}).get("code")
    found[CODE, "git"] = record.get("git")
    found |= {(VERSIONS, name): value for name, value in record.get("versions", {}).items()}
    found |= {(HARDWARE, name): record.get(name) for name in OF_HARDWARE}
    return {key: value for key, value in found.items() if value is not None}


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Mappings in mappings as one, with dots in the names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _without(value: Any, study: str) -> Any:
    """A value in which the name of the study does not show."""
    if isinstance(value, list):
        return [_without(each, study) for each in value]
    return value.replace(f"results/{study}/", "") if isinstance(value, str) else value


def missing(a: Study, b: Study) -> tuple[list[System], list[System]]:
    """Systems that only the first study has, and those that only the second one has."""
    return _lacking(a.systems, b.systems), _lacking(b.systems, a.systems)


def _lacking(mine: Iterable[System], other: Iterable[System]) -> list[System]:
    there = set(other)
    return [system for system in mine if system not in there]
