"""What language models cost: perplexity, error rate and time of one model with each of them, and with none."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from secateur.decoding.timing import AGAIN, share_of_time
from secateur.heads import study as heads
from secateur.heads.measured import RATIO, SOUND, Times
from secateur.heads.study import system_name
from secateur.heads.tables import TIMED, blocks, mean_language
from secateur.layers.tables import averaged
from secateur.reporting import published, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import Results
from secateur.reporting.systems import AVERAGE, RATES, System, scored
from secateur.reporting.times import soundness
from secateur.study.pruned_lms import said
from secateur.study.runs import Decoding, ModelRun, languages, reported_splits, tuned

NONE = "none"
EXPORTED = "with its model, by ONNX Runtime"
"""Ends what `pruned` says of a language model that is exported (`secateur.overview.lms`)."""
PERPLEXITIES = ("perplexity", "per_character", "per_word")
SHARE = ("lm_share", "lm_share_low", "lm_share_high")
TIMES = ("total_s", "total_s_low", "total_s_high", "encoder_s", "search_s", "lm_s")
GRID_COLUMNS = (
    *("corpus", "model", "seed", "search", "lm", "lm_weight", "length_bonus", "wer", "cer", "best", "source"),
)
COLUMNS = (
    *("corpus", "model", "seed", "search", "lm", "pruned", "parameters", "split", "language", *PERPLEXITIES, *RATES),
    *("lm_weight", "length_bonus", "inside", "tuned_on", "decodings", "tuning_seconds"),
    *(*TIMES, *SHARE, *RATIO, *SOUND, "published_ratio", "source"),
)


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per language model in every language, and as language `avg` their mean; first those with none.

    Ratios of times are against no language model, paired. The perplexity of `avg` is the geometric mean.
    """
    for entry, run in heads.runs(results.config):
        searches = sorted(entry["lms"], key=lambda search: results.lm_of(search) is not None)
        if not searches:
            continue
        times, without = Times(results, run), system_name(heads.WHOLE, searches[0])
        found = {search: _lm(results, run, search) for search in searches}
        weights = {search: weighted(results, run, search) for search in searches}
        largest = max(searches, key=lambda search: found[search].get("parameters", 0))
        for split in reported_splits(results.config, run.corpus):
            for search in searches:
                lm, name = results.lm_of(search) or NONE, system_name(heads.WHOLE, search)
                facts = times.columns(name, against=without)
                facts |= dict(zip(SHARE, share_of_time(times.rows(name), "lm_s"), strict=True))
                if search == largest and lm != NONE:
                    facts["published_ratio"] = published.S1_SECONDS["lm"] / published.S1_SECONDS[NONE]
                for language, values in scored(results, _system(results, run, split, search)):
                    sources = [values["source"], times.source, *(one[search].get("source") for one in (found, weights))]
                    row = {
                        **{"corpus": run.corpus, "model": run.model, "seed": run.seed, "search": search, "lm": lm},
                        **{"split": split, "language": language},
                        **facts,
                        **weights[search],
                        "pruned": said(results.config["language_models"].get(lm, {})),
                        **values,
                        "parameters": found[search].get("parameters"),
                        **_perplexities(results, run, found[search], split, language),
                        "source": " ".join(filter(None, sources)),
                    }
                    yield {column: row.get(column) for column in COLUMNS}
            if run.seed != results.config["seeds"][0]:
                continue
            about = {"corpus": run.corpus, "model": run.model, "seed": run.seed, "split": split}
            about["language"] = mean_language(results, run)
            row = about | {"lm": AGAIN, "source": times.source} | times.again(searches[0])
            yield {column: row.get(column) for column in COLUMNS}


def _system(results: Results, run: ModelRun, split: str, search: str) -> System:
    codes = languages(results.config, run.corpus, run.scope)
    return System({code: Decoding(run, split, code, search) for code in codes})


def _lm(results: Results, run: ModelRun, search: str) -> dict[str, Any]:
    """What was measured of the language model of a search; nothing if it has none."""
    if not (lm := results.lm_of(search)):
        return {}
    source = heads.perplexity_file(run.corpus, lm, run.seed)
    return results.json(source, "parameters", "texts") | {"source": source}


