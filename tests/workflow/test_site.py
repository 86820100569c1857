"""The software of a site: jobs in a container and with environment modules, by a stand-in for each of the two."""

import os
import stat

import pytest
from clones import Clone

from secateur.core import site
from secateur.core.errors import SecateurError

TOKENS = "results/smoke/tokens/espeak/tokens.txt"
# Notes how it was called, and runs the command that follows the image.
APPTAINER = """#!/bin/bash
if [ "$1" = --version ]; then echo apptainer version 1.3.4; exit; fi
echo "$@" >> "$(dirname "$0")/apptainer.log"
while [ "$1" != "$(dirname "$0")/image.sif" ]; do shift; done
shift
exec "$@"
"""
MODULES = """() {
    [ "$1" != load ] || [ "$2" = speech/1.0 ] || { echo "Unable to locate $2" >&2; return 1; }
    echo "$@" >> "$MODULES_LOG"
}"""


@pytest.fixture
def software(tmp_path, monkeypatch):
    """A folder with an image, and with logs of what jobs ask `apptainer` and `module` for."""
    folder = tmp_path / "software"
    folder.mkdir()
    (folder / "image.sif").touch()
    (folder / "apptainer").write_text(APPTAINER)
    (folder / "apptainer").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("BASH_FUNC_module%%", MODULES)
    monkeypatch.setenv("MODULES_LOG", str(folder / "modules.log"))
    return folder


def test_jobs_run_in_the_container_with_the_modules(software, tmp_path):
    clone = Clone.make(tmp_path / "clone")
    named = [f"container={software / 'image.sif'}", 'modules=["speech/1.0"]']
    clone.launch(TOKENS)
    assert clone.planned(TOKENS, "--config", *named) == {}, "named, but not used"
    used = (TOKENS, "--sdm", "apptainer", "env-modules", "--config", *named)
    assert "tokens" in clone.planned(*used), "another environment may give other results"
    clone.launch(*used)
    run = [line for line in (software / "apptainer.log").read_text().splitlines() if "secateur tokens" in line]
    assert len(run) == 1
    assert (software / "modules.log").read_text().splitlines()[-2:] == ["purge", "load speech/1.0"]
    assert clone.planned(*used) == {}


def test_modules_that_cannot_be_loaded_are_refused(software):
    site.check_modules(["speech/1.0"])
    with pytest.raises(SecateurError, match=r"cannot load speech/2.0 \(Unable to locate speech/2.0\); see `module"):
        site.check_modules(["speech/2.0"])
    with pytest.raises(SecateurError, match="names no modules; give its key `modules`"):
        site.check_modules([])


def test_a_site_without_modules_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("BASH_FUNC_module%%", raising=False)
    monkeypatch.delenv("BASH_ENV", raising=False)
    with pytest.raises(SecateurError, match=r"cannot load speech/1.0 .*type: module: not found"):
        site.check_modules(["speech/1.0"])


def test_a_container_must_be_named(tmp_path):
    with pytest.raises(SecateurError, match="names no image; give its key `container`"):
        site.check_container("")
    clone = Clone.make(tmp_path / "clone")
    status, said = clone.launch(TOKENS, "--sdm", "apptainer", check=False)
    assert status and "names no image" in said
