"""docs/models.md: the tests that its table names are there, and every cell names one or says why not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs/models.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there():
    sources = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")}
    for name in set(re.findall(r"`(test_\w+(?:\.py)?)`", TABLE)):
        found = name in sources or any(f"def {name}(" in text for text in sources.values())
        assert found, name


def test_every_cell_names_a_test_or_a_reason():
    rows = [line.strip("|").split("|") for line in TABLE.splitlines() if line.startswith("| **")]
    assert len(rows) >= 5
    for family, *cells in rows:
        assert len(cells) == 8 and all(len(cell.strip()) > 5 for cell in cells), family
