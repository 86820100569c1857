"""How long a study takes on 1, 2, 4, 8 nodes: a simulation with made-up durations, not a promise.

The jobs and what they wait for are those of the study's real DAG; each takes the seconds that its rule is given here.
A node runs one job at a time, and whenever one is free, the job starts that has waited longest, as with Snakemake's
greedy scheduler. Beside every makespan stands the least that any schedule could take: the longest chain of jobs that
wait for one another, or all work spread evenly.

    python benchmarks/makespan.py --study smoke --seconds train=3600 decode=300 --overhead 10
"""

import argparse
import heapq
import importlib
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
launcher = importlib.import_module("run")

SECONDS = {
    **{"train": 3600, "train_lm": 1800, "prune": 1200, "prune_adaptive": 1200},
    **{"prune_control": 1200, "regularise": 1200, "features": 600, "decode": 120, "decode_depths": 600},
    **{"layer_search": 600, "similarity": 300, "layer_similarity": 300},
    **{"recover": 600, "decode_heads": 600, "head_importance": 300, "head_times": 300, "timing": 900},
    **{"ssl_pretrain": 3600, "ssl_targets": 600, "ssl_prune": 1800, "ssl_distill": 1800, "superb": 600, "all": 0},
}
OTHERS = 20  # seconds of a job of any other rule
NODES = (1, 2, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="smoke", help="name of a study, or path of a configuration file (smoke)")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, help="numbers of nodes (1 2 4 8)")
    parser.add_argument("--seconds", nargs="+", default=[], metavar="RULE=S", help="other durations than those here")
    parser.add_argument("--overhead", type=float, default=0.0, help="seconds that each job takes besides (0)")
    arguments = parser.parse_args()
    given = {rule: float(value) for rule, _, value in (word.partition("=") for word in arguments.seconds)}
    rules, after = read_dag(dag(arguments.study))
    seconds = {job: (SECONDS | given).get(rule, OTHERS) + arguments.overhead for job, rule in rules.items()}
    print(f"study {arguments.study}: {len(rules)} jobs, simulated with made-up durations")
    report(arguments.nodes, seconds, after)


def dag(study: str) -> str:
    """The study's jobs and dependencies, as Snakemake draws them in the language of Graphviz."""
    asked = launcher.Asked(["--dag", "dot", "--forceall"], looks_only=True)
    command = launcher.snakemake_command(ROOT, launcher.study_file(ROOT, study), 1, asked)
    answer = subprocess.run(command, cwd=ROOT, env=launcher.environment(), capture_output=True, text=True)
    if answer.returncode:
        sys.exit(answer.stderr)
    return answer.stdout


def read_dag(text: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """The rule of every job, and the jobs that each waits for."""
    rules = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)', text, re.MULTILINE))
    after: dict[str, set[str]] = {job: set() for job in rules}
    for before, job in re.findall(r"^\s*(\d+) -> (\d+)", text, re.MULTILINE):
        after[job].add(before)
    return rules, after


def makespan(nodes: int, seconds: Mapping[str, float], after: Mapping[str, set[str]]) -> float:
    """When the last job ends."""
    missing = {job: len(before) for job, before in after.items()}
    waiting: dict[str, list[str]] = {job: [] for job in after}
    for job, before in after.items():
        for other in before:
            waiting[other].append(job)
    ready = [job for job, count in missing.items() if count == 0]  # those that have waited longest come first
    running: list[tuple[float, int, str]] = []
    now, started = 0.0, 0
    while ready or running:
        while ready and len(running) < nodes:
            job = ready.pop(0)
            heapq.heappush(running, (now + seconds[job], started, job))
            started += 1
        now, _, job = heapq.heappop(running)
        for other in waiting[job]:
            missing[other] -= 1
            if missing[other] == 0:
                ready.append(other)
    return now


def critical_path(seconds: Mapping[str, float], after: Mapping[str, set[str]]) -> float:
    """The seconds of the longest chain of jobs that wait for one another."""
    return makespan(len(seconds), seconds, after)


def report(nodes: list[int], seconds: Mapping[str, float], after: Mapping[str, set[str]]) -> None:
    """Print a line for every number of nodes."""
    total, chain = sum(seconds.values()), critical_path(seconds, after)
    print(f"all work {total:.0f} s, longest chain {chain:.0f} s")
    print("nodes  makespan (s)  at least (s)  speed-up  of the best")
    for count in nodes:
        found, least = makespan(count, seconds, after), max(chain, total / count)
        print(f"{count:5d}  {found:12.0f}  {least:12.0f}  {total / found:8.2f}  {least / found:11.2f}")


if __name__ == "__main__":
    main()
