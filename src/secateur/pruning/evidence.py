"""What a study has on the claims about masks and pathways (S3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateur.pruning import methods
from secateur.pruning import tables as pruning
from secateur.reporting import evidence
from secateur.reporting.claims import Claim, Finding, Missing, Part
from secateur.reporting.compared import Compared, compared
from secateur.reporting.results import SIZES_FILE, Results, main_split, smallest
from secateur.reporting.systems import System
from secateur.statistics.verdicts import Exact
from secateur.study.runs import Decoding, ModelRun, level_name, model_runs, scope_of, searches

DENSE, TARGET = "dense", "target"
TWO, MANY, ANY = "two", "many", "any"
"""Pathways of how many languages a claim is about; `ANY`: of the most that an entry has."""
VOID = "not a test: no mask took up a weight at any adaptation"


@dataclass(frozen=True)
class Arena:
    """Where models of an entry of `prune` are compared: the languages, and the scope of pathways."""

    results: Results
    entry: Mapping[str, Any]
    codes: Sequence[str]

    @property
    def name(self) -> str:
        name = evidence.model_name(self.results.config, self.entry["model"])
        return f"{name} on {self.entry['corpus']}, {', '.join(self.codes)}"

    @property
    def target(self) -> float:
        return self.results.config["pruning"][self.entry["schedule"]]["levels"][-1]

    def method(self, text: str) -> str:
        """A method with the last level of the schedule in the place of `TARGET`: `pathways-lth-target`."""
        return text.replace(f"-{TARGET}", f"-{level_name(self.target)}")

    def runs(self, method: str) -> list[dict[str, ModelRun]]:
        """The models by language, of every seed; none if the study lacks one of them."""
        config, entry = self.results.config, self.entry
        known = {run.folder: run for run in model_runs(config)}
        parsed = None if method == DENSE else methods.parse(method)
        place = scope_of(config, entry["corpus"], self.codes)
        scope = {methods.EACH: None, methods.ALL: "all", methods.SOME: place}[parsed.method.scope] if parsed else "all"
        sparsity = self.target if parsed else 0.0
        if parsed and parsed.method.levels in (methods.ZERO, methods.MASKS):
            sparsity = parsed.level or 0.0
        found = []
        for seed in config["seeds"]:
            wanted = {
                code: ModelRun(entry["corpus"], entry["model"], scope or code, seed, method, sparsity).folder
                for code in self.codes
            }
            if not all(folder in known for folder in wanted.values()):
                return []
            found.append({code: known[folder] for code, folder in wanted.items()})
        return found

    def systems(self, method: str) -> list[System]:
        """The same with the first of the entry's searches, as far as it is run."""
        config, search = self.results.config, self.entry["searches"][0]
        split, found = main_split(config, self.entry["corpus"]), self.runs(method)
        if any(search not in searches(config, run) for runs in found for run in runs.values()):
            return []
        return [System({code: Decoding(run, split, code, search) for code, run in runs.items()}) for runs in found]

    def doubt(self, *names: str) -> str:
        """Whether the masks of those that adapt never changed."""
        for method in names:
            if method == DENSE or not methods.parse(method).method.adapts:
                continue
            if not pruning.most_changed(self.results, (run for runs in self.runs(method) for run in runs.values())):
                return f"{VOID} ({method})"
        return ""

    def compared(self, a: str, b: str) -> Compared | None:
        mine, other = self.systems(a), self.systems(b)
        return compared(self.results, mine, other) if mine and other else None


def arenas(results: Results, languages: str) -> Iterator[Arena]:
    """The entries of `prune`, variants left out, each with the languages that a claim is about."""
    for entry in results.config["prune"]:
        if entry["variant"]:
            continue
        every = list(results.config["corpora"][entry["corpus"]]["languages"])
        pathways = [[code for code in every if code in part["languages"]] for part in entry["pathways"]]
        sizes = set(map(len, pathways))
        wanted = {TWO: {2}, MANY: sizes - {2}, ANY: {max(sizes, default=0)}}.get(languages, set())
        if languages == methods.EACH:
            yield Arena(results, entry, every)
        else:
            for codes in dict.fromkeys(tuple(codes) for codes in pathways if len(codes) in wanted):
                yield Arena(results, entry, codes)


