"""Style and types, as `make lint` checks them, so that CI does."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKS = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]]
CHECKS += [["snakefmt", "--check", "Snakefile", "workflow"], ["snakemake", "--lint"]]


@pytest.mark.parametrize("checks", CHECKS, ids=" ".join)
def test_the_sources_pass(checks, tmp_path):
    cache = {"ruff": ["--no-cache"], "mypy": ["--cache-dir", str(tmp_path)]}.get(checks[0], [])
    answer = subprocess.run(
        [sys.executable, "-m", *checks, *cache], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_few_modules_are_outside_of_packages():
    """A module goes into the room of its subject."""
    assert len(list((ROOT / "src/secateur").glob("*.py"))) <= 6


def test_files_and_functions_are_short():
    """At most 400 lines a file, 60 a function: what is longer is about two things."""
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
    for file in [*sources, *(ROOT / "tests").rglob("*.py")]:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file
    for file in sources:
        if file.suffix == ".py":
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno < 60, f"{file}: {node.name}"


BLOCK = re.compile(r"(rule|use rule|ruleorder|include|configfile|report|wildcard_constraints|onstart)\b")


def helper_lines(source: str) -> list[str]:
    """The Python of a rule file: all but blank lines, comments, imports, rules and directives with what is in them."""
    found, block, brackets = [], None, 0
    for line in source.splitlines():
        indent, text = len(line) - len(line.lstrip()), line.strip()
        if not text or text.startswith("#") or brackets > 0 or (block is not None and indent > block):
            brackets += text.count("(") - text.count(")") if brackets > 0 else 0
            continue
        block = indent if BLOCK.match(text) else None
        if text.startswith(("import ", "from ")):
            brackets = text.count("(") - text.count(")")
        elif block is None:
            found.append(line)
    return found


def test_rule_files_only_wire():
    """What is not a rule is at most a few names; what decides something is Python with tests, in the packages."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    lines = [line for file in files for line in helper_lines(file.read_text(encoding="utf-8"))]
    assert 20 < len(lines) < 80, "\n".join(lines)
    assert not [line for line in lines if line.strip().startswith(("def ", "class "))]


def test_every_test_file_has_a_name_of_its_own():
    """Pytest, run on all of them, refuses two modules of one name; run on one folder, it does not."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_the_types_of_all_options_and_registries_are_checked():
    files = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["files"]
    checked = {file for pattern in files for file in ROOT.glob(pattern)}
    registries = [file for file in (ROOT / "src").rglob("*.py") if " = Plugins(" in file.read_text(encoding="utf-8")]
    for file in [*(ROOT / "src/secateur").glob("*/options.py"), *registries]:
        assert checked & {file, *file.parents}, file
