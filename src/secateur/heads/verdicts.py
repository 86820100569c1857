"""Without heads, with fewer layers, or without a language model: errors and time against a rival, over all seeds.

Questions: `locality`, every other policy against `global` at the same share; `heads`, a set of heads removed against
the whole model; `combined`, fewer layers and heads against the whole model; `recovery`, models that were trained on
against themselves before, and against the whole model trained on, the control; `lm`, a search with a language model
against the same without. Searches whose time alone is measured have rows of the mean without error rates. Where
times are compared, the reference's second time has a row against its first, of policy A/A.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from secateur.decoding.timing import AGAIN
from secateur.heads import study as heads
from secateur.heads.evidence import part_of, sets_of, system_of, whole_runs
from secateur.heads.measured import RATIO, SOUND, Relative, Times, relative_times
from secateur.heads.study import RECOVERED, combined, heads_step, recovery_of, smaller_run, system_name
from secateur.heads.tables import AGAINST, ORDERS, WHOLE, mean_language, searches_of
from secateur.reporting import compared, views
from secateur.reporting.grid import Cell, Grid, Row, measure, pivot
from secateur.reporting.rates import rate
from secateur.reporting.results import Results
from secateur.reporting.systems import AVERAGE, System
from secateur.reporting.times import soundness
from secateur.statistics.verdicts import UNDECIDED
from secateur.study.runs import ModelRun, languages, reported_splits

LOCALITY, REMOVED, COMBINED, RECOVERY, LM = QUESTIONS = "locality", "heads", "combined", "recovery", "lm"
COLUMNS = (
    *("question", "corpus", "model", "importance", "policy", "share", "recovery", "a", "b", "split", "language"),
    *("search", *RATIO, "time", *SOUND, *compared.COLUMNS, "errors", "source"),
)
WHOLE_RUN = heads.WHOLE
NAMES = {WHOLE_RUN: WHOLE}
Entry = Mapping[str, Any]
Name = tuple[str, str]


@dataclass(frozen=True)
class Pair:
    """Two systems by seed: what is decoded of them (nothing where time alone is measured), and what was timed."""

    axes: Mapping[str, Any]
    search: str
    decoded: tuple[Sequence[System], Sequence[System]]
    timed: tuple[Sequence[Name], Sequence[Name]]


def rows(results: Results) -> Iterator[dict[str, Any]]:
    """One row per pair and language, and one of the mean, as language `avg`."""
    for entry in results.config["heads"]:
        times = [Times(results, run) for run in whole_runs(results, entry)]
        for split in reported_splits(results.config, entry["corpus"]):
            kinds = (_locality, _removed, _combined, _recovery, _lms)
            for question, pairs in zip(QUESTIONS, kinds, strict=True):
                axes = {"question": question, "corpus": entry["corpus"], "model": entry["model"], "split": split}
                again: dict[str, dict[str, Any]] = {}
                for pair in pairs(results, entry, split):
                    for row in _rows(results, axes | pair.axes, pair, times):
                        yield row
                        if "ratio" in row:
                            again |= _again(times[0], pair.search)
                for row in again.values():
                    yield axes | {"language": mean_language(results, times[0].run)} | row


def _rows(results: Results, axes: Mapping[str, Any], pair: Pair, times: Sequence[Times]) -> Iterator[dict[str, Any]]:
    timed = relative_times(times, *pair.timed) if pair.timed[0] else None
    facts = {**axes, "search": pair.search, **_of_times(timed)}
    if timed:
        facts |= {column: times[0].again(pair.search)[column] for column in SOUND}
    files = timed.files if timed else ""
    mine, other = pair.decoded
    if not mine:
        if timed:
            about = {"language": mean_language(results, times[0].run), "seeds": timed.seeds}
            yield facts | about | {"interval": timed.interval, "source": files}
        return
    codes = list(mine[0].decodings)
    for language, chosen in [*((code, [code]) for code in codes), *([(AVERAGE, codes)] if len(codes) > 1 else [])]:
        found = compared.compared(results, mine, other, chosen)
        errors = sign(found.absolute.low, found.absolute.high, "fewer", "more")
        yield (
            facts
            | compared.columns(found)
            | {
                "language": language,
                "errors": errors,
                "source": f"{found.files} {files}".strip(),
            }
        )


def _of_times(found: Relative | None) -> dict[str, Any]:
    if found is None:
        return {}
    ends = [compared.number(getattr(found.number, name)) for name in ("value", "low", "high")]
    return dict(zip(RATIO, ends, strict=True)) | {"time": _said(found.number.low, found.number.high, found.doubt)}


def _said(low: float, high: float, doubt: str) -> str:
    """What the interval of a ratio of times says."""
    return UNDECIDED if doubt else sign(low - 1, high - 1, "faster", "slower")


def _again(times: Times, search: str) -> dict[str, dict[str, Any]]:
    """By group of searches that are timed together, the reference's second time against its first."""
    found, columns = times.family.again(search), times.again(search)
    said = _said(found["ratio_low"], found["ratio_high"], found["doubt"])
    facts = {"policy": AGAIN, "a": AGAIN, "b": WHOLE, "search": found["search"], "time": said, "source": times.files}
    return {found["group"]: facts | {column: columns[column] for column in (*RATIO, *SOUND)}}


