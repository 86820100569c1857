"""What every job of a study is: its rule, inputs, outputs, wildcards, priority, resources and command.

`python tests/goldens.py default` prints the jobs of a study in full; with --write, it notes a hash of each in
tests/workflow/goldens, which `test_goldens.py` compares with. To see what changed, print before and after, and compare.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "workflow" / "goldens"
STUDIES = ("default", "smoke")
VARIES = re.compile(
    r"^ {4}(jobid|reason|threads|log|benchmark): .*\n|--(?:code|keep) \w+ ?|tmpdir=[^,\s]+(, )?", re.MULTILINE
)


def jobs(study: str, root: Path = ROOT) -> list[str]:
    """The jobs of a study as text, sorted, without what differs from run to run and the fingerprints of code."""
    file = [] if study == "default" else ["--configfile", f"workflow/studies/{study}.yaml"]
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--cores", "2", "--quiet", "host"]
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    answer = subprocess.run([*command, *file], cwd=root, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    said = re.split(r"^\[.*\]\n(?:local)?rule ", answer.stdout, flags=re.MULTILINE)[1:]
    said[-1] = said[-1].partition("\nJob stats:")[0]
    return sorted({VARIES.sub("", job).strip() for job in said})


def lines(found: list[str]) -> list[str]:
    """For each job its rule, its first output and a hash of all that is said of it."""
    shown = []
    for job in found:
        output = re.search(r"^ {4}output: ([^,\n]*)", job, re.MULTILINE)
        digest = hashlib.sha256(job.encode()).hexdigest()[:12]
        shown.append(f"{job.partition(':')[0]} {output[1] if output else '-'} {digest}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES + tuple(sorted(f.stem for f in ROOT.glob("workflow/studies/*.yaml"))))
    parser.add_argument("--write", action="store_true", help="note the hashes in tests/workflow/goldens")
    parser.add_argument("--root", type=Path, default=ROOT, help="another clone")
    arguments = parser.parse_args()
    found = jobs(arguments.study, arguments.root.resolve())
    if arguments.write:
        (FOLDER / f"{arguments.study}.txt").write_text("\n".join(lines(found)) + "\n")
    else:
        print("\n\n".join(found))


if __name__ == "__main__":
    main()
