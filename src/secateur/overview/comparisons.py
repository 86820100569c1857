"""Which differences are real: pairs of systems, compared on the same utterances over all seeds.

Only pairs that answer a question of the study are compared, A against B:

- LM: a search with a neural LM, against the same search without;
- search: any other search, against greedy search of the same model;
- multilingual: the dense model of all languages, against the monolingual models together, by the same search;
- pruning: a pruned model at its target sparsity (or a control), against the dense model that it comes from;
- adaptive: a method whose masks adapt, against the same with fixed masks;
- dynamic: dynamic pathways, against fixed ones from masks of the same method at the last level.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from secateur.decoding import search as searches
from secateur.pruning import methods
from secateur.pruning import tables as pruning
from secateur.pruning.study import levels_of
from secateur.reporting import compared, published, views
from secateur.reporting.grid import Cell, Grid, Row, label, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import EACH, Results
from secateur.reporting.systems import AVERAGE
from secateur.reporting.systems import System as Decoded
from secateur.study.runs import Decoding, ModelRun, decodings, level_name, reported_splits

SYSTEM = ("model", "method", "scope", "sparsity_target", "search", "lm")
COLUMNS = (
    *("corpus", "question", *(f"{axis}_{side}" for side in "ab" for axis in SYSTEM), "split", "language"),
    *(*compared.COLUMNS, "published", "source"),
)
NOTE = (
    "Word error rate of A minus that of B in percentage points: below 0, A is better; where the interval holds 0, the "
    "test set does not tell the two apart. Relative: in percent of B's. CER: the difference in characters. Of "
    "twenty pairs that are equally good, about one has p below 0.05 by chance."
)
PUBLISHED = "Published: the relative effect of the document on multilingual pruning (S3), of other data and models."


@dataclass(frozen=True)
class System:
    """A model (with scope `each`: the monolingual models together) with a search, on a split."""

    run: ModelRun
    split: str
    search: str


Members = Mapping[int, Mapping[str, Decoding]]
"""The decodings of a system by seed and language."""


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per pair and language that both decode, and one of their mean, as language `avg`."""
    found = members(results.config)
    for question, a, b in pairs(results.config, found):
        if a.split not in reported_splits(results.config, a.run.corpus):
            continue
        seeds = [seed for seed in found[a] if seed in found[b]]
        first = found[a][seeds[0]]
        shared = [code for code in first if code in found[b][seeds[0]]]
        axes = {"corpus": a.run.corpus, "question": question, "split": a.split}
        for side, system in (("a", a), ("b", b)):
            values = {**vars(system.run), "sparsity_target": system.run.sparsity, "search": system.search}
            values["lm"] = results.lm_label(system.search)
            axes |= {f"{axis}_{side}": values[axis] for axis in SYSTEM}
        sides = [[Decoded(found[system][seed]) for seed in seeds] for system in (a, b)]
        wanted = {code: [code] for code in shared}
        if len(shared) > 1 and len(shared) == len(first):
            wanted[AVERAGE] = shared
        for language, codes in wanted.items():
            one = compared.compared(results, *sides, codes)
            facts = {"language": language, "published": _published(a, b, shared), "source": one.files}
            yield axes | compared.columns(one) | facts


def systems(config: Mapping[str, Any]) -> dict[System, dict[str, Decoding]]:
    """Every system of a study and its decodings by language."""
    found: dict[System, dict[str, Decoding]] = {}
    for decoding in decodings(config):
        run = decoding.run
        family = replace(run, scope=EACH) if run.scope == decoding.language else run
        found.setdefault(System(family, decoding.split, decoding.search), {})[decoding.language] = decoding
    return found


def members(config: Mapping[str, Any]) -> dict[System, dict[int, dict[str, Decoding]]]:
    """Every system, by its model of the first seed, and the decodings of all seeds by seed and language."""
    found: dict[System, dict[int, dict[str, Decoding]]] = {}
    for system, parts in systems(config).items():
        first = replace(system, run=replace(system.run, seed=config["seeds"][0]))
        found.setdefault(first, {})[system.run.seed] = parts
    return found


def pairs(config: Mapping[str, Any], found: Mapping[System, Any]) -> Iterator[tuple[str, System, System]]:
    """The pairs to compare: (question, A, B)."""
    for question, choose in (
        ("LM", _without_lm),
        ("search", _greedy),
        ("multilingual", _monolingual),
        ("pruning", _dense),
        ("adaptive", _fixed),
        ("dynamic", _fixed_pathways),
    ):
        for system in found:
            other = choose(config, found, system)
            if other is not None:
                yield question, system, other


def _without_lm(config, found, system: System) -> System | None:
    search = config["searches"][system.search]
    if system.run.method != "dense" or not search.get("lm"):
        return None
    for name, other in config["searches"].items():
        same = all(other.get(key) == search.get(key) for key in ("type", "beam"))
        if same and not other.get("lm") and (candidate := replace(system, search=name)) in found:
            return candidate
    return None


def _greedy(config, found, system: System) -> System | None:
    search = config["searches"][system.search]
    if system.run.method != "dense" or searches.is_greedy(search["type"]) or _without_lm(config, found, system):
        return None
    for name, other in config["searches"].items():
        if searches.is_greedy(other["type"]) and (candidate := replace(system, search=name)) in found:
            return candidate
    return None


