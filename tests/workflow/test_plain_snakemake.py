"""Plain `snakemake --cores 2` in the root of a clone, as README has it: killed, unlocked, resumed by the next run."""

import re
import shutil
import signal
import subprocess
import sys

import pytest
import yaml
from clones import Clone, kill_tree, wait_for

MODEL = "results/smoke/models/espeak/ctc/en/dense/s000/seed1"
STEPS = 60


def start(clone: Clone, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *words],
        cwd=clone.folder,
        env=clone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(clone: Clone, *words: str, status: int = 0) -> str:
    """What Snakemake says, which must end with this status."""
    process = start(clone, *words)
    said, _ = process.communicate(timeout=1800)
    assert process.returncode == status, said
    return said


@pytest.mark.slow
def test_killed_in_training_it_says_what_to_do_and_the_next_run_ends_with_the_same_bytes(tmp_path):
    clone = Clone.make(tmp_path / "clone")
    study = yaml.safe_load((clone.folder / "workflow/studies/smoke.yaml").read_text())
    study["training"]["acoustic"] |= {"checkpoint_seconds": 0, "steps": STEPS}
    (clone.folder / "study.yaml").write_text(yaml.safe_dump(study))
    command = ("--cores", "2", f"{MODEL}/model.safetensors", "--configfile", "study.yaml")
    folder = clone.folder / MODEL
    run(clone, *command)
    whole = (folder / "model.safetensors").read_bytes()
    shutil.rmtree(folder)

    process = start(clone, *command)
    wait_for(lambda: (folder / "resume/state.safetensors").exists() or process.poll() is not None, 600)
    kill_tree(process.pid)
    process.communicate()
    assert not (folder / "model.safetensors").exists()

    assert "--unlock" in run(clone, *command, status=1)
    run(clone, *command, "--unlock")
    run(clone, *command)
    log = (clone.folder / f"{MODEL.replace('results', 'logs')}.log").read_text()
    resumed = re.search(r"resumed at step (\d+)", log)
    assert resumed and 0 < int(resumed[1]) < STEPS, log
    assert (folder / "model.safetensors").read_bytes() == whole
    assert "Nothing to be done" in run(clone, *command)
