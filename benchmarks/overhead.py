"""How much of a study's wall time is not spent on training, decoding or feature extraction.

Clones the repository (what is committed) into a temporary folder, runs the study there from nothing, and compares the
wall time with the intervals in which at least one such job was at work, taken from the jobs' run.json. A job's interval
begins when its script has been imported, so starting Python, torch and Snakemake counts as overhead.

    python benchmarks/overhead.py --study smoke        # under two minutes
    python benchmarks/overhead.py --study default
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ("train", "train-lm", "prune", "decode", "features")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="smoke", help="name of the study (smoke)")
    parser.add_argument("--cores", type=int, default=2, help="cores to use (2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        command = [sys.executable, "workflow/run.py", "--study", arguments.study, "--cores", str(arguments.cores)]
        started = time.time()
        subprocess.run(command, cwd=clone, check=True, capture_output=True)
        wall = time.time() - started
        busy, total = work(clone / "results" / arguments.study)
    print(f"study {arguments.study}, {arguments.cores} cores, wall time {wall:.0f} s")
    print(f"wall time with no training, decoding or feature job at work: {1 - busy / wall:.1%}")
    print(f"core time not spent in such a job:                          {1 - total / wall / arguments.cores:.1%}")


def work(results: Path) -> tuple[float, float]:
    """Seconds in which at least one job of `WORK` ran, and the sum of the seconds of all of them."""
    intervals = []
    for path in results.rglob("run.json"):
        record = json.loads(path.read_text())
        if record["command"] in WORK:
            begin = datetime.fromisoformat(record["started"]).timestamp()
            intervals.append((begin, begin + record["seconds"]))
    covered, end = 0.0, 0.0
    for begin, stop in sorted(intervals):
        covered += max(0.0, stop - max(begin, end))
        end = max(end, stop)
    return covered, sum(stop - begin for begin, stop in intervals)


if __name__ == "__main__":
    main()
