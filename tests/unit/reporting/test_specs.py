"""Tables and figures are found where they are declared; parsing stays light; a caption reruns the page alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dropped import dropping

import secateur
from secateur.core import provenance
from secateur.core.errors import SecateurError
from secateur.reporting import figure, registry, table
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report

TOY = """
from secateur.reporting.figure import Figure
from secateur.reporting.grid import listing
from secateur.reporting.table import Table

COLUMNS = ("host", "source")


def files(config):
    return FILES


def rows(results):
    source = "data/talk_show/en/source.json"
    yield {"host": results.json(source)["name"], "source": source}


def view(tables):
    return [listing("Toys", tables["toy"], {"host": "Host"}, {})]


def draw(tables):
    import matplotlib.pyplot as plt

    drawn, ax = plt.subplots()
    ax.bar([row["host"] for row in tables["toy"]], [1])
    return drawn


HERE = __name__
TABLES = (
    Table("toy", "Toys", "A toy in a row.", "SECTION", f"{HERE}:COLUMNS", f"{HERE}:rows", files, f"{HERE}:view"),
)
FIGURES = (Figure("toy", "Toys drawn", "A toy in a bar.", "SECTION", f"{HERE}:draw", ("toy",)),)
"""
SOURCE = '["data/talk_show/en/source.json"]'
BY_HAND = {"evidence", "results_page"}
"""Commands that no rule runs: they make what the repository keeps of studies."""


@pytest.fixture
def drop(tmp_path, monkeypatch):
    """A function that puts one file with a toy table and figure where packages are found."""
    with dropping(tmp_path, monkeypatch, "reports", registry.clear) as put:
        yield lambda section="size", files=SOURCE: put(TOY.replace("SECTION", section).replace("FILES", files, 1))


def test_one_file_is_a_table_with_a_figure(drop, study, config):
    drop()
    write_tables(config, study)
    write_figures(study / "tables", study / "figures")
    write_report(config, study / "tables", study / "figures", study / "report/page.html", study)
    assert (study / "tables/toy.tsv").read_text() == "host\tsource\nPrompts & replies\tdata/talk_show/en/source.json\n"
    assert "Prompts & replies" in (study / "tables/toy.md").read_text()
    page = (study / "report/page.html").read_text(encoding="utf-8")
    size = page[page.index('<section id="size">') :]
    assert "<h3>Toys</h3>" in size and "<strong>Toys drawn.</strong> A toy in a bar." in size
    assert '<a href="../tables/toy.tsv">toy.tsv</a></dt><dd>A toy in a row.</dd>' in page


def test_a_file_that_is_read_but_not_declared_is_refused(drop, study, config):
    drop(files="[]")
    with pytest.raises(SecateurError, match=r"table toy: its rows read data/talk_show/en/source\.json, which"):
        write_tables(config, study)


def test_an_unknown_section_is_named_with_those_there_are(drop):
    drop(section="toys")
    with pytest.raises(SecateurError, match=r"section of toy: expected one of claims, data, accuracy, .*; got toys"):
        table.tables()


def test_every_name_leads_to_a_function():
    for text in (text for one in table.tables() for text in (one.columns, one.rows, one.view) if text):
        assert registry.resolve(text)
    names = {one.name for one in table.tables()}
    for one in figure.figures():
        assert callable(registry.resolve(one.draw)) and set(one.tables) <= names
    with pytest.raises(SecateurError, match=r"expected module:function, got 'secateur\.nowhere:rows'"):
        registry.resolve("secateur.nowhere:rows")


def test_parsing_loads_neither_numpy_nor_torch_nor_matplotlib():
    text = (
        "import sys; from secateur.reporting import figure, table, registry; table.tables(); figure.figures();"
        "print(sorted({'numpy', 'torch', 'matplotlib', 'pandas', 'scipy', 'jinja2'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


@pytest.fixture
def prints(tmp_path, fingerprints_of):
    """The fingerprints of all commands in a copy of the sources, and a function that edits a file of it."""
    root = tmp_path / "src"
    shutil.copytree(Path(secateur.__file__).parent, root / "secateur", ignore=shutil.ignore_patterns("__pycache__"))
    forget = fingerprints_of(root)
    by_name = {
        "tables": table.function_modules(),
        "figures": figure.function_modules(),
        "report": (*registry.modules(), *table.function_modules()),
    }
    folders = ("models", "ssl/tasks", "speech/corpora")
    others = tuple(
        f"secateur.{folder.replace('/', '.')}.{file.stem}"
        for folder in folders
        for file in (root / "secateur" / folder).glob("[!_]*.py")
    )

    def changed(file: str, old: str, new: str) -> set[str]:
        """The commands whose fingerprint an edit changes."""

        def all_of_them() -> dict[str, str]:
            forget()
            scripts = sorted((root / "secateur/scripts").glob("[!_]*.py"))
            return {file.stem: provenance.fingerprint(file, by_name.get(file.stem, others)) for file in scripts}

        before, path = all_of_them(), root / "secateur" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        after = all_of_them()
        return {name for name in before if before[name] != after[name]} - BY_HAND

    return changed


def test_an_edit_reruns_only_the_commands_that_print_it(prints):
    assert prints("layers/reports/layers.py", "Time by depth", "Time by the depth") == {"report"}
    assert prints("pruning/reports/masks.py", "up to the level beside it.", "up to the level there.") == {"report"}
    assert prints("reporting/drawing.py", "#e4e4e4", "#e5e5e5") == {"figures", "so_far"}
    assert prints("heads/plots.py", "Milliseconds an utterance", "Milliseconds") == {"figures"}
    assert prints("reporting/looks.py", "90rem", "91rem") == {"report", "so_far"}
    assert prints("reporting/render.py", "LONGEST_LINE = 40", "LONGEST_LINE = 41") == {"tables", "so_far"}
    assert prints("reporting/page.py", '"""The report', '"""This report') == set()
