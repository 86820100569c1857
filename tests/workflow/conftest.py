"""The launcher, and a workflow of two rules for it."""

import importlib.util
import shutil

import pytest
from clones import ROOT

SNAKEFILE = """
configfile: "config.yaml"

page = f"results/{config['study']}/report/index.html"

rule all:
    input: page

# Notes its process, then waits for the file `go`.
rule job:
    output: "results/{study}/job"
    shell:
        "echo $$ > started.part; mv started.part started; "
        "until [ -e go ]; do sleep 0.05; done; {config[then]} {output}"

rule report:
    input: f"results/{config['study']}/job"
    output: page
    shell: "echo made > {output}"
"""


@pytest.fixture(scope="module")
def launcher():
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "workflow" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path):
    """A workflow in a folder whose name has a space, with a default study and another one."""
    folder = tmp_path / "a clone"
    (folder / "workflow" / "studies").mkdir(parents=True)
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "config.yaml").write_text("study: default\nthen: touch\n")
    (folder / "workflow" / "studies" / "other.yaml").write_text("study: another\nthen: touch\n")
    (folder / "workflow" / "studies" / "bad.yaml").write_text("study: bad\nthen: false\n")
    shutil.copytree(ROOT / "profiles" / "default", folder / "profiles" / "default")
    return folder
