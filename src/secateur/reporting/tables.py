"""The tidy tables of a study: one row per measurement, every axis a column, and a column with the file it came from.

A new table is a function from `Results` to rows, and one line in `TABLES`; how it is pivoted for reading is a function
in `secateur.reporting.views`. Every path in a `source` column is relative to the study's folder; an average names all
the files it was made from, separated by spaces.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from secateur.core.files import read_tsv, write_text, write_tsv
from secateur.decoding.scoring import average_error_rate
from secateur.heads import lms
from secateur.heads import tables as heads
from secateur.layers import tables as layers
from secateur.pruning import multilingual
from secateur.pruning import tables as pruning
from secateur.reporting import comparisons, published, views
from secateur.reporting.grid import Grid
from secateur.reporting.render import latex, markdown
from secateur.reporting.results import EACH, MODEL_AXES, SIZES_FILE, Results
from secateur.ssl import tables as upstreams
from secateur.study.runs import Decoding, ModelRun, decodings, languages, lm_folder, model_runs

Row = dict[str, Any]
AVERAGE = "avg"

DECODING_AXES = (*MODEL_AXES, "language", "split", "search", "lm")
CORPUS_COUNTS = (
    *(
        "language",
        "split",
        "utterances",
        "hours",
        "unit",
        "words",
        "types",
        "speakers",
        "seen_sentences",
        "seen_speakers",
    ),
    *("uncovered", "tags", "untranscribed", "dropped", "resampled", "synthetic"),
)
CORPUS_FACTS = ("name", "description", "licence", "credits", "notes")
SCORES = ("unit", "wer", "wer_low", "wer_high", "cer", "utterances", "words")
TIMES = ("encoder_s", "search_s", "lm_s", "total_s", "p50_s", "p95_s", "rtf")
SIZES = ("parameters", "nonzero", "bytes", "macs_per_second", "peak_memory", "algorithmic_latency")
LOSSES = ("step", "train_loss", "dev_loss", "learning_rate", "grad_norm", "utterances", "seconds")
RECORDED = ("steps", "seconds", "cpu_seconds", "started", "host", "processor", "threads", "device", "git", "versions")


@dataclass(frozen=True)
class Table:
    """One tidy table: its columns, the function that makes its rows, and the one that arranges them for reading.

    Columns that depend on the study are a function of its configuration. A table without a view is for figures and
    machines only: it has no Markdown and no LaTeX.
    """

    name: str
    columns: Sequence[str] | Callable[[Mapping[str, Any]], Sequence[str]]
    rows: Callable[[Results], Iterable[Row]]
    view: Callable[[views.Tables], list[Grid]] | None = None

    def header(self, config: Mapping[str, Any]) -> Sequence[str]:
        """The columns in a study."""
        return self.columns(config) if callable(self.columns) else self.columns

    @property
    def files(self) -> list[str]:
        """Names of the files that `write_tables` writes for it."""
        return [f"{self.name}.{ending}" for ending in (("tsv", "md", "tex") if self.view else ("tsv",))]


def corpora(results: Results) -> Iterator[Row]:
    """What was heard and what was left out, per split and language: the summary of the validation before training."""
    for corpus in results.corpora:
        source = f"validation/{corpus}.tsv"
        for row in results.tsv(source, *CORPUS_COUNTS):
            yield {"corpus": corpus, **{column: row[column] for column in CORPUS_COUNTS}, "source": source}


def sources(results: Results) -> Iterator[Row]:
    """Where the speech is from, under which licence, and whom to credit."""
    for corpus, language in _corpus_languages(results):
        source = f"data/{corpus}/{language}/source.json"
        facts = results.json(source, "name", "licence", "synthetic")
        texts = {key: _text(facts.get(key)) for key in CORPUS_FACTS}
        yield {"corpus": corpus, "language": language, **texts, "synthetic": facts["synthetic"], "source": source}


def dropped(results: Results) -> Iterator[Row]:
    """How many utterances of the source were left out, by reason."""
    for corpus, language in _corpus_languages(results):
        source = f"data/{corpus}/{language}/dropped.tsv"
        reasons = Counter(row["reason"] for row in results.tsv(source, "reason"))
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
            yield {"corpus": corpus, "language": language, "reason": reason, "utterances": count, "source": source}


def wer(results: Results) -> Iterator[Row]:
    """Error rates in percent, and below them, as language `avg`, their unweighted means over languages.

    A model of one language has no average. The monolingual models of all languages of a corpus have one together,
    with scope `each`.
    """
    rows: dict[Decoding, Row] = {}
    for decoding in decodings(results.config):
        source = f"{decoding.folder}/score.json"
        score = results.json(source, *SCORES)
        rows[decoding] = {
            **decoding_axes(results, decoding),
            **{column: score[column] for column in SCORES},
            "source": source,
        }
    yield from rows.values()
    for members in families(results, rows):
        paths = {decoding.language: f"{decoding.folder}/utterances.tsv" for decoding in members}
        mean = average_error_rate(
            {language: comparisons.counted(results, path)[1:] for language, path in paths.items()}
        )
        parts = [rows[decoding] for decoding in members]
        yield {
            **average_axes(parts),
            "unit": common(part["unit"] for part in parts),
            "wer": mean.value,
            "wer_low": mean.low,
            "wer_high": mean.high,
            "cer": fmean(part["cer"] for part in parts),
            "utterances": sum(part["utterances"] for part in parts),
            "words": sum(part["words"] for part in parts),
            "source": " ".join(paths.values()),
        }


def latency(results: Results) -> Iterator[Row]:
    """Decoding time by part, per language; rows of language `avg` hold unweighted means over languages."""
    rows: dict[Decoding, Row] = {}
    for decoding in decodings(results.config):
        source = f"{decoding.folder}/latency.json"
        times = results.json(source, *TIMES, "threads", "batch", "device")
        rows[decoding] = {
            **decoding_axes(results, decoding),
            **{column: times[column] for column in (*TIMES, "threads", "batch", "device")},
            "source": source,
        }
    yield from rows.values()
    for members in families(results, rows):
        parts = [rows[decoding] for decoding in members]
        yield {
            **average_axes(parts),
            **{column: fmean(part[column] for part in parts) for column in TIMES},
            **{column: common(part[column] for part in parts) for column in ("threads", "batch", "device")},
            "source": " ".join(part["source"] for part in parts),
        }


def size(results: Results) -> Iterator[Row]:
    """What each model costs; the algorithmic latency is empty where a model hears the whole utterance first."""
    for run in model_runs(results.config):
        sizes = results.size(run, *SIZES)
        yield {**results.axes(run), **{column: sizes[column] for column in SIZES}, "source": SIZES_FILE}


def history(results: Results) -> Iterator[Row]:
    """The training histories of all models and language models."""
    for stage, axes, folder in trainings(results):
        source = f"{folder}/history.tsv"
        for row in results.tsv(source, "step", "train_loss"):
            yield {"stage": stage, **axes, **{column: row.get(column) for column in LOSSES}, "source": source}


def runs(results: Results) -> Iterator[Row]:
    """Who ran what when, on which machine, with which versions: the `run.json` of every training and decoding.

    `steps` are those of the run itself, `total_steps` also those of all that a model is made from.
    """
    totals = {run.folder: pruning.total_steps(results.config, run) for run in model_runs(results.config)}
    totals |= upstreams.totals(results.config)
    for stage, axes, folder in trainings(results):
        yield {"stage": stage, **axes, **_recorded(results, folder), "total_steps": totals.get(folder)}
    for decoding in decodings(results.config):
        yield {"stage": "decode", **decoding_axes(results, decoding), **_recorded(results, decoding.folder)}


TABLES = (
    Table("corpora", ("corpus", *CORPUS_COUNTS, "source"), corpora, views.corpora),
    Table(
        "sources",
        ("corpus", "language", *CORPUS_FACTS, "synthetic", "source"),
        sources,
        views.sources,
    ),
    Table("dropped", ("corpus", "language", "reason", "utterances", "source"), dropped, views.dropped),
    Table("wer", (*DECODING_AXES, *SCORES, "source"), wer, views.wer),
    Table("comparisons", comparisons.COLUMNS, comparisons.rows, comparisons.view),
    Table("latency", (*DECODING_AXES, *TIMES, "threads", "batch", "device", "source"), latency, views.latency),
    Table("size", (*MODEL_AXES, *SIZES, "source"), size, views.size),
    *(
        Table(
            name,
            lambda config: multilingual.columns(multilingual.codes(config)),
            partial(multilingual.rows, lines=lines, figures=figures, few=name == "table2"),
            partial(multilingual.view, name, title),
        )
        for name, title, lines, figures in (
            ("table1", "Pruning a multilingual model", multilingual.TABLE1, published.S3_TABLE1),
            ("table2", "Pathways of some languages", multilingual.TABLE2, published.S3_TABLE2),
            ("table3", "Pathways of all languages", multilingual.TABLE3, published.S3_TABLE3),
        )
    ),
    Table("budget", multilingual.BUDGET_COLUMNS, multilingual.budget, multilingual.budget_view),
    Table("schedule", pruning.SCHEDULE_COLUMNS, pruning.schedules),
    Table("masks", pruning.OVERLAP_COLUMNS, pruning.overlaps),
    Table("matrices", pruning.MATRIX_COLUMNS, pruning.matrices),
    Table("adaptations", pruning.ADAPTATION_COLUMNS, pruning.adaptations),
    Table("layers", layers.COLUMNS, layers.rows, layers.view),
    Table("depth_rtf", layers.RTF_COLUMNS, layers.speeds, layers.speed_view),
    Table("svcca", layers.SVCCA_COLUMNS, layers.similarities),
    Table("finetune", layers.FINETUNE_COLUMNS, layers.finetuned, layers.finetune_view),
    Table("heads", heads.COLUMNS, heads.rows, heads.view),
    Table("locality", heads.LOCALITY_COLUMNS, heads.locality, heads.locality_view),
    Table("importance", heads.IMPORTANCE_COLUMNS, heads.importances),
    Table("lm", lms.COLUMNS, lms.rows, lms.view),
    Table("combined", heads.COMBINED_COLUMNS, heads.combinations, heads.combined_view),
    Table("superb", upstreams.SCORES_COLUMNS, upstreams.scores, upstreams.view),
    Table("structured", upstreams.STRUCTURED_COLUMNS, upstreams.structured, upstreams.structured_view),
    Table("gates", upstreams.GATES_COLUMNS, upstreams.gates),
    Table("blocks", upstreams.BLOCKS_COLUMNS, upstreams.blocks),
    Table("storage", pruning.STORAGE_COLUMNS, pruning.storage, pruning.storage_view),
    Table("history", ("stage", *MODEL_AXES, *LOSSES, "source"), history),
    Table("runs", ("stage", *DECODING_AXES, *RECORDED, "total_steps", "source"), runs),
)


def write_tables(config: Mapping[str, Any], root: str | Path) -> dict[str, list[dict[str, str]]]:
    """Write every table of `TABLES` to `root/tables` as TSV, Markdown and LaTeX; return them as `read_tables` does.

    Raises SecateurError naming the first file that is missing.
    """
    results = Results(config, Path(root))
    rows = {table.name: list(table.rows(results)) for table in TABLES}
    for table in TABLES:
        write_tsv(results.root / "tables" / f"{table.name}.tsv", table.header(config), rows[table.name])
    tables = read_tables(results.root / "tables")
    for table in TABLES:
        if table.view:
            grids = table.view(tables)
            write_text(results.root / "tables" / f"{table.name}.md", markdown(grids))
            write_text(results.root / "tables" / f"{table.name}.tex", latex(grids, table.name))
    return tables


def read_tables(folder: str | Path) -> dict[str, list[dict[str, str]]]:
    """Every table of `TABLES`, as rows of strings, by name."""
    return {table.name: read_tsv(Path(folder) / f"{table.name}.tsv") for table in TABLES}


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
        if family.scope != EACH or (len(everyone) > 1 and {member.language for member in members} == set(everyone)):
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


def trainings(results: Results) -> Iterator[tuple[str, Row, str]]:
    """Stage, axes and folder of every training: models, the language models that decodings use, and upstreams."""
    for run in model_runs(results.config):
        yield "model", results.axes(run), run.folder
    lms = {
        (decoding.run.corpus, lm, decoding.run.seed): None
        for decoding in decodings(results.config)
        if (lm := results.lm_of(decoding.search))
    }
    for corpus, lm, seed in lms:
        yield "lm", {"corpus": corpus, "model": lm, "scope": "all", "seed": seed}, lm_folder(corpus, lm, seed)
    for axes, folder in upstreams.trainings(results.config):
        yield "upstream", axes, folder


def _corpus_languages(results: Results) -> Iterator[tuple[str, str]]:
    for corpus in results.corpora:
        for language in languages(results.config, corpus, "all"):
            yield corpus, language


def _recorded(results: Results, folder: str) -> Row:
    source = f"{folder}/run.json"
    record = results.json(source, "seconds", "started", "host")
    versions = "; ".join(f"{name} {version}" for name, version in sorted(record.get("versions", {}).items()))
    return {**{column: record.get(column) for column in RECORDED}, "versions": versions, "source": source}


def _text(value: Any) -> str:
    """A fact of `source.json` as one line: texts as they are, lists joined, nothing for None."""
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)
