"""Error rates of every decoding, and their means over languages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from secateur.reporting import views
from secateur.reporting.grid import Cell, Grid, measure, pivot
from secateur.reporting.rates import in_characters, rate
from secateur.reporting.results import EACH, MODEL_AXES, SCORE, Results
from secateur.reporting.systems import AVERAGE, RATES, System, rated
from secateur.speech.units import CHARACTER
from secateur.study.runs import Decoding, ModelRun, decodings, languages

Row = dict[str, Any]

DECODING_AXES = (*MODEL_AXES, "language", "split", "search", "lm")
COUNTS = ("unit", "utterances", "words")
WER_COLUMNS = (*DECODING_AXES, "unit", *RATES, "utterances", "words", "source")


def wer(results: Results) -> Iterator[Row]:
    """Error rates in percent, and below them, as language `avg`, their unweighted means over languages.

    A model of one language has no average. The monolingual models of all languages of a corpus have one together,
    with scope `each`.
    """
    rows: dict[Decoding, Row] = {}
    for decoding in decodings(results.config):
        score = results.decoded(decoding, SCORE, *COUNTS)
        rows[decoding] = {
            **decoding_axes(results, decoding),
            **{column: score[column] for column in COUNTS},
            **rated(results, System({decoding.language: decoding})),
        }
    yield from rows.values()
    for members in families(results, rows):
        parts = [rows[decoding] for decoding in members]
        yield {
            **average_axes(parts),
            "unit": common(part["unit"] for part in parts),
            **rated(results, System({decoding.language: decoding for decoding in members})),
            "utterances": sum(part["utterances"] for part in parts),
            "words": sum(part["words"] for part in parts),
        }


def decoding_axes(results: Results, decoding: Decoding) -> Row:
    """The columns `DECODING_AXES` of a row about `decoding`."""
    return {
        **results.axes(decoding.run),
        "language": decoding.language,
        "split": decoding.split,
        "search": decoding.search,
        "lm": results.lm_label(decoding.search),
    }


def families(results: Results, found: Iterable[Decoding]) -> Iterator[list[Decoding]]:
    """The decodings that an average is made of: one model on its languages, or all monolingual models together."""
    groups: dict[tuple[ModelRun, str, str], list[Decoding]] = {}
    for decoding in found:
        run = decoding.run
        spoken = languages(results.config, run.corpus, run.scope)
        family = replace(run, scope=EACH) if run.scope == decoding.language else run
        if len(spoken) > 1 or run.scope == decoding.language:
            groups.setdefault((family, decoding.split, decoding.search), []).append(decoding)
    for (family, _, _), members in groups.items():
        everyone = languages(results.config, family.corpus, "all")
        wanted = everyone if family.scope == EACH else languages(results.config, family.corpus, family.scope)
        if len(wanted) > 1 and {member.language for member in members} == set(wanted):
            yield members


def average_axes(parts: Sequence[Row]) -> Row:
    """The columns `DECODING_AXES` of an average of `parts`."""
    axes = {column: parts[0][column] for column in DECODING_AXES}
    scopes = {part["scope"] for part in parts}
    return {
        **axes,
        "scope": scopes.pop() if len(scopes) == 1 else EACH,
        "sparsity": fmean(part["sparsity"] for part in parts),
        "language": AVERAGE,
    }


def common(values: Iterable[Any]) -> Any:
    """The value that all share, or the different ones joined by commas."""
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else ",".join(map(str, different))


def wer_view(tables: views.Tables) -> list[Grid]:
    grids = []
    for corpus, rows in views.by_corpus(views.reported(tables["wer"])).items():
        totals = {views.trained_model(run): run["total_steps"] for run in tables["runs"] if run["stage"] == "model"}
        unequal = len({totals[views.trained_model(row)] for row in rows if views.trained_model(row) in totals}) > 1
        rows = [
            views.monolingual_together(row) | {"total_steps": totals.get(views.trained_model(row), "")} for row in rows
        ]

        of_characters = in_characters(tables, corpus)
        mixed = bool(of_characters) and any(row["unit"] != CHARACTER for row in rows)
        headings = {code: f"{code} (CER)" for code in of_characters} if mixed else {}

        def cells(row: Row, unequal: bool = unequal, headings: Mapping[str, str] = headings) -> list[tuple[str, Cell]]:
            behind = [("Steps", Cell(float(row["total_steps"]), digits=0))] if unequal and row["total_steps"] else []
            return [*behind, (headings.get(row["language"], row["language"]), measure(row, "wer", 1, interval=True))]

        title = rate(tables, corpus)(f"Word error rate (%), {views.named(tables, corpus)}")
        words = pivot(title, rows, views.DECODING_INDEX, cells, keep=("model",))
        characters = pivot(
            f"Character error rate (%), {views.named(tables, corpus)}",
            rows,
            views.DECODING_INDEX,
            lambda row: [(row["language"], measure(row, "cer", 1))],
            keep=("model",),
        )
        bracketed = any(cell.low is not None for line in words.rows for cell in line)
        notes = (views.INTERVALS if bracketed else "", views.AVERAGES, views.STEPS if unequal else "")
        grids.append(views.captioned(words, tables, corpus, rows, *notes))
        if mixed or not of_characters:
            grids.append(views.captioned(characters, tables, corpus, rows, views.AVERAGES))
    return grids