def sign(low: float, high: float, below: str, above: str) -> str:
    """What the interval from `low` to `high` says: all of it below 0, all above, or neither."""
    return below if high < 0 else above if low > 0 else UNDECIDED


def _locality(results: Results, entry: Entry, split: str) -> Iterator[Pair]:
    """Every other policy against `global`, at the same share by the same importance."""
    runs, importance = whole_runs(results, entry), entry["importances"][0]
    sets = [sets_of(results, run) for run in runs]
    for search in searches_of(entry):
        for policy in (policy for policy in entry["policies"] if policy != AGAINST):
            for share in entry["shares"]:
                keys = [(importance, policy, share), (importance, AGAINST, share)]
                if not all(key in found for found in sets for key in keys):
                    continue
                parts = [[found[key] for found in sets] for key in keys]
                if parts[0] != parts[1]:
                    axes = {"importance": importance, "policy": policy, "share": share, "a": policy, "b": AGAINST}
                    yield _pair(results, entry, runs, axes, search, split, parts)


def _removed(results: Results, entry: Entry, split: str) -> Iterator[Pair]:
    """Every set of heads removed, and what was trained on after that, against the whole model."""
    runs = whole_runs(results, entry)
    sets, nothing = [sets_of(results, run) for run in runs], [""] * len(runs)
    recovery = recovery_of(entry)
    for search in searches_of(entry):
        for importance, policy, share in sets[0]:
            axes = {"importance": importance, "policy": policy, "share": share, "recovery": False, "b": WHOLE}
            axes |= {"a": f"{policy} by {importance}, {100 * share:g} %"}
            parts = [found[importance, policy, share] for found in sets]
            yield _pair(results, entry, runs, axes, search, split, [parts, nothing])
            kept = recovery is not None and recovery.of(policy, share)
            if kept and importance == entry["importances"][0] and search in entry["searches"]:
                method = heads_step(policy, share) + RECOVERED
                axes |= {"recovery": True, "a": f"{axes['a']}, trained on"}
                yield _of_models(
                    results, entry, axes, method, search, split, [(_timed(search), part) for part in parts]
                )


def _combined(results: Results, entry: Entry, split: str) -> Iterator[Pair]:
    """Fewer layers and fewer heads, alone, in both orders, and trained on, against the whole model."""
    chosen, first = entry["combine"], entry["latency"]["searches"][0]
    suffixes = ("", RECOVERED) if chosen and chosen["recovery"] else ("",)
    for search in entry["searches"]:
        for suffix in suffixes:
            for order, method in zip(ORDERS, combined(entry), strict=False):
                name = system_name(method, search) if search == first else ""
                axes = {"a": f"{order}, trained on" if suffix else order, "b": WHOLE, "recovery": bool(suffix)}
                names = [(name, "")] * len(results.config["seeds"])
                yield _of_models(results, entry, axes, method + suffix, search, split, names)


