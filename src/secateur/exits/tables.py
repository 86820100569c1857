"""Early exit: error rates, depth, arithmetic and time by threshold, beside fixed depths and the whole model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from secateur.decoding.timing import AGAIN, RATIO, SAME
from secateur.exits import study as exits
from secateur.exits.points import FIXED, WHOLE, mean_macs
from secateur.exits.study import ExitsDecoding
from secateur.reporting import rates, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.results import HYPOTHESES, Results
from secateur.reporting.systems import RATES, System, scored
from secateur.reporting.times import SOUND, Times, soundness
from secateur.study.runs import Decoding, ModelRun, languages, reported_splits

AXES = ("corpus", "model", "seed", "measure", "point", "threshold", "exits", "split", "language", "search")
DEPTHS = ("mean_layers", "dev_mean_layers", "dev_wer", "macs_per_second")
COLUMNS = (*AXES, *RATES, *DEPTHS, "left", "rtf", "rtf_low", "rtf_high", *RATIO, "device", *SOUND, "source")
CURVE_COLUMNS = ("corpus", "model", "seed", "search", "measure", "threshold", "mean_layers", "wer", "source")


@dataclass(frozen=True)
class Left:
    """A model left at a point, or by its last layer, on one split: its system, and where speech left it."""

    run: ModelRun
    search: str
    point: str
    about: Mapping[str, Any]
    system: System
    chosen: Mapping[str, Any]

    @property
    def measure(self) -> str:
        """What decides, for the table."""
        if not self.point:
            return WHOLE
        return FIXED if self.about["threshold"] is None else self.about["measure"]


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per point, fixed exit and whole model, in every language; as language `avg` their mean."""
    times = Times(results)
    for entry, run in exits.runs(results.config):
        for search in entry["searches"]:
            for split in reported_splits(results.config, run.corpus):
                for one in _all(results, run, search, split):
                    yield from _rows(results, times, one, split)


def _all(results: Results, run: ModelRun, search: str, split: str) -> Iterator[Left]:
    chosen = results.json(exits.exits_file(run, search), "points", "exits", "curves")
    codes = languages(results.config, run.corpus, run.scope)
    last = max(map(int, chosen["exits"]))
    dev = {"layers": float(last), "wer": next(iter(chosen["curves"].values()))[0][2]}
    whole = System({code: Decoding(run, split, code, search) for code in codes})
    yield Left(run, search, "", {"threshold": None, "exits": [], "dev": dev}, whole, chosen)
    decodings = {code: ExitsDecoding(run, split, code, search) for code in codes}
    order = sorted(
        chosen["points"].items(), key=lambda item: (item[1]["threshold"] is not None, item[1]["dev"]["layers"])
    )
    for point, about in order:
        yield Left(run, search, point, about, System(decodings, point), chosen)


def _rows(results: Results, times: Times, one: Left, split: str) -> Iterator[dict[str, Any]]:
    run, about = one.run, one.about
    timed = times.of(run, one.search, one.point)[0]
    shares = {code: _shares(results, one, code) for code in one.system.decodings}
    every = {layer: fmean(found[layer] for found in shares.values()) for layer in next(iter(shares.values()))}
    for language, values in scored(results, one.system):
        left = shares.get(language, every)
        measured = {column: timed.get(column) for column in ("rtf", "rtf_low", "rtf_high", *RATIO, "device", *SOUND)}
        yield {
            **{"corpus": run.corpus, "model": run.model, "seed": run.seed, "measure": one.measure},
            **{"point": one.point or WHOLE, "threshold": about["threshold"]},
            **{"exits": ",".join(map(str, about["exits"])), "split": split, "language": language},
            "search": one.search,
            **values,
            "mean_layers": sum(int(layer) * share for layer, share in left.items()),
            "dev_mean_layers": about["dev"]["layers"],
            "dev_wer": about["dev"]["wer"],
            "macs_per_second": mean_macs(one.chosen["exits"], left, about["threshold"] is None),
            "left": ", ".join(f"{layer}: {100 * share:.0f} %" for layer, share in left.items() if share),
            **measured,
        }


def _shares(results: Results, one: Left, language: str) -> dict[str, float]:
    """The share of the speech of a language, by seconds, that left at each exit."""
    found = dict.fromkeys(sorted(one.chosen["exits"], key=int), 0.0)
    if not one.point:
        return found | {max(found, key=int): 1.0}
    decoding = one.system.decodings[language]
    heard = results.utterances(decoding, "duration_s", "layers", sub_model=one.point, name=HYPOTHESES)
    total = sum(float(row["duration_s"]) for row in heard)
    for row in heard:
        found[row["layers"]] += float(row["duration_s"]) / total
    return found


def curves(results: Results) -> Iterator[dict[str, Any]]:
    """What any threshold does on dev: mean number of layers and word error rate."""
    for entry, run in exits.runs(results.config):
        for search in entry["searches"]:
            source = exits.exits_file(run, search)
            for name, found in results.json(source, "curves")["curves"].items():
                for threshold, depth, wer in found:
                    axes = {"corpus": run.corpus, "model": run.model, "seed": run.seed, "search": search}
                    numbers = {"threshold": threshold, "mean_layers": depth, "wer": wer}
                    yield axes | {"measure": name} | numbers | {"source": source}


# --- for reading

NOTE = (
    "Layers: the mean over the speech, by seconds. Left: which share of it left at which layer. Thresholds are chosen "
    "on the dev data, for a mean number of layers or for no more errors there than by the whole model; the errors here "
    "are of that choice. Fixed depth: all utterances leave by the same head. MMAC: a second of speech, the heads that "
    "are asked on the way included. Over whole: time over that of the whole model, in turns, one utterance at a time."
)


def view(tables: views.Tables) -> list[Grid]:
    """By model: errors, depth and cost of every point."""
    grids = []
    for (corpus, model, search), members in views.grouped(tables["exits"], "corpus", "model", "search").items():
        averaged = [row for row in members if row["language"] == "avg"] or members
        wer = rates.rate(tables, corpus)("WER")

        def cells(row: Row, wer: str = wer) -> list[tuple[str, Cell]]:
            if row["measure"] == AGAIN:
                return [("Over whole", measure(row, SAME[0], 2, interval=True))]
            return [
                ("Left", Cell(text=row["left"])),
                (f"{wer} (%)", measure(row, "wer", 1, interval=True)),
                ("CER (%)", measure(row, "cer", 1)),
                (f"{wer}, dev (%)", measure(row, "dev_wer", 1)),
                ("Layers", measure(row, "mean_layers", 2)),
                ("Layers, dev", measure(row, "dev_mean_layers", 2)),
                ("MMAC per s", measure(row, "macs_per_second", 1, 1e-6)),
                ("RTF", measure(row, "rtf", None, interval=True)),
                ("Over whole", measure(row, "ratio", 2, interval=True)),
            ]

        title = f"Early exit: {model}, {search}, {views.named(tables, corpus)}"
        again = [row | {"measure": AGAIN, "point": "timed twice"} for row in averaged if row["same"]][:1]
        lines = [*averaged, *again]
        grid = pivot(title, lines, ("measure", "point", "seed", "split"), cells, keep=("measure", "point"))
        text = f"{NOTE} {views.INTERVALS} {soundness(members)}"
        about = views.about(tables, corpus, members, {model})
        grids.append(replace(grid, caption=f"{rates.rate(tables, corpus)(text)} {about}"))
    return grids
