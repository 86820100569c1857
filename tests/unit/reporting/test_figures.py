import xml.etree.ElementTree as ElementTree
from pathlib import Path

import docutils.core
import pytest

from secateur.core.files import read_tsv, write_tsv
from secateur.overview import plots
from secateur.reporting.drawing import NothingToShow, write_figures
from secateur.reporting.figure import EMPTY, figures
from secateur.reporting.registry import caption_file, resolve, write_captions
from secateur.reporting.render import write_tables
from secateur.reporting.table import read_tables
from secateur.reporting.table import tables as all_tables


@pytest.fixture
def tables(finished: Path) -> Path:
    return finished / "tables"


def test_every_figure_is_an_svg_and_the_same_bytes_twice(finished, tmp_path):
    write_figures(finished / "tables", tmp_path)
    for figure in figures():
        drawn = (finished / "figures" / f"{figure.name}.svg").read_bytes()
        assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
        assert drawn == (tmp_path / f"{figure.name}.svg").read_bytes()
        assert b"dc:date" not in drawn


def test_wer_points_stand_where_the_table_says(tables):
    drawing = plots.wer(read_tables(tables))
    multilingual = drawing.axes[0]
    assert multilingual.get_title(loc="center") == "ctc, multilingual"
    assert [tick.get_text() for tick in multilingual.get_xticklabels()] == ["en", "fr", "avg"]
    points = {
        container.get_label(): container.lines[0].get_ydata()[0]
        for container in multilingual.containers
        if container.get_label() != "_"
    }
    assert points == pytest.approx({"greedy": 45.0, "beam": 35.0, "beam_lm (LM: small)": 25.0})  # en, mean of two seeds
    below, above = multilingual.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert (below, above) == pytest.approx((45 - 50**0.5, 45 + 50**0.5))


def test_latency_bars_add_up_to_the_real_time_factor(tables):
    ax = plots.latency(read_tables(tables)).axes[0]
    ends = {round(bar.get_x() + bar.get_width(), 9) for bar in ax.containers[-1]}
    assert ends == {0.2, 0.4}
    lm_widths = [round(bar.get_width(), 9) for bar in ax.containers[-1]]
    assert lm_widths == [0.0, 0.0, 0.2] * 2  # half of the time is the language model's


def test_a_study_with_little_in_it_still_gets_its_figures(study, config, tmp_path):
    small = config | {
        "decode": {"splits": ["test"], "searches": ["greedy"]},
        "dense": [{"corpus": "talk_show", "model": "ctc", "scopes": ["en"]}],
        "seeds": [0],
    }
    write_tables(small, study)
    write_figures(study / "tables", tmp_path)
    assert all((tmp_path / f"{figure.name}.svg").stat().st_size > 5000 for figure in figures())


def test_missing_data_is_said_in_the_picture(copy, tmp_path):
    tables = copy / "tables"
    for name in ("wer", "latency", "history", "systems"):
        rows = read_tsv(tables / f"{name}.tsv")
        write_tsv(tables / f"{name}.tsv", list(rows[0]), [])
    for figure in figures():
        with pytest.raises(NothingToShow):
            resolve(figure.draw)(read_tables(tables))
    write_figures(tables, tmp_path / "empty")
    for figure in figures():
        assert f"<dc:description>{EMPTY}</dc:description>" in (tmp_path / "empty" / f"{figure.name}.svg").read_text()
        assert ElementTree.parse(tmp_path / "empty" / f"{figure.name}.svg").getroot().get("height") == "43.2pt"


def test_captions_of_snakemakes_report_are_those_of_the_page(tmp_path):
    write_captions(tmp_path)
    for kind, specs in (("TABLES", all_tables()), ("FIGURES", figures())):
        for spec in specs:
            text = caption_file(tmp_path, kind, spec.name).read_text(encoding="utf-8")
            shown = docutils.core.publish_doctree(text, settings_overrides={"halt_level": 2}).astext()
            assert shown == f"{spec.title}. {spec.caption}".replace("`", "") and len(spec.caption) > 30
    first = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.rst")}
    assert len(first) == len(all_tables()) + len(figures())
    write_captions(tmp_path)
    assert first == {file: file.stat().st_mtime_ns for file in first}, "written again although nothing changed"