def weighted(results: Results, run: ModelRun, search: str) -> dict[str, Any]:
    """The LM weight and length bonus of a model's search; if they were tuned, on how much, and at what cost."""
    given = results.config["searches"][search]
    if not (file := tuned(results.config, run, search)):
        return {
            "lm_weight": given.get("lm_weight") if given.get("lm") else None,
            "length_bonus": given.get("length_bonus"),
        }
    content = results.json(file, "searches", "utterances")
    found = content["searches"][search]
    return {
        "lm_weight": found["lm_weight"] if given.get("lm") else None,
        "length_bonus": found["length_bonus"],
        **{"inside": found["inside"], "tuned_on": content["utterances"], "source": file},
        **{"decodings": found["decodings"], "tuning_seconds": found["seconds"]},
    }


def grids(results: Results) -> Iterator[dict[str, Any]]:
    """All pairs of an LM weight and a length bonus that were tried, with their error rates on the dev sample."""
    for entry, run in heads.runs(results.config):
        for search in entry["lms"] if entry.get("tuning") else ():
            source = heads.tuning_file(run)
            found = results.json(source, "searches")["searches"][search]
            axes = {"corpus": run.corpus, "model": run.model, "seed": run.seed, "search": search, "source": source}
            for pair in found["grid"]:
                best = all(pair[key] == found[key] for key in ("lm_weight", "length_bonus"))
                yield axes | {"lm": results.lm_of(search) or NONE, "best": best} | pair


def _perplexities(
    results: Results, run: ModelRun, found: Mapping[str, Any], split: str, language: str
) -> dict[str, float]:
    if not found:
        return {}
    codes = languages(results.config, run.corpus, run.scope) if language == AVERAGE else [language]
    return {
        name: math.exp(fmean(math.log(found["texts"][f"{split}/{code}"][name]) for code in codes))
        for name in PERPLEXITIES
    }


def view(tables: views.Tables) -> list[Grid]:
    """By model: one line a language model, with what follows from the numbers."""
    grids = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for (corpus, model, _), members in blocks(tables["lm"]).items():
        groups.setdefault((corpus, model), []).extend(members)
    for (corpus, model), members in groups.items():
        chosen, wer = averaged(members), rate(tables, corpus)("WER (%)")

        def cells(row: Row, wer: str = wer) -> list[tuple[str, Cell]]:
            return [
                ("Parameters (M)", measure(row, "parameters", None, 1e-6)),
                *([("Pruned", Cell(text=row["pruned"]))] if row["pruned"] else []),
                ("Perplexity", measure(row, "perplexity")),
                ("by character", measure(row, "per_character", 2)),
                ("by word", measure(row, "per_word", 0)),
                ("LM weight", measure(row, "lm_weight", 2)),
                ("Length bonus", measure(row, "length_bonus", 2)),
                (wer, measure(row, "wer", 1, interval=True)),
                ("CER (%)", measure(row, "cer", 1)),
                ("ms an utterance", measure(row, "total_s", None, 1000, True)),
                ("of it LM (%)", measure(row, "lm_share", 0, 100, True)),
                ("Time over that without", measure(row, "ratio", 2, interval=True)),
                ("Published ratio", measure(row, "published_ratio", 2)),
            ]

        title = f"What the language model costs: {model}, {views.named(tables, corpus)}"
        grid = pivot(title, chosen, ("lm", "search", "split"), cells, keep=("lm",))
        note = (
            "Perplexity by token, the end of a sentence included: e to the mean negative log-probability; mean over "
            "languages, geometric for perplexity; by character and word, of which the end is one, it compares with "
            f"models over other tokens. {tuning(members)} {TIMED} {soundness(members)} Published: {published.S1}."
        )
        if any(row["pruned"].endswith(EXPORTED) for row in members):
            note += " Exported ones are set against the same format without a language model."
        grids.append(replace(grid, caption=f"{note} {views.about(tables, corpus, chosen, {model})}"))
    return grids


def tuning(rows: Sequence[Row]) -> str:
    """How the weights of the searches came about, in sentences."""
    tuned_rows = {(row["search"], row["seed"]): row for row in rows if row["tuned_on"]}
    if not tuned_rows:
        return "LM weights and length bonuses are the configuration's, and were not tuned."
    first = next(iter(tuned_rows.values()))
    decodings = sum(int(row["decodings"]) for row in tuned_rows.values())
    seconds = sum(float(row["tuning_seconds"]) for row in tuned_rows.values())
    edge = sorted({row["lm"] for row in tuned_rows.values() if row["inside"] == "false"})
    at_edge = f" The best of {', '.join(edge)} lies at the edge of what was tried." if edge else ""
    return (
        f"LM weights and length bonuses are those with the fewest errors on {first['tuned_on']} utterances of the dev "
        f"sets, which took {decodings} decodings and {seconds:.0f} seconds (`lm_tuning`).{at_edge}"
    )
