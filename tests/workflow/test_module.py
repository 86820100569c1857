"""The workflow as a part of another one, and from other folders, as Snakemake's users run it: without our launcher."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clones import ROOT
from snakemake.utils import update_config

DATA = "results/smoke/data/espeak/en/test/text"
HOST = """
configfile: "study.yaml"

module secateur:
    snakefile: "{snakefile}"
    config: config

use rule * from secateur as secateur_*

rule own:
    default_target: True
    input: "{data}"
    output: "count.txt"
    shell: "wc -l < {{input}} > {{output}}"
"""


def snakemake(folder: Path, *arguments: object) -> str:
    """What a plain `snakemake --cores 1` in a folder says, which must end well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *map(str, arguments)]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def study() -> dict:
    """The smoke study, complete in one file."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, yaml.safe_load((ROOT / "workflow/studies/smoke.yaml").read_text()))
    return config


def test_another_workflow_imports_it_as_a_module(study, tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    (tmp_path / "Snakefile").write_text(HOST.format(snakefile=ROOT / "Snakefile", data=DATA))
    assert "secateur_report" in snakemake(tmp_path, "-n", "secateur_all")
    snakemake(tmp_path)
    assert int((tmp_path / "count.txt").read_text()) == len((tmp_path / DATA).read_text().splitlines()) > 0
    assert "Nothing to be done" in snakemake(tmp_path)


def test_it_works_in_another_directory(tmp_path):
    arguments = ["--snakefile", ROOT / "Snakefile", "--configfile", ROOT / "workflow/studies/smoke.yaml"]
    snakemake(tmp_path.parent, "--directory", tmp_path, *arguments, "--", DATA)
    assert (tmp_path / DATA).is_file() and not (tmp_path.parent / "results").exists()
