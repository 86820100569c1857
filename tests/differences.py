"""Compare the results of two runs of a study byte for byte, but for times, hosts and memory, and what is made of them.

    python tests/differences.py clone/results/smoke another/results/smoke

Checkpoints, masks, features, hypotheses, scores and tables have to be the same. What may differ is named here, and
nothing else: columns and keys of measurements, and the files that consist of these.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

MEASURED = {
    # run.json, and the table `runs`
    *("host", "load", "started", "seconds", "cpu_seconds", "peak_memory_bytes", "threads"),
    # decoding times, per utterance and in all, with their intervals; times of searching for layers; memory
    *("encoder_s", "search_s", "lm_s", "total_s", "total_s_low", "total_s_high"),
    *("p50_s", "p50_s_low", "p50_s_high", "p95_s", "rtf", "rtf_low", "rtf_high"),
    *("lm_share", "lm_share_low", "lm_share_high", "peak_memory"),
    "evaluation_seconds",
    # of times; the one of sizes, in the table `storage`, follows from columns that are compared
    *("ratio", "ratio_low", "ratio_high", "relative", "speedup", "speedup_low", "speedup_high"),
    # how sound times are, and what follows from them: depths within a budget, systems that none is faster than
    *("same", "same_low", "same_high", "others", "measured", "doubt", "order_doubt", "doubts", "budgets", "front_time"),
}
"""Names of columns and keys whose values are times or memory, or tell where and when something ran."""
OF_MEASUREMENTS = {
    "benchmarks",  # Snakemake's own times
    "report",  # holds all tables and figures
    *(f"figures/{name}.svg" for name in ("depth", "heads", "latency", "lm", "systems_latency", "tradeoff")),
    *("tables/claims.tsv", "tables/head_comparisons.tsv"),
}
"""Files and folders that are made of measurements."""


def differences(first: Path, second: Path) -> list[str]:
    """What differs between two folders of results: a line for each file, with the first difference."""
    ours, theirs = files(first), files(second)
    found = [f"{name}: only in one of them" for name in sorted(ours ^ theirs)]
    for name in sorted(ours & theirs):
        if Path(name).suffix not in (".md", ".tex") and (  # the TSV, for reading, under a caption that tells times
            difference := compare(first / name, second / name)
        ):
            found.append(f"{name}: {difference}")
    return found


def files(folder: Path) -> set[str]:
    """The files below a folder that are to be compared, by their paths."""
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not OF_MEASUREMENTS & {name, name.partition("/")[0]}}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def compare(first: Path, second: Path) -> str:
    """How two files differ; nothing if they are the same but for measurements."""
    if first.read_bytes() == second.read_bytes():
        return ""
    if first.suffix == ".json":
        return unlike(*(json.loads(path.read_text(encoding="utf-8")) for path in (first, second)))
    if first.suffix == ".tsv":
        return unlike(rows(first), rows(second))
    return "other bytes"


def unlike(first: Any, second: Any, place: str = "") -> str:
    """The first place in which two values differ, other than in a measurement."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = [(f"{place}.{key}", first[key], second[key]) for key in first if key not in MEASURED]
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = [(f"{place}[{index}]", *pair) for index, pair in enumerate(zip(first, second, strict=True))]
    else:
        return "" if first == second else f"{place}: {first!r} and {second!r}"[:300]
    return next((found for where, one, other in pairs if (found := unlike(one, other, where))), "")


if __name__ == "__main__":
    lines = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(lines) or "the same")
    sys.exit(bool(lines))