def _recovery(results: Results, entry: Entry, split: str) -> Iterator[Pair]:
    """Every model that was trained on against itself before, and against the control; errors alone."""
    codes, runs = languages(results.config, entry["corpus"], "all"), whole_runs(results, entry)
    methods = heads.recovered(entry)
    sets = [sets_of(results, run) for run in runs] if methods else []
    alone = {
        heads_step(policy, share): (importance, policy, share)
        for importance, policy, share in (sets[0] if sets else ())
        if importance == entry["importances"][0]
    }

    def before(run: ModelRun, place: int, method: str, search: str) -> System:
        if method in combined(entry):
            return system_of(smaller_run(entry, method, run.seed), codes, search, split)
        if method == WHOLE_RUN:
            return system_of(run, codes, search, split)
        return part_of(results, run, sets[place][alone[method]], search, split)

    def after(run: ModelRun, method: str, search: str) -> System:
        return system_of(smaller_run(entry, method + RECOVERED, run.seed), codes, search, split)

    for search in entry["searches"] if methods else ():
        for method in [WHOLE_RUN, *methods]:
            name, mine = NAMES.get(method, method), [after(run, method, search) for run in runs]
            axes = {"recovery": True, "a": f"{name}, trained on"}
            others = [before(run, place, method, search) for place, run in enumerate(runs)]
            yield Pair(axes | {"b": f"{name}, before"}, search, (mine, others), ((), ()))
            if method != WHOLE_RUN:
                control = [after(run, WHOLE_RUN, search) for run in runs]
                yield Pair(axes | {"b": f"{WHOLE}, trained on"}, search, (mine, control), ((), ()))


def _lms(results: Results, entry: Entry, split: str) -> Iterator[Pair]:
    """Every search with a language model against the one without."""
    without = next((search for search in entry["lms"] if not results.lm_of(search)), None)
    runs = whole_runs(results, entry)
    codes = languages(results.config, entry["corpus"], "all")
    for search in entry["lms"]:
        if without and search != without:
            decoded = [[system_of(run, codes, one, split) for run in runs] for one in (search, without)]
            timed = [[(_timed(one), "")] * len(runs) for one in (search, without)]
            axes = {"a": results.lm_of(search), "b": "none"}
            yield Pair(axes, search, (decoded[0], decoded[1]), (timed[0], timed[1]))


def _pair(
    results: Results,
    entry: Entry,
    runs: Sequence[ModelRun],
    axes: Mapping[str, Any],
    search: str,
    split: str,
    parts: Sequence[Sequence[str]],
) -> Pair:
    """Sets of heads of the same models; "" is the whole one."""
    codes = languages(results.config, entry["corpus"], "all")
    decoded = [
        [
            part_of(results, run, part, search, split) if part else system_of(run, codes, search, split)
            for run, part in zip(runs, side, strict=True)
        ]
        for side in (parts if search in entry["searches"] else ((), ()))
        if side
    ]
    timed = [[(_timed(search), part) for part in side] for side in parts]
    return Pair(axes, search, (decoded[0], decoded[1]) if decoded else ((), ()), (timed[0], timed[1]))


def _of_models(
    results: Results, entry: Entry, axes: Mapping[str, Any], method: str, search: str, split: str, names: Sequence[Name]
) -> Pair:
    """A smaller model with a checkpoint, against the whole one; it was timed as `names`, before it was trained on."""
    codes, runs = languages(results.config, entry["corpus"], "all"), whole_runs(results, entry)
    smaller = [system_of(smaller_run(entry, method, run.seed), codes, search, split) for run in runs]
    whole = [system_of(run, codes, search, split) for run in runs]
    return Pair(dict(axes), search, (smaller, whole), (names, [(_timed(search), "")] * len(runs)))


def _timed(search: str) -> str:
    return system_name(heads.WHOLE, search)


# --- for reading


TITLES = {
    LOCALITY: f"Does locality pay? Policies against {AGAINST}",
    REMOVED: "Without heads, against the whole model",
    COMBINED: "Fewer layers and heads, against the whole model",
    RECOVERY: "Trained on, against before, and against the whole model trained on",
    LM: "With a language model, against none",
}
NOTE = (
    "Time: that of A over that of B, on the same utterances of the dev sets in turns; with several seeds, the interval "
    "is over seeds, too. Errors: word error rate of A minus that of B, mean over languages; relative: in %."
)


