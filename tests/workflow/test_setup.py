"""Makefile, envs/ and .ci/run: what a bare machine gets, offline, with tiny packages in place of the real ones."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from secateur.core import provenance

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "envs" / "install.py"
LOCK = ROOT / "envs" / "requirements.txt"
ENVIRONMENTS = {path.stem: path for path in (ROOT / "envs").glob("*.yaml")}


def clean_environment(**more):
    """The environment without the make, pip and virtual environment that run these tests."""
    ours = ("MAKE", "MFLAGS", "PIP_", "PYTHON", "VENV", "VIRTUAL_ENV")
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if "venv" not in part)
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"PATH": path} | more


def run(*command, cwd=ROOT, **more):
    return subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def install(monkeypatch):
    """The module envs/install.py."""
    spec = importlib.util.spec_from_file_location("install", INSTALL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- the pins


# Used where it is installed, never required: its kernel of the RNN-T loss, on a GPU.
OPTIONAL = {"torchaudio", "kenlm", "s3prl"}
OUR_OWN = {path.stem for path in ROOT.glob("tests/**/*.py")}  # what tests share


def pins(text):
    """Name → version of the lines `name==version` of a requirements file."""
    found = re.findall(r"^(?:\s*- )?([A-Za-z0-9_.-]+)==([^\s;]+)", text, flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def direct_pins():
    """The pins that the project itself has a use for."""
    return pins(LOCK.read_text().partition("# what they need in turn")[0])


def installed_here(names):
    """Those of `names` that this Python can have."""
    return set(names) - ({"flashlight-text"} if sys.version_info >= (3, 13) else set())


def needs(name):
    """Names of the packages that the installed package `name` needs on this machine."""
    requirements = [Requirement(line) for line in metadata.requires(name) or []]
    return {canonicalize_name(r.name) for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}


def imported(files):
    """Names of the packages that source files import, whichever way."""
    modules = (
        set().union(*(provenance._parsed(file)[2] for file in files))
        - set(sys.stdlib_module_names)
        - OPTIONAL
        - OUR_OWN
    )
    known = metadata.packages_distributions()
    assert modules <= set(known), f"not installed: {sorted(modules - set(known))}"
    return {canonicalize_name(known[module][0]) for module in modules}


def closure(script):
    """`script` and the modules of the package that it imports, directly or not."""
    files, waiting = set(), [script]
    while waiting:
        file = waiting.pop()
        files.add(file)
        for module in provenance._parsed(file)[1]:
            waiting += set(provenance._module_files(module)) - files
    return files


def test_the_lock_is_exact_and_closed():
    text = LOCK.read_text()
    locked = pins(text)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(locked), "every line is `name==version`, once"
    for name in installed_here(locked.keys() - {"espnet", "torch"}):  # torch brings its own: CUDA's libraries, say
        missing = needs(name) - locked.keys()
        assert not missing, f"{name} needs {sorted(missing)}, which {LOCK.name} does not pin"


def test_this_environment_is_the_lock():
    locked = pins(LOCK.read_text())
    for name in installed_here(locked):
        assert metadata.version(name).partition("+")[0] == locked[name], f"{name}: stale; `make venv` mends it"


def test_what_the_code_imports_is_pinned_for_itself():
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("workflow/**/*.py"), *ROOT.glob("tests/**/*.py")]
    ours = {"secateur", *(file.stem for file in files)}
    assert imported(files) - ours <= direct_pins().keys()


def test_the_package_declares_what_its_code_imports_in_ranges_that_hold_the_pins():
    """All but ESPnet and what ESPnet imports, which are installed without their requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(line.name): line for line in map(Requirement, project["dependencies"])}
    espnet = {"espnet", "typeguard", "editdistance"}
    assert imported(ROOT.glob("src/**/*.py")) - {"secateur"} - espnet <= declared.keys()
    locked = pins(LOCK.read_text())
    for name, requirement in declared.items():
        assert requirement.specifier.contains(locked[name]), f"{requirement} excludes the pin {locked[name]}"


@pytest.mark.parametrize("missing", ["espnet2", "numpy"])
def test_a_command_without_espnet_says_how_to_install_it(missing):
    code = f"import sys; sys.modules['{missing}'] = None; sys.argv = ['secateur', 'train', '--help']\n"
    answer = run(sys.executable, "-c", code + "from secateur.__main__ import main; main()")
    assert answer.returncode == 1
    assert ("pip install --no-deps espnet" in answer.stderr) == (missing == "espnet2")
    assert ("Traceback" in answer.stderr) == (missing == "numpy")


