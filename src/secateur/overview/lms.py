"""What language models cost (`secateur.heads.lms`), and what they cost when they are exported with their model.

Exported in int8, a language model is a smaller one, too: beside those without some layers, heads or weights stand the
ONNX files of `export`, of the same model by the same searches, in every format. Times take turns with all others.
"""

from collections.abc import Iterator
from typing import Any

from secateur.decoding.timing import relative_time, share_of_time
from secateur.exported.study import ExportedDecoding, forms
from secateur.heads import lms
from secateur.heads import study as heads
from secateur.heads.lms import COLUMNS, EXPORTED, NONE, SHARE, TIMES
from secateur.heads.measured import RATIO, SOUND, Times
from secateur.heads.study import system_name
from secateur.reporting.results import Results
from secateur.reporting.systems import System, scored
from secateur.study.runs import ModelRun, languages, reported_splits

WEIGHTS = ("lm_weight", "length_bonus")


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """The rows of `secateur.heads.lms`, and of every format that the same searches are exported in."""
    yield from lms.rows(results)
    for run, search, form in forms(results.config):
        yield from _of_form(results, run, search, form)


def _of_form(results: Results, run: ModelRun, search: str, form: str) -> Iterator[dict[str, Any]]:
    """One row in every language, and as language `avg` their mean. Ratios are to the same format without an LM."""
    times, lm = Times(results, run), results.lm_of(search) or NONE
    facts = {**_times(results, times, run, search, form), "lm": f"{lm}, {form}", "pruned": f"{form} {EXPORTED}"}
    weights = lms.weighted(results, run, search)
    facts |= {name: weights.get(name) for name in WEIGHTS}
    if lm != NONE:
        facts |= results.json(heads.perplexity_file(run.corpus, lm, run.seed), "parameters")
    for split in reported_splits(results.config, run.corpus):
        codes = languages(results.config, run.corpus, run.scope)
        system = System({code: ExportedDecoding(run, split, code, search) for code in codes}, form)
        for language, values in scored(results, system):
            row = {"corpus": run.corpus, "model": run.model, "seed": run.seed, "search": search, "split": split}
            row |= {"language": language, **facts, **values}
            row["source"] = " ".join(filter(None, (values["source"], times.source, weights.get("source"))))
            yield {column: row.get(column) for column in COLUMNS}


def _times(results: Results, times: Times, run: ModelRun, search: str, form: str) -> dict[str, Any]:
    """The columns of times, of a model that was timed: that of the first seed."""
    if not (mine := times.rows(name := system_name(heads.WHOLE, search), form)):
        return {}
    found = times.columns(name, form)
    facts = {column: found[column] for column in (*TIMES, *SOUND)}
    facts |= dict(zip(SHARE, share_of_time(mine, "lm_s"), strict=True))
    without = next((one for other, one, kind in forms(results.config) if (other, kind) == (run, form)), search)
    if results.lm_of(without) is None:
        base = times.rows(system_name(heads.WHOLE, without), form)
        facts |= dict(zip(RATIO, relative_time(mine, base), strict=True))
    return facts
