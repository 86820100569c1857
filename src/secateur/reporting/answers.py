"""What people come for, at the top of the page: the dense model, and what is smaller or faster and no worse.

Systems are chosen on dev data and shown on test data: of many systems, the best on test data looks too good there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from secateur.reporting import views
from secateur.reporting.grid import Cell, Row, combined, figure, measure
from secateur.reporting.rates import rate
from secateur.reporting.views import Tables, main_split
from secateur.statistics.verdicts import NOT_SUPPORTED, NOT_TESTED, SUPPORTED, UNDECIDED
from secateur.study.runs import DEV

NOT_CHOSEN = "Nothing is chosen: dev data were not decoded, and test data are not for choosing (decode.splits)."
VERDICTS = (NOT_SUPPORTED, UNDECIDED, NOT_TESTED)


@dataclass(frozen=True)
class Key:
    """A card: one large number, or a word, and what it is about.

    Attributes:
        name: the question.
        cell, unit: the answer; of nothing found, a text.
        system: which system it is about.
        note: what else is to be known of it.
        link: the section of the page that has more.
    """

    name: str
    cell: Cell
    unit: str = ""
    system: str = ""
    note: str = ""
    link: str = "systems"


def keys(tables: Tables) -> list[Key]:
    """By corpus the dense model, the smallest and the fastest system no worse than it; and the claims."""
    found, corpora = [], views.by_corpus(tables["systems"])
    for corpus in corpora:
        suffix = f", corpus {corpus}" if len(corpora) > 1 else ""
        found += _of_corpus(tables, corpus, suffix)
    counts = Counter(row["verdict"] for row in tables["claims"])
    if total := counts.total():
        others = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
        answer = Cell(text=f"{counts[SUPPORTED]} of {total}")
        found.append(Key("Claims supported", answer, note=others, link="claims"))
    return found


def _of_corpus(tables: Tables, corpus: str, suffix: str) -> list[Key]:
    verdicts = [row for row in tables["no_worse"] if row["corpus"] == corpus]
    split = main_split(tables)
    shown = [row for row in tables["systems"] if (row["corpus"], row["split"]) == (corpus, split)]
    if not shown:
        return []
    first = next((row for row in shown if (row["kind"], row["method"]) == ("dense", "dense")), None)
    if not verdicts and first is None:
        return []
    name, search = (verdicts[0]["reference"], verdicts[0]["search"]) if verdicts else (first["system"], first["search"])  # type: ignore[index]
    alike = views.grouped([row for row in shown if row["search"] == search], "system")
    dense = alike[(name,)]
    found = [_dense(tables, shown, dense, split, suffix)]
    questions = ("Smallest that is no worse", "Fastest that is no worse")
    on_dev = [row for row in verdicts if row["split"] == DEV]
    if not on_dev:
        note = NOT_CHOSEN if verdicts else "There is no other system to choose from."
        return [*found, *(Key(f"{question}{suffix}", Cell(text="–"), note=note) for question in questions)]
    able = {row["system"]: alike[(row["system"],)] for row in on_dev if row["verdict"] == SUPPORTED}
    on_test = {row["system"]: row for row in verdicts if row["split"] == split}
    margin = on_dev[0]["margin"]
    for question, smaller, column, scale, unit in (
        (questions[0], _smaller, "bytes", 1e-6, " MB"),
        (questions[1], _faster, "rtf", 1.0, " RTF"),
    ):
        better = {system: rows for system, rows in able.items() if smaller(rows, dense)}
        if not better:
            less = "smaller" if column == "bytes" else "measurably faster"
            among = f"{len(able)} of {len(on_dev)} systems are shown to be no worse on dev (margin: {margin})"
            note = f"{among}; none of them is {less}." if able else f"{among}."
            found.append(Key(f"{question}{suffix}", Cell(text="none"), note=note))
            continue
        chosen = min(better, key=lambda system: _mean(better[system], column))
        cell = combined([measure(row, column, None, scale, interval=column == "rtf") for row in better[chosen]])
        share = f"{figure(100 * _mean(better[chosen], column) / _mean(dense, column), 0)} %"
        if column == "rtf" and _in_turns(better[chosen], dense):
            paired = combined([measure(row, "ratio", 0, 100, interval=True) for row in better[chosen]])
            share = f"{paired.number} % {paired.uncertainty}"
        wer = combined([measure(row, "wer", 1, interval=True) for row in better[chosen]])
        note = f"{share} of the dense one's. {_errors(tables, corpus, wer, split)}"
        if chosen in on_test:
            more = measure(on_test[chosen], "difference", 1, interval=True)
            spelled = measure(on_test[chosen], "cer_difference", 1, interval=True)
            least = measure(on_test[chosen], "detectable", 1)
            note += f"; {more.number} {more.uncertainty} points more than the dense one"
            note += f" (CER {spelled.number} {spelled.uncertainty}; {least.number} would have been seen)"
        found.append(Key(f"{question}{suffix}", cell, unit, f"{chosen}, {search}", f"{note}."))
    return found


def _dense(tables: Tables, shown: Sequence[Row], dense: Sequence[Row], split: str, suffix: str) -> Key:
    """The dense model by the common search, and by the search with the fewest errors on dev."""
    row = dense[0]
    cell = combined([measure(one, "wer", 1, interval=True) for one in dense])
    costs = [f"{measure(row, 'bytes', None, 1e-6).number} MB"]
    if row["rtf"]:
        costs.append(f"RTF {combined([measure(one, 'rtf') for one in dense]).number}")
    note = f"{rate(tables, row['corpus'])('Word error rate')} on {split}, mean over languages. {', '.join(costs)}."
    others = [one for one in shown if one["system"] == row["system"] and one["dev_wer"]]
    searches: Mapping[tuple[str, ...], Sequence[Row]] = views.grouped(others, "search")
    best = min(searches.values(), key=lambda rows: _mean(rows, "dev_wer"), default=dense)
    if best[0]["search"] != row["search"]:
        other = combined([measure(one, "wer", 1, interval=True) for one in best])
        note += f" With {best[0]['search']}, its best search on dev: {other.number} % {other.uncertainty}."
    return Key(f"The dense model{suffix}", cell, " %", f"{row['system']}, {row['search']}", note)


def _errors(tables: Tables, corpus: str, cell: Cell, split: str) -> str:
    return f"{rate(tables, corpus)('WER')} on {split} {cell.number} % {cell.uncertainty}"


def _smaller(mine: Sequence[Row], dense: Sequence[Row]) -> bool:
    return _mean(mine, "bytes") < _mean(dense, "bytes")


def _faster(mine: Sequence[Row], dense: Sequence[Row]) -> bool:
    """Whether a system is faster beyond doubt: its ratio to the dense model, utterance by utterance, is below 1.

    Where it was not timed in turns with that, the intervals of both must be apart.
    """
    timed = [*mine, *dense]
    if not all(row["rtf_low"] and row["rtf_high"] for row in timed) or any(row["doubt"] for row in timed):
        return False
    if _in_turns(mine, dense):
        return max(float(row["ratio_high"]) for row in mine) < 1
    return max(float(row["rtf_high"]) for row in mine) < min(float(row["rtf_low"]) for row in dense)


def _in_turns(mine: Sequence[Row], dense: Sequence[Row]) -> bool:
    """Whether a system was timed in turns with the dense model, so that its column `ratio` is over that."""
    return all(row.get("ratio_high") and row["model"] == dense[0]["model"] for row in mine)


def _mean(rows: Sequence[Row], column: str) -> float:
    values = [row[column] for row in rows]
    return fmean(map(float, values)) if all(values) else float("inf")
