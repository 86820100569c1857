"""What the workflow loads when it is parsed and its jobs are planned: nothing that takes seconds."""

import subprocess
import sys

from clones import ROOT

PLAN = """
import sys
from snakemake.cli import main
before = set(sys.modules)
try:
    main(["-n", "--quiet", "--cores", "1", "--directory", sys.argv[1], "--configfile", sys.argv[2],
          "--config", "seeds=[1, 2]"])
except SystemExit as ended:
    assert not ended.code, ended.code
heavy = {"torch", "numpy", "matplotlib", "scipy", "pandas", "transformers", "espnet2", "onnxruntime", "soundfile"}
print("loaded:", *sorted(heavy & (set(sys.modules) - before)))
"""


def test_a_dry_run_of_the_workflow_loads_nothing_heavy(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-c", PLAN, tmp_path, ROOT / "workflow/studies/smoke.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.splitlines()[-1] == "loaded:", answer.stdout