def _monolingual(config, found, system: System) -> System | None:
    """The monolingual models of the same name; else those that are of the same type, if no other model has them."""
    run = system.run
    if (run.method, run.scope) != ("dense", "all"):
        return None

    def with_partner(name: str) -> System | None:
        candidate = replace(system, run=replace(run, model=name, scope=EACH))
        return candidate if candidate in found else None

    def multilingual(name: str) -> bool:
        return replace(system, run=replace(run, model=name)) in found

    if partner := with_partner(run.model):
        return partner
    kind = config["models"][run.model].get("type")
    alike = [name for name, model in config["models"].items() if model.get("type") == kind]
    if next(name for name in alike if multilingual(name)) != run.model:
        return None
    return next((with_partner(name) for name in alike if not multilingual(name) and with_partner(name)), None)


def _dense(config, found, system: System) -> System | None:
    run = system.run
    if not pruning.at_target(config, run):
        return None
    dense = replace(system, run=ModelRun(run.corpus, run.model, "all", run.seed))
    return dense if dense in found else None


def _fixed(config, found, system: System) -> System | None:
    """The same method without adaptation, at its last level."""
    parsed = methods.find(system.run.method)
    if not (parsed and parsed.method.adapts and not parsed.method.from_masks and pruning.at_target(config, system.run)):
        return None
    fixed = parsed.name.removesuffix("-adaptive")
    if fixed == parsed.name:
        return None
    return _of_method(found, system, fixed + (f"+{parsed.variant}" if parsed.variant else ""), system.run.sparsity)


def _fixed_pathways(config, found, system: System) -> System | None:
    """Pathways with fixed masks of the last level, by the method whose masks the dynamic ones start from."""
    parsed = methods.find(system.run.method)
    if not (parsed and parsed.method.adapts and parsed.method.from_masks):
        return None
    target = levels_of(config, system.run)[-1]
    plain = next(one.name for one in methods.registry().values() if one.from_masks and not one.adapts)
    variant = f"+{parsed.variant}" if parsed.variant else ""
    return _of_method(found, system, f"{plain}-{parsed.masks.name}-{level_name(target)}{variant}", target)


def _of_method(found, system: System, method: str, sparsity: float) -> System | None:
    """The system of the same model, languages and search whose method this is."""
    run = system.run
    for other in found:
        alike = (other.run.corpus, other.run.model, other.run.scope) == (run.corpus, run.model, run.scope)
        alike = alike and (other.split, other.search) == (system.split, system.search)
        if alike and (other.run.method, other.run.sparsity) == (method, sparsity):
            return other
    return None


def _published(a: System, b: System, shared: list[str]) -> float | None:
    """The relative effect that S3 has of two methods, in percent; of pathways that of as many languages, or of more."""
    if published.S3_SPARSITY not in (a.run.sparsity, b.run.sparsity):
        return None
    names = [one.run.method for one in (a, b)]
    tables = [published.S3_TABLE1, published.S3_TABLE3]
    if methods.find(names[0]) and methods.parse(names[0]).method.from_masks:
        tables = [published.S3_TABLE2] if len(shared) == 2 else [published.S3_TABLE3, published.S3_TABLE1]
    for table in tables:
        if all(name in table for name in names):
            mine, other = (table[name]["avg"] for name in names)
            return 100 * (mine / other - 1)
    return None


def view(tables: views.Tables) -> list[Grid]:
    """Per corpus one line a pair and language, A and B by name."""
    grids, shown = [], ("question", "a", "b", "language")
    for corpus, found in views.by_corpus(tables["comparisons"]).items():
        lines = [{**row, "a": _name(row, "a"), "b": _name(row, "b")} for row in found]

        def cells(row: Row) -> list[tuple[str, Cell]]:
            return [
                ("difference", measure(row, "difference", 1, interval=True)),
                ("p", measure(row, "p_value", 4)),
                ("detectable", measure(row, "detectable", 1)),
                ("relative (%)", measure(row, "relative", 1, interval=True)),
                *([("published (%)", measure(row, "published", 1))] if row["published"] else []),
                ("CER", measure(row, "cer_difference", 1, interval=True)),
            ]

        title = f"Is the difference real? {views.named(tables, corpus)}"
        grid = pivot(title, lines, (*shown, "seeds", "split"), cells, keep=shown)
        beside = PUBLISHED if any(row["published"] for row in found) else ""
        caption = " ".join(filter(None, (rate(tables, corpus)(NOTE), compared.note(found), beside)))
        grids.append(replace(grid, caption=caption))
    return grids


def _name(row: Row, side: str) -> str:
    """A system for reading: model, method, what it is trained on, search."""
    scope, target = row[f"scope_{side}"], row[f"sparsity_target_{side}"]
    parts = [row[f"model_{side}"]]
    if row[f"method_{side}"] != "dense":
        parts.append(row[f"method_{side}"] + (f" {label('sparsity_target', target)}" if float(target) else ""))
    parts.append({"all": "multilingual", EACH: "monolingual"}.get(scope) or label("scope", scope))
    return ", ".join([*parts, row[f"search_{side}"]])
