"""Paths of the repository that the documents name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
QUOTED = re.compile(r"`((?:src|docs|tests|workflow|benchmarks|envs)/[^`\s{}]+)`")
LINKED = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")


def missing(text: str, folder: Path) -> list[str]:
    """What a document in `folder` quotes (from the root) or links to (from the folder) that is not there."""
    quoted = [path for path in QUOTED.findall(text) if not any(ROOT.glob(path.rstrip("/")))]
    return quoted + [path for path in LINKED.findall(text) if not (folder / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_that_a_document_names_exist(document):
    assert missing((ROOT / document).read_text(encoding="utf-8"), (ROOT / document).parent) == []


def test_the_tests_that_show_what_works_are_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "models.md").read_text(encoding="utf-8")))
    written = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named and named <= written


def test_a_path_that_is_not_there_is_noticed():
    text = "`src/secateur/gone.py`, `src/secateur/*/reports/`, `tests/tiny.py`, [page](docs/gone.md), [here](README.md)"
    assert missing(text, ROOT) == ["src/secateur/gone.py", "docs/gone.md"]
