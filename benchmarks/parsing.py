"""How long the workflow takes to be parsed and planned, side by side with an earlier commit.

Two copies of the tree, of HEAD and of the other commit, list the rules of a study (parsing alone) and dry-run it, in
turns. Each time is that of a process of its own, in processor seconds, which other work on the machine disturbs less
than wall time. It prints the ratio of every turn, HEAD to the other, its median, and the jobs that were planned.

    python benchmarks/parsing.py                                  # against ddaa4cd, before there were packages
    python benchmarks/parsing.py --against v0.1 --studies smoke --turns 3
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAYS = {"parse": ("--list-rules",), "dry run": ("-n", "--quiet", "rules")}
"""What Snakemake is asked for."""
Measured = tuple[float, int]
"""Processor seconds and the number of planned jobs."""
SNAKEMAKE = """import sys; from pathlib import Path
own = [path for path in sys.path if (Path(path) / "secateur").is_dir()]
sys.path[:] = [path for path in sys.path if path not in own[1:]]
from snakemake.cli import main; main()"""
"""Snakemake with the tree's own sources alone: what is installed of this project would add its plugins."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="ddaa4cd", help="commit to compare with (%(default)s)")
    parser.add_argument("--studies", nargs="+", default=["default", "mls-tables"], help="(default mls-tables)")
    parser.add_argument("--turns", type=int, default=5, help="times of each (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = {name: Path(folder) / name for name in ("this", "other")}
        for name, revision in (("this", "HEAD"), ("other", arguments.against)):
            archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
            with tarfile.open(fileobj=BytesIO(archive)) as packed:
                packed.extractall(trees[name], filter="data")
        print(f"{'study':12}{'':8}{'this s':>8}{'other s':>9}{'ratio':>7}{'jobs':>12}   ratio of every turn")
        for study in arguments.studies:
            for way, words in WAYS.items():
                found: dict[str, list[Measured]] = {name: [] for name in trees}
                for turn in range(arguments.turns + 1):  # the first fills caches
                    for name in sorted(trees, reverse=bool(turn % 2)):
                        measured = run(trees[name], study, words)
                        found[name] += [measured] if turn else []
                print(report(study, way, found["this"], found["other"]), flush=True)


def run(tree: Path, study: str, words: tuple[str, ...]) -> Measured:
    """Run Snakemake in a copy of the tree: its processor seconds, with all that it starts, and the jobs it plans."""
    files = [] if study == "default" else ["--configfile", f"workflow/studies/{study}.yaml"]
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SNAKEMAKE, "--cores", "2", *words, *files]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if answer.returncode:
        sys.exit(f"{tree.name}, {study}: {answer.stdout}{answer.stderr}")
    jobs = re.search(r"^total +(\d+)$", answer.stdout, re.MULTILINE)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, int(jobs[1]) if jobs else 0


def report(study: str, way: str, this: list[Measured], other: list[Measured]) -> str:
    """A line: median seconds, the median ratio, jobs, and all ratios."""
    ratios = [mine / theirs for (mine, _), (theirs, _) in zip(this, other, strict=True)]
    seconds = [statistics.median(second for second, _ in found) for found in (this, other)]
    jobs = f"{this[0][1]} / {other[0][1]}" if this[0][1] else ""
    every = " ".join(f"{ratio:.2f}" for ratio in ratios)
    return f"{study:12}{way:8}{seconds[0]:8.2f}{seconds[1]:9.2f}{statistics.median(ratios):7.2f}{jobs:>12}   {every}"


if __name__ == "__main__":
    main()
