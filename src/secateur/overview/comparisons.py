"""Which differences are real: pairs of systems, compared on the same utterances by a paired bootstrap.

Only pairs that answer a question of the study are compared, A against B:
- LM: a search with a neural LM, against the same search without;
- search: any other search, against greedy search of the same model;
- multilingual: the dense model of all languages, against the monolingual models together, by the same search;
- pruning: a pruned model at its target sparsity (or a control), against the dense model that it comes from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from secateur.core.errors import SecateurError
from secateur.decoding.scoring import paired_average, paired_bootstrap
from secateur.pruning import tables as pruning
from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, Row, label, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import EACH, Results
from secateur.reporting.systems import counted, counted_files
from secateur.study.runs import Decoding, ModelRun, decodings

SYSTEM = ("model", "method", "scope", "sparsity_target", "search", "lm")
COLUMNS = (
    *("corpus", "question", *(f"{axis}_{side}" for side in "ab" for axis in SYSTEM), "seed", "split", "language"),
    *("wer_a", "wer_b", "difference", "difference_low", "difference_high", "p_value", "source"),
)
NOTE = (
    "Word error rate of A minus that of B in percentage points, with its 95 % interval: below 0, A is better; where "
    "the interval holds 0, the test set does not tell the two apart. p: paired bootstrap over utterances, two-sided, "
    "of each comparison by itself; of twenty pairs that are equally good, about one is below 0.05 by chance."
)

Counts = tuple[list[int], list[int], list[int]]
"""Errors of A, errors of B and reference words of every utterance."""


@dataclass(frozen=True)
class System:
    """A model (with scope `each`: the monolingual models together) with a search, on a split."""

    run: ModelRun
    split: str
    search: str


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per pair and language that both decode, and one of their mean, as language `avg`."""
    found = systems(results.config)
    for question, a, b in pairs(results.config, found):
        shared = [language for language in found[a] if language in found[b]]
        axes = {"corpus": a.run.corpus, "question": question, "seed": a.run.seed, "split": a.split}
        for side, system in (("a", a), ("b", b)):
            values = {**vars(system.run), "sparsity_target": system.run.sparsity, "search": system.search}
            values["lm"] = results.lm_label(system.search)
            axes |= {f"{axis}_{side}": values[axis] for axis in SYSTEM}
        counts, sources = {}, {}
        for language in shared:
            counts[language], sources[language] = _counts(results, found[a][language], found[b][language])
            yield axes | _compared({language: counts[language]}, language, sources[language])
        if len(shared) > 1 and len(shared) == len(found[a]):
            yield axes | _compared(counts, "avg", " ".join(dict.fromkeys(" ".join(sources.values()).split())))


def systems(config: Mapping[str, Any]) -> dict[System, dict[str, Decoding]]:
    """Every system of a study and its decodings by language."""
    found: dict[System, dict[str, Decoding]] = {}
    for decoding in decodings(config):
        run = decoding.run
        family = replace(run, scope=EACH) if run.scope == decoding.language else run
        found.setdefault(System(family, decoding.split, decoding.search), {})[decoding.language] = decoding
    return found


def pairs(
    config: Mapping[str, Any], found: Mapping[System, Mapping[str, Decoding]]
) -> Iterator[tuple[str, System, System]]:
    """The pairs to compare: (question, A, B)."""
    for question, choose in (
        ("LM", _without_lm),
        ("search", _greedy),
        ("multilingual", _monolingual),
        ("pruning", _dense),
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
    if system.run.method != "dense" or search["type"] == "ctc_greedy" or _without_lm(config, found, system):
        return None
    for name, other in config["searches"].items():
        if other["type"] == "ctc_greedy" and (candidate := replace(system, search=name)) in found:
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


def _counts(results: Results, a: Decoding, b: Decoding) -> tuple[Counts, str]:
    """Counts of all utterances, and the two files that they are from."""
    (names_a, errors_a, words_a), (names_b, errors_b, words_b) = (counted(results, one) for one in (a, b))
    if (names_a, words_a) != (names_b, words_b):
        raise SecateurError(
            f"{results.root / a.folder} and {b.folder} are not about the same utterances; "
            "delete the older one and run again"
        )
    return (errors_a, errors_b, words_a), counted_files((a, b))


def _compared(counts: Mapping[str, Counts], language: str, source: str) -> dict[str, Any]:
    rates = [[100 * sum(part[side]) / sum(part[2]) for part in counts.values()] for side in (0, 1)]
    compared = paired_bootstrap(*counts[language]) if language in counts else paired_average(counts)
    return {
        "language": language,
        "wer_a": sum(rates[0]) / len(rates[0]),
        "wer_b": sum(rates[1]) / len(rates[1]),
        "difference": compared.difference.value,
        "difference_low": compared.difference.low,
        "difference_high": compared.difference.high,
        "p_value": compared.p_value,
        "source": source,
    }


def view(tables: views.Tables) -> list[Grid]:
    """Per corpus one line a pair, a difference and its p-value a language."""
    grids = []
    for corpus, members in views.by_corpus(tables["comparisons"]).items():
        several = len({row["seed"] for row in members}) > 1
        lines = [
            {**row, "a": _name(row, "a"), "b": _name(row, "b"), "seed": row["seed"] if several else ""}
            for row in members
        ]

        def cells(row: Row) -> list[tuple[str, Cell]]:
            return [
                (row["language"], measure(row, "difference", 1, interval=True)),
                (f"p, {row['language']}", measure(row, "p_value", 4)),
            ]

        title = f"Is the difference real? {views.named(tables, corpus)}"
        index = ("question", "a", "b", "seed", "split")
        grids.append(replace(pivot(title, lines, index, cells, keep=("question",)), caption=rate(tables, corpus)(NOTE)))
    return grids


def _name(row: Row, side: str) -> str:
    """A system for reading: model, method, what it is trained on, search."""
    scope, target = row[f"scope_{side}"], row[f"sparsity_target_{side}"]
    parts = [row[f"model_{side}"]]
    if row[f"method_{side}"] != "dense":
        parts.append(row[f"method_{side}"] + (f" {label('sparsity_target', target)}" if float(target) else ""))
    parts.append({"all": "multilingual", EACH: "monolingual"}.get(scope) or label("scope", scope))
    return ", ".join([*parts, row[f"search_{side}"]])
