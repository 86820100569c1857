"""How long the workflow takes to be parsed and planned, side by side with an earlier commit.

Two copies of the tree, this one as it is and the other one's commit, list the rules of a study (parsing alone) and dry-run
it, in turns; each time is that of a process of its own, in processor seconds, which other work on the machine disturbs
less than wall time. What comes out is the ratio of every turn, this tree to the other, and its median.

    python benchmarks/parsing.py                                    # against ddaa4cd, where `secateur` became packages
    python benchmarks/parsing.py --against v0.1 --studies smoke --turns 3
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WAYS = {"parse": ("--list-rules",), "dry run": ("-n", "--quiet", "all")}
"""What Snakemake is asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="ddaa4cd", help="commit to compare with (%(default)s)")
    parser.add_argument("--studies", nargs="+", default=["default", "mls"], help="studies (default: default mls)")
    parser.add_argument("--turns", type=int, default=5, help="times of each (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trees = {name: Path(folder) / name for name in ("this", "other")}
        for name, revision in (("this", "HEAD"), ("other", arguments.against)):
            archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
            tarfile.open(fileobj=BytesIO(archive)).extractall(trees[name], filter="data")
        print(f"{'study':10}{'':10}{'this s':>8}{'other s':>9}{'ratio':>7}   of every turn")
        for study in arguments.studies:
            for way, words in WAYS.items():
                times: dict[str, list[float]] = {name: [] for name in trees}
                for turn in range(arguments.turns + 1):  # the first fills caches
                    for name in sorted(trees, reverse=bool(turn % 2)):
                        seconds = processor_seconds(trees[name], study, words)
                        times[name] += [seconds] if turn else []
                print(report(study, way, times["this"], times["other"]), flush=True)


def processor_seconds(tree: Path, study: str, words: tuple[str, ...]) -> float:
    """Processor seconds of Snakemake, with all that it starts, in a copy of the tree."""
    files = [] if study == "default" else ["--configfile", f"workflow/studies/{study}.yaml"]
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *words, *files]
    subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def report(study: str, way: str, this: list[float], other: list[float]) -> str:
    """A line: medians, the median ratio, and all ratios."""
    ratios = [mine / theirs for mine, theirs in zip(this, other, strict=True)]
    medians = f"{statistics.median(this):8.2f}{statistics.median(other):9.2f}{statistics.median(ratios):7.2f}"
    return f"{study:10}{way:10}{medians}   {' '.join(f'{ratio:.2f}' for ratio in ratios)}"


if __name__ == "__main__":
    main()