def pairs(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """One method against another: `a`, `b`, what is claimed (`better`, `no worse`) and of which `languages`."""
    options = claim.options
    for arena in arenas(results, options["languages"]):
        a, b = arena.method(options["a"]), arena.method(options["b"])
        found = arena.compared(a, b)
        if found is None:
            yield _missing(arena, a, b)
            continue
        part = evidence.better(found) if options["kind"] == "better" else evidence.no_worse(results, found)
        said = f"{a} with {b}: {arena.name}; {_steps(arena, a, b)}"
        if options.get("stages"):
            said += f"; stages of training {' and '.join(str(_stages(arena, method)) for method in (a, b))}"
        yield evidence.finding(said, found, [part], arena.doubt(a, b))


def best(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """One method against all of some others: `a`, `others`, of which at least one is there; `better` or `worse`.

    Any of them refutes it; without the published next best, `nearest`, none bears it out.
    """
    sign = claim.options.get("sign", 1)
    for arena in arenas(results, claim.options["languages"]):
        a = arena.method(claim.options["a"])
        others = [arena.method(other) for other in claim.options["others"]]
        found = {other: one for other in others if (one := arena.compared(a, other))}
        if not found:
            yield _missing(arena, a, f"one of {', '.join(others)}")
            continue
        ordered = sorted(found, key=lambda other: -sign * found[other].absolute.value)
        parts = [_sided(found[other], other, sign) for other in ordered]
        files = " ".join(one.files for one in found.values())
        doubt = arena.doubt(a, *found)
        nearest = arena.method(claim.options["nearest"])
        if nearest not in found:
            leads = all(sign * one.absolute.value < 0 for one in found.values())
            doubt = doubt or (f"the study has no {nearest}, the nearest rival published" if leads else "")
        said = f"{a} with {', '.join(ordered)}: {arena.name}; the number is of the first; {_steps(arena, a, *ordered)}"
        yield evidence.finding(said, found[ordered[0]], parts, doubt, files)


def bytes_of_one(results: Results, claim: Claim) -> Iterator[Finding | Missing]:
    """One θ with its masks against a model for each language: bytes of the smaller files, and errors no worse."""
    for arena in arenas(results, ANY):
        a, b = arena.method(claim.options["a"]), arena.method(claim.options["b"])
        found, count = arena.compared(a, b), len(arena.codes)
        if found is None:
            yield _missing(arena, a, b)
            continue
        if count < claim.options["least"]:
            yield Missing(f"{arena.name}: {count} languages; a quarter of the bytes takes four")
            continue
        ratio = max(
            _stored(results, one) / _stored(results, each) for one, each in zip(*map(arena.runs, (a, b)), strict=True)
        )
        parts = [
            Part("bytes", Exact(ratio), below=evidence.tolerated(results.config, 1 / count), unit="times"),
            evidence.no_worse(results, found),
        ]
        said = f"{a} with {b}: {arena.name}; {_steps(arena, a, b)}"
        yield evidence.finding(said, found, parts, arena.doubt(a), SIZES_FILE)


def _stored(results: Results, models: Mapping[str, ModelRun]) -> int:
    """The bytes of the models that serve some languages, each once, in the smaller of the formats that we write."""
    return sum(smallest(results.size(run, "bytes", "mask_bytes"))[0] for run in dict.fromkeys(models.values()))


def _sided(found: Compared, other: str, sign: int) -> Part:
    number, unit = (found.absolute, "points") if found.relative is None else (found.relative, "%")
    bounds = {"below": 0.0} if sign > 0 else {"above": 0.0}
    return Part(f"errors against {other}", number, unit=unit, **bounds)


def _steps(arena: Arena, *names: str) -> str:
    """Steps of each language in the training that made each of the methods, and all behind them, of the first seed."""
    config, found = arena.results.config, [arena.runs(name)[0].values() for name in names]
    stage = [f"{max(pruning.stage_steps(config, run) for run in runs):,.0f}" for runs in found]
    behind = [f"{max(pruning.total_steps(config, run) for run in runs):,}" for runs in found]
    return f"steps a language: {_listed(stage)}; with what is behind them: {_listed(behind)}"


def _listed(texts: Sequence[str]) -> str:
    """One, two and three: "1, 2 and 3"."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def _stages(arena: Arena, method: str) -> int:
    run = next(iter(arena.runs(method)[0].values()))
    return max(piece.stage for piece in pruning.pieces(arena.results.config, run))


def _missing(arena: Arena, *names: str) -> Missing:
    lacking = [name for name in names if name.startswith("one of") or not arena.systems(name)]
    return Missing(f"the study has no {' and no '.join(lacking)} of {arena.name}")