@pytest.mark.parametrize("name", ["train", "decode", "report"])
def test_a_conda_environment_has_the_same_pins_and_lacks_none(name):
    environment = yaml.safe_load(ENVIRONMENTS[name].read_text())
    packages = environment["dependencies"][-1]["pip"]
    found = pins("\n".join(packages))
    assert len(found) == len(packages) and found.items() <= pins(LOCK.read_text()).items()
    for package in installed_here(found.keys() - {"torch"}):
        assert needs(package) <= found.keys(), f"{package} needs {needs(package) - found.keys()}"
    afterwards = ENVIRONMENTS[name].with_suffix(".post-deploy.sh").read_text()
    assert pins(afterwards.replace("--no-deps ", "\n")).items() <= pins(LOCK.read_text()).items()


RULES = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))


@pytest.mark.parametrize("script", sorted(set(re.findall(r"python -m secateur ([a-z-]+)", RULES))))
def test_a_conda_environment_serves_each_script(script):
    wanted = imported(closure(ROOT / "src" / "secateur" / "scripts" / f"{script.replace('-', '_')}.py")) - {"secateur"}
    offered = {name: pins(path.read_text()).keys() | {"espnet"} for name, path in ENVIRONMENTS.items()}
    lacking = {name: sorted(wanted - packages) for name, packages in offered.items()}
    assert not all(lacking.values()), f"no environment has all that {script}.py imports; lacking: {lacking}"


# ---- make


def test_make_alone_lists_every_target():
    targets = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1].split()
    said = run("make").stdout
    listed = {line.split()[0] for line in said.splitlines() if len(line.split()) > 2}
    assert set(targets) <= listed and {"STUDY", "CORES", "ARGS", "PYTHON"} <= listed


def test_make_passes_study_profile_cores_and_arguments():
    options = ("STUDY=my study.yaml", "PROFILE=my profile", "CORES=3", "ARGS=-n models")
    said = run("make", "--dry-run", "results", *options).stdout
    assert 'workflow/run.py --study "my study.yaml" --profile "my profile" --cores "3" -- -n models' in said
    said = run("make", "--dry-run", "results").stdout
    assert re.search(r'workflow/run.py --study "default"\s+-- *$', said, flags=re.MULTILINE)


def test_make_runs_all_benchmarks_without_arguments_or_one_with_them(project):
    (project / "benchmarks").mkdir()
    for name in ("one", "two"):
        (project / "benchmarks" / f"{name}.py").write_text(f"import sys; print({name!r}, *sys.argv[1:])\n")

    def bench(*options):
        result = run("make", "bench", f"PYTHON={sys.executable}", *options, cwd=project, **OFFLINE)
        said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
        return result.stdout.splitlines()[-2:], said

    (project / "envs" / "install.py").write_text("")  # a virtual environment is not what this is about
    assert bench() == (["one", "two"], [])
    assert bench("BENCH=two", "ARGS=--at-least 3") == (["two --at-least 3"], [])
    assert bench("ARGS=--at-least 3")[1] == [
        "error: ARGS are for one benchmark: make bench BENCH=decode ARGS='--at-least 3'"
    ]


def test_make_prefers_interpreters_that_lexicon_search_has_a_build_for(project, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("python3.12", "python3.13", "python3"):
        (folder / name).write_text(f'#!/bin/sh\n[ "$1" = -c ] || echo {name}\n')
        (folder / name).chmod(0o755)
    chosen = run("make", "venv", cwd=project, PATH=f"{folder}:/usr/bin:/bin")
    if not shutil.which("python3.11", path="/usr/bin:/bin"):
        assert chosen.stdout == "python3.12\n"
    (folder / "python3.11").write_text('#!/bin/sh\n[ "$1" = -c ] || echo python3.11\n')
    (folder / "python3.11").chmod(0o755)
    assert run("make", "venv", cwd=project, PATH=f"{folder}:/usr/bin:/bin").stdout == "python3.11\n"


@pytest.mark.parametrize(
    ("script", "found"),
    [("[ $1 = --version ] && echo Python 3.10.13 || exit 1", "Python 3.10.13"), ("exit 127", "does not run")],
)
def test_an_old_or_missing_python_is_one_line(script, found, tmp_path):
    python = tmp_path / "old python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    result = run("make", "venv", f"PYTHON={python}")
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert result.returncode == 2 and len(said) == 1
    assert said[0].startswith(f"error: {python}: {found};") and "apt-get install python3.11" in said[0]


@pytest.mark.parametrize("status", [0, 3])
def test_continuous_integration_runs_make_test_and_keeps_its_status(status, tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "Makefile").write_text(f"test:\n\t@echo tests ran; exit {status}\n")
    result = run("bash", str(tmp_path / ".ci" / "run"), CI="true")
    assert "tests ran" in result.stdout and (result.returncode == 0) == (status == 0)


# ---- .venv


def write_wheel(folder, name, version):
    """Make a wheel of one module that knows its version; return its file name."""
    import zipfile

    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    file = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{file}", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return file


BACKEND = f"""
import os, time

{inspect.getsource(write_wheel)}

def build_editable(folder, config_settings=None, metadata_directory=None):
    open("building", "w").close()
    while os.path.exists("wait"):
        time.sleep(0.05)
    return write_wheel(folder, "secateur", "0.1.0")
"""


@pytest.fixture
def project(tmp_path):
    """A clone with the real Makefile and installer, and with packages of a few bytes."""
    project = tmp_path / "a clone"
    for folder in ("envs", "wheels"):
        (project / folder).mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", project)
    shutil.copy(INSTALL, project / "envs")
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "secateur"\nversion = "0.1.0"\n'
    )
    for name, version in [("torch", "1.0"), ("speech", "1.0"), ("speech", "2.0")]:
        write_wheel(project / "wheels", name, version)
    (project / "envs" / "requirements.txt").write_text("torch==1.0 # models\nspeech==1.0\n")
    return project


OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "wheels", "PIP_CONFIG_FILE": os.devnull}


def make_venv(project):
    return run("make", "venv", f"PYTHON={sys.executable}", cwd=project, **OFFLINE)


def installed(project):
    """What .venv's own interpreter imports."""
    code = "import secateur, speech, torch; print(speech.version)"
    return run(".venv/bin/python", "-c", code, cwd=project).stdout.strip()


def test_a_venv_is_made_kept_mended_and_renewed(project):
    # Killed in the middle: no note, so the next call begins again.
    (project / "wait").touch()
    command = ["make", "venv", f"PYTHON={sys.executable}"]
    first = subprocess.Popen(
        command, cwd=project, env=clean_environment(**OFFLINE), stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (project / "building").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (project / "building").exists()
    os.killpg(first.pid, 9)
    first.wait()
    (project / "wait").unlink()
    leftover = project / ".venv" / "leftover"
    leftover.touch()
    assert ".venv/bin/python" not in run("make", "--dry-run", "venv", cwd=project).stdout, "it may lack its pyvenv.cfg"

    result = make_venv(project)
    assert result.returncode == 0 and "Setting up .venv" in result.stdout and not leftover.exists()
    assert installed(project) == "1.0"

    # Up to date: nothing to do, nothing to say; also when no interpreter is named.
    assert make_venv(project).stdout == "" == run("make", "venv", cwd=project, **OFFLINE).stdout

    # Stale: brought up to date in place.
    leftover.touch()
    (project / "envs" / "requirements.txt").write_text("torch==1.0\nspeech==2.0\n")
    assert make_venv(project).returncode == 0 and leftover.exists()
    assert installed(project) == "2.0"

    # A package that is not to be had: one line, and the next call begins again.
    (project / "envs" / "requirements.txt").write_text("torch==1.0\nspeech==3.0\n")
    result = make_venv(project)
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert result.returncode == 2 and len(said) == 1
    assert "could not install the other packages" in said[0] and "speech==3.0" in said[0] and "install.log" in said[0]
    assert not (project / ".venv" / ".installed").exists()

    # Mended, in a folder of another name.
    (project / "envs" / "requirements.txt").write_text("torch==1.0\nspeech==2.0\n")
    moved = project.rename(project.with_name("moved"))
    assert make_venv(moved).returncode == 0 and installed(moved) == "2.0"


def test_a_venv_without_its_interpreter_counts_as_missing(install, monkeypatch, tmp_path):
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "NOTE", tmp_path / ".installed")
    (tmp_path / ".installed").write_text('{"python": "3.11.2"}')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert install.read_note() == {"python": "3.11.2"}
    (tmp_path / "bin" / "python").unlink()
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "gone")
    assert install.read_note() == {}


def test_a_python_without_venv_is_one_line(install, monkeypatch):
    monkeypatch.setattr(install, "find_spec", lambda name: None if name == "ensurepip" else name)
    with pytest.raises(SystemExit, match=r"^error: .*apt-get install python3\.\d+-venv$"):
        install.make_venv()


def test_a_full_disk_is_one_line_and_leaves_what_is_there(install, monkeypatch, tmp_path):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda folder: usage(3.9e9))
    with pytest.raises(SystemExit, match=rf"^error: {tmp_path}: 3\.9 GB free, and setting up takes 4 GB: clear up$"):
        install.check_disk(tmp_path, 4.0, "clear up")
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    with pytest.raises(SystemExit, match=r"setting up takes 4 GB: .* \(PyTorch with CUDA takes 8 GB\)$"):
        install.make_venv()
    install.check_disk(tmp_path, 3.5, "clear up")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying after NewConnectionError('Temporary failure in name resolution')", "cannot be reached"),
        ("ERROR: No matching distribution found for speech==3.0", "No matching distribution found for speech==3.0"),
        ("Segmentation fault", "see what it said"),
    ],
)
def test_why_pip_failed(line, reason, install):
    assert reason in install.reason(["Collecting speech", line])