def view(tables: views.Tables) -> list[Grid]:
    """By question and model: A against B in time and errors; of locality and language models, what that adds up to."""
    grids = []
    for (question, corpus, model), members in views.grouped(
        tables["head_comparisons"], "question", "corpus", "model"
    ).items():
        chosen, named = [row for row in members if row["language"] == AVERAGE] or members, rate(tables, corpus)

        def cells(row: Row, named: Any = named) -> list[tuple[str, Cell]]:
            return [
                ("Time, ratio", measure(row, "ratio", 2, interval=True)),
                ("So", Cell(text=row["time"] or "–")),
                (named("WER, points"), measure(row, "difference", 1, interval=True)),
                ("Errors", Cell(text=row["errors"] or "–")),
                ("p", measure(row, "p_value", 4)),
                ("Detectable", measure(row, "detectable", 1)),
                ("Relative (%)", measure(row, "relative", 1, interval=True)),
                ("CER, points", measure(row, "cer_difference", 1, interval=True)),
            ]

        lines = [row | {"share": f"{100 * float(row['share']):g} %" if row["share"] else ""} for row in chosen]
        index = ("a", "b", "share", "search", "seeds", "split") if question == LOCALITY else _INDEX
        grid = pivot(
            f"{TITLES[question]}: {model}, {views.named(tables, corpus)}", lines, index, cells, keep=("a", "b")
        )
        text = " ".join(said(question, [row for row in chosen if row["policy"] != AGAIN]))
        note = compared.note(row for row in chosen if row["wer_a"])
        caption = " ".join(filter(None, (text, NOTE, soundness(members), note, views.speech(tables, corpus))))
        grids.append(replace(grid, caption=named(caption)))
    return grids


_INDEX = ("a", "b", "search", "seeds", "split")


def said(question: str, rows: Sequence[Row]) -> Iterator[str]:
    """What the comparisons of a question add up to, in sentences."""
    if question == LOCALITY:
        for (policy,), members in views.grouped(rows, "policy").items():
            yield conclusion(policy, members)
    if question == LM:
        yield from (without(row) for row in rows if row["ratio"])


def conclusion(policy: str, rows: Sequence[Row]) -> str:
    """What the verdicts on a policy at all shares add up to, in a sentence with the widest interval of each."""
    parts = []
    for what, column, members, unit in (
        ("time", "time", [row for row in rows if row["time"]], ("ratio", 2, "times the time")),
        ("errors", "errors", [row for row in rows if row["errors"]], ("difference", 1, "points of WER")),
    ):
        if not members:
            continue
        verdicts = ("faster", "slower", UNDECIDED) if what == "time" else ("fewer", "more", UNDECIDED)
        counts = {verdict: sum(row[column] == verdict for row in members) for verdict in verdicts}
        found = ", ".join(f"{verdict} at {count}" for verdict, count in counts.items() if count)
        value, digits, text = unit
        ends = [float(row[f"{value}_{end}"]) for row in members for end in ("low", "high") if row[f"{value}_{end}"]]
        between = f" (between {min(ends):.{digits}f} and {max(ends):.{digits}f} {text})" if ends else ""
        parts.append(f"{what} {found} of {len(members)} comparisons{between}")
    return f"{policy} against {AGAINST}: {'; '.join(parts)}."


def without(row: Row) -> str:
    """What leaving a language model out does, in a sentence."""
    time, low, high = (1 / float(row[name]) for name in ("ratio", "ratio_high", "ratio_low"))
    points = -float(row["difference"])
    ends = [-float(row[f"difference_{end}"]) for end in ("high", "low") if row[f"difference_{end}"]]
    interval = f" [{ends[0]:.1f}, {ends[1]:.1f}]" if ends else ""
    return (
        f"Without {row['a']} decoding takes {time:.2f} [{low:.2f}, {high:.2f}] of the time, and the WER changes by "
        f"{points:.1f}{interval} points."
    )
