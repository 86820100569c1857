"""Where the core seconds of a study go: useful work by kind, starting up, and Snakemake with its shells.

Clones the repository (what is committed) into a temporary folder and runs the study there from nothing. All core
seconds are those of the launcher and of everything that it has started. A job's are in its progress file, beside its
log, and so are those that it took until it began to work: starting Python and importing torch. What no job has is
Snakemake, its shells, and the live view. Core seconds, unlike the clock, hardly depend on what else the machine does.

    python benchmarks/overhead.py --study smoke
    python benchmarks/overhead.py --study default    # an hour or two
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "training": ("train", "train-lm", "prune", "finetune", "ssl-pretrain", "ssl-distill", "superb-task"),
    "decoding": ("decode", "perplexity"),
    "data": ("fetch-corpus", "prepare-corpus", "validate-corpus", "features", "tokens", "ssl-targets"),
    "report": ("tables", "figures", "report", "sizes", "masks"),
}
"""Commands of the kinds of work; what is not here is `measuring`: layers, heads, times."""
MEASURING, START, SNAKEMAKE = "measuring", "starting up", "Snakemake and shells"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="smoke", help="name of the study (smoke)")
    parser.add_argument("--cores", type=int, default=2, help="cores to use (2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        command = [sys.executable, "workflow/run.py", "--study", arguments.study, "--cores", str(arguments.cores)]
        started, before = time.time(), children()
        subprocess.run(command, cwd=clone, check=True, capture_output=True)
        wall, total = time.time() - started, children() - before
        logs = clone / "logs" / arguments.study
        records = [json.loads(path.read_text()) for path in logs.rglob("*.progress.json")]
    print(
        f"study {arguments.study}, {arguments.cores} cores: {len(records)} jobs with records, {wall:.0f} s by the clock"
    )
    shares = by_kind(records, total)
    for kind, seconds in shares.items():
        print(f"{kind:22} {seconds:9.0f} s {seconds / total:7.1%}")
    print(f"{'outside useful work':22} {shares[START] + shares[SNAKEMAKE]:9.0f} s {outside(shares):7.1%}")


def children() -> float:
    """Core seconds of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def by_kind(records: Iterable[Mapping[str, Any]], total: float) -> dict[str, float]:
    """Core seconds by kind of work, of a run that took `total` of them. A job without numbers counts as Snakemake's."""
    kinds = {command: kind for kind, commands in KINDS.items() for command in commands}
    found = dict.fromkeys([*KINDS, MEASURING, START], 0.0)
    for record in records:
        whole, start = record.get("cpu_seconds"), record.get("start_cpu_seconds")
        if whole is None or start is None:
            continue
        found[kinds.get(record["command"], MEASURING)] += whole - start
        found[START] += start
    return found | {SNAKEMAKE: total - sum(found.values())}


def outside(shares: Mapping[str, float]) -> float:
    """The share of core seconds that went into no useful work."""
    return (shares[START] + shares[SNAKEMAKE]) / sum(shares.values())


if __name__ == "__main__":
    main()
