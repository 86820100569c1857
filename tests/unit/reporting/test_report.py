import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from secateur.core.errors import SecateurError
from secateur.reporting.grid import Cell, Grid
from secateur.reporting.report import code, width, write_report
from secateur.reporting.views import effort

VOID = {"meta", "img", "link", "br", "hr", "input"}
DRAWN = {"wer", "latency", "tradeoff", "loss", "systems_bytes", "systems_macs", "systems_latency"}
"""Figures of a study without pruning."""


class Page(HTMLParser):
    """Checks that elements are closed in order, and collects attributes and texts."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def output(finished: Path) -> Path:
    return finished / "report" / "index.html"


def write(study: Path, config: dict) -> bytes:
    output = study / "report" / "index.html"
    write_report(config, study / "tables", study / "figures", output, study)
    return output.read_bytes()


def test_page_is_well_formed_and_loads_nothing(output):
    page = Page(output.read_text(encoding="utf-8"))
    assert page.all("html") == [{"lang": "en"}]
    loads = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "srcset")
    ]
    loads += [attributes["href"] for attributes in page.all("link")]
    assert len(loads) == len(DRAWN) + 1
    assert all(value.startswith("data:") for value in loads)
    assert page.all("script") == [{}], "one, within the page"
    assert not re.search(r"url\(|@import", output.read_text(encoding="utf-8"))


def test_every_link_leads_to_a_file_of_the_study(output):
    page = Page(output.read_text(encoding="utf-8"))
    identifiers = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    targets = [attributes["href"] for attributes in page.all("a")]
    for target in targets:
        assert target[1:] in identifiers if target[0] == "#" else (output.parent / target).is_file(), target
    assert sum(target.endswith("utterances.tsv") for target in targets) >= 18
    assert "../tables/wer.tex" in targets
    assert {Path(target).stem for target in targets if target.endswith(".svg")} == DRAWN


def test_a_section_without_tables_and_figures_is_left_out(output):
    page = Page(output.read_text(encoding="utf-8"))
    assert [attributes["id"] for attributes in page.all("section")] == [
        *("claims", "data", "accuracy", "systems", "time", "size", "training", "configuration"),
    ]


def test_page_is_accessible(output):
    page = Page(output.read_text(encoding="utf-8"))
    assert all(len(attributes["alt"]) > 40 for attributes in page.all("img"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))


def test_page_says_what_was_run(output):
    text = " ".join(Page(output.read_text(encoding="utf-8")).text.split())
    for fact in (
        "A tiny study & its <numbers>",
        "Written for the tests.",
        "Synthetic speech. Corpus talk_show was spoken by a machine",
        "CC BY-SA 3.0",
        "A. Voice; B. Voice",
        "400 training steps a model, 120–121 s by the clock, 90–91 s of CPU time, for each",
        "Model 9000 (bench), 1 thread a job",
        "abc123",
        "torch 2.13.0",
        "newest run 2024-05-02 12:00 UTC",
        "recipe: espeak",
    ):
        assert fact in text, fact
    # averages by greedy search: seeds 45 % and 55 %
    assert "The dense model 50.0 % ± 7.1 ctc, greedy Word error rate on test, mean over languages." in text
    assert "Nothing is chosen: dev data were not decoded" in text
    assert re.search(r"Claims supported \d+ of \d+ ", text)


def test_recorded_speech_carries_no_warning(copy, config):
    for name in ("corpora", "sources"):
        path = copy / "tables" / f"{name}.tsv"
        path.write_text(path.read_text(encoding="utf-8").replace("\ttrue", "\tfalse"), encoding="utf-8")
    text = write(copy, config).decode()
    assert "ynthetic speech" not in text and "SYNTHETIC" not in text
    assert "recordings of people" in text


def test_same_files_give_the_same_bytes(output, copy, config):
    assert write(copy, config) == output.read_bytes()


def test_a_label_changes_the_page(output, copy, config):
    assert b"<h1>Another title</h1>" in write(copy, config | {"report": {"title": "Another title"}})


def test_a_missing_figure_is_named(copy, config):
    (copy / "figures" / "wer.svg").unlink()
    with pytest.raises(SecateurError, match=r"figures/wer\.svg: no such file"):
        write(copy, config)


def test_backquotes_become_code():
    assert code("see `a<b>.tsv` & more") == "see <code>a&lt;b&gt;.tsv</code> &amp; more"
    assert code("a lone ` stays") == "a lone ` stays"


def test_the_processor_time_is_shown_where_it_is_known():
    runs = [
        {"steps": "100", "total_steps": "100", "seconds": "50", "cpu_seconds": ""},
        {"steps": "100", "total_steps": "100", "seconds": "60", "cpu_seconds": "40"},
    ]
    assert effort(runs) == "100 training steps a model, 50–60 s by the clock, 40 s of CPU time"
    assert effort(runs[:1]) == "100 training steps a model, 50 s by the clock"


def test_steps_of_chains_are_told_apart_from_those_of_the_last_training():
    runs = [
        {"steps": steps, "total_steps": total, "seconds": "50", "cpu_seconds": ""}
        for steps, total in (("1000", "1000"), ("100", "1400"))
    ]
    assert effort(runs) == (
        "1,000–1,400 training steps a model from random weights on, along its longest chain; "
        "its own training: 100–1,000 steps, 50 s by the clock"
    )


def test_tables_of_many_columns_or_long_texts_have_small_letters():
    def table(columns, text="x"):
        return width(Grid("A", ["h"] * columns, 1, [[Cell(text=text)] * columns]))

    assert [table(8), table(9), table(13)] == ["", ' class="wide"', ' class="wide widest"']
    assert table(4, "a long text that is said in full, to the end") == ' class="wide"'
