"""Speech to listen to: what is embedded is what was recorded, as many as wanted, and only where it is there."""

import base64
import logging
from io import BytesIO

import jinja2
import numpy as np
import pytest
import soundfile

from secateur.overview import regressions
from secateur.reporting import clips
from secateur.reporting.clips import RATE, embedded
from secateur.reporting.grid import Cell, Clip, Grid
from secateur.reporting.page import TEMPLATE
from secateur.reporting.report import _clips
from secateur.speech.datadir import Utterance, write_data_dir

FOLDER = "data/talk/en/test"


@pytest.fixture
def study(tmp_path):
    """A recording of two seconds, a low tone and then a high one, which are two utterances; and one that is gone."""
    tones = [np.sin(2 * np.pi * pitch * np.arange(RATE) / RATE) / 2 for pitch in (300, 1200)]
    soundfile.write(tmp_path / "both.wav", np.concatenate(tones), RATE)
    whole = {"audio": str(tmp_path / "both.wav"), "text": "a", "speaker": "s", "language": "en", "recording": "both"}
    parts = [
        Utterance("low", duration=1, start=0, end=1, **whole),
        Utterance("high", duration=1, start=1, end=2, **whole),
    ]
    gone = whole | {"audio": str(tmp_path / "gone.wav"), "recording": "gone"}
    write_data_dir(tmp_path / FOLDER, [*parts, Utterance("gone", duration=1, start=0, end=1, **gone)])
    return tmp_path


def test_a_clip_is_the_utterance_and_what_is_gone_is_told(study, caplog):
    wanted = [Clip(FOLDER, name) for name in ("low", "high", "low", "gone", "unknown")]
    with caplog.at_level(logging.WARNING):
        found = embedded(study, wanted)
    assert [clip.utterance for clip in found] == ["low", "high"]
    assert all(name in caplog.text for name in ("gone", "unknown"))
    for clip, pitch in zip(found, (300, 1200), strict=True):
        kind, data = found[clip].split(",")
        assert kind == "data:audio/mpeg;base64"
        samples, rate = soundfile.read(BytesIO(base64.b64decode(data)))
        middle = samples[rate // 4 : 3 * rate // 4]
        loudest = np.argmax(np.abs(np.fft.rfft(middle))) * rate / len(middle)
        assert loudest == pytest.approx(pitch, abs=4)


def test_as_many_of_each_table_as_the_key_says(study):
    rows = [[Cell(text="a", clip=Clip(FOLDER, name))] for name in ("low", "low", "high")]
    grids = [Grid("changed", ["Reference"], 1, rows), Grid("others", ["Other"], 1, [[Cell(text="b")]])]
    for most, names in ((0, []), (1, ["low"]), (2, ["low", "high"])):
        found = _clips({"report": {"audio": most}}, study, grids)
        assert [clip.utterance for clip in found] == names
    assert _clips({}, study, grids) == {}


def test_the_page_stays_small_enough_to_open(study, monkeypatch, caplog):
    wanted = [Clip(FOLDER, "low"), Clip(FOLDER, "high")]
    sizes = [len(sound) for sound in embedded(study, wanted).values()]
    assert all(size < 4 / 3 * 5000 for size in sizes)  # a second each, below 40 kbit a second
    for room, kept, said in ((sum(sizes), 2, ""), (sum(sizes) - 1, 1, "1 clips are left out"), (9, 0, "2 clips")):
        caplog.clear()
        monkeypatch.setattr(clips, "LARGEST", room)
        assert len(embedded(study, wanted)) == kept
        assert said in caplog.text and bool(said) == bool(caplog.text)


def test_the_page_plays_what_it_holds():
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= dict.fromkeys(("link", "code", "width", "plain"), str)
    here, there = (Clip(FOLDER, name) for name in ("low", "high"))
    body = environment.from_string(TEMPLATE.split("{%- macro show_table")[0] + "{{ cell_body(cell, 'x') }}")
    page = body.render(cell=Cell(text="said", clip=here), clips={here: "data:audio/mpeg;base64,AA"})
    assert 'src="data:audio/mpeg;base64,AA"' in page and "Listen to low" in page and page.startswith("said")
    assert body.render(cell=Cell(text="said", clip=there), clips={here: "data:"}) == "said"
    assert body.render(cell=Cell(text="said"), clips={}) == "said"


def test_the_references_of_changed_utterances_have_clips():
    row = {"system": "lap", "level": "utterance", "corpus": "talk", "language": "en", "split": "test", "name": "low"}
    row |= {"reference": "a b", "dense_hypothesis": "a b", "hypothesis": "a", "dense_errors": "0", "errors": "1"}
    tables = {"corpora": [{"corpus": "talk", "language": "en", "synthetic": "false", "unit": "word"}], "runs": []}
    (grid,) = regressions._side_by_side(tables, "talk", [{"system": "lap", "rows": [row]}])
    (cells,) = grid.rows
    assert {heading: cell.clip for heading, cell in zip(grid.header, cells, strict=True) if cell.clip} == {
        "Reference": Clip(FOLDER, "low")
    }
