"""Rows of exported language models beside those in torch: errors, and times over those of the same format alone."""

import pytest
from timings import write_times

from secateur.core.files import write_json
from secateur.exported import study as exported
from secateur.heads import lms as shown
from secateur.heads import study as heads
from secateur.overview import lms
from secateur.overview.reports import language_models
from secateur.reporting.results import Results

MODEL = {"type": "ctc", "encoder": {"layers": 6}, "training": "acoustic"}
ABOUT = {"corpus": "talk_show", "model": "ctc"}
ENTRY = ABOUT | {
    "importances": ["gradient"],
    "policies": ["global"],
    "shares": [0.5],
    "recovery": None,
    "searches": ["beam"],
    "latency": {"searches": ["beam"]},
    "lms": ["beam", "beam_lm"],
    "tuning": None,
    "combine": None,
}
STUDY = {
    "seeds": [0],
    "models": {"ctc": MODEL},
    "dense": [ABOUT | {"scopes": ["all"], "searches": ["beam", "beam_lm"]}],
    "heads": [ENTRY],
    "export": [ABOUT | {"methods": ["dense"], "formats": ["onnx", "int8"], "searches": ["beam", "beam_lm"]}],
}
ERRORS = {"onnx": (1, 1), "int8": (5, 3)}
SECONDS = {"": 1.0, "onnx": 0.5, "int8": 0.2}
"""Of an utterance without a language model; with one it takes four times as long, three quarters of it in that."""


def seconds(run, search, part):
    alone = SECONDS[part]
    return [(alone / 2, alone / 2, 3 * alone if search == "beam_lm" else 0.0)] * 2


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_study, write_heard):
    """Configuration and folder of a study that compares language models, and exports one."""
    base, build = write_study
    config = base | STUDY
    root = build(tmp_path_factory.mktemp("lms") / "tiny", config)
    ((_, run),) = heads.runs(config)
    write_json(root / heads.removals_file(run), {"systems": [], "sets": {}, "whole": {}, "doubts": {}})
    texts = {f"test/{code}": {"perplexity": 4.0, "per_character": 4.0, "per_word": 4.0} for code in ("en", "fr")}
    write_json(root / heads.perplexity_file("talk_show", "small", 0), {"parameters": 1500, "texts": texts})
    for search in ("beam", "beam_lm"):
        write_json(root / exported.systems_file(run, search), {"layers": 6, "systems": {"onnx": {}, "int8": {}}})
    for decoding in exported.decodings(config):
        write_heard(root, decoding, ERRORS)
    write_times(root, config, seconds, [1.0, 1.0])
    return config, root


def test_an_exported_language_model_is_a_row_of_the_same_table(study):
    config, root = study
    results = Results(config, root)
    rows = {row["lm"]: row for row in lms.rows(results) if row["language"] == "avg"}
    assert list(rows) == ["none", "small", "A/A", "none, onnx", "none, int8", "small, onnx", "small, int8"]
    small = rows["small, int8"]
    assert small["pruned"] == "int8 with its model, by ONNX Runtime" and rows["small"]["pruned"] == ""
    assert (small["search"], small["parameters"], small["perplexity"]) == ("beam_lm", 1500, None)
    assert small["wer"] == pytest.approx(80.0) and rows["small, onnx"]["wer"] == pytest.approx(20.0)
    # 0.8 s of which 0.6 are the language model's, against 0.2 s of the same format; torch takes 4 s against 1 s.
    assert small["total_s"] == pytest.approx(0.8) and small["lm_share"] == pytest.approx(0.75)
    assert [rows[name]["ratio"] for name in ("small", "small, onnx", "small, int8")] == pytest.approx([4.0] * 3)
    assert rows["none, int8"]["ratio"] == pytest.approx(1.0)
    assert results.read <= set(language_models.files(config))


def test_the_table_says_what_exported_ones_are_compared_with(study):
    made = [{name: "" if row[name] is None else str(row[name]) for name in shown.COLUMNS} for row in _rows(study)]
    (grid,) = shown.view({"lm": made, "runs": [], "corpora": []})
    assert "Exported ones are set against the same format without a language model." in grid.caption
    (alone,) = shown.view({"lm": [row for row in made if not row["pruned"]], "runs": [], "corpora": []})
    assert "Exported" not in alone.caption


def test_where_the_search_without_one_is_not_exported_there_is_no_ratio(study):
    config, root = study
    few = config | {"export": [config["export"][0] | {"searches": ["beam_lm"]}]}
    rows = {row["lm"]: row for row in lms.rows(Results(few, root)) if row["language"] == "avg"}
    assert rows["small, int8"]["ratio"] is None and rows["small, int8"]["total_s"] == pytest.approx(0.8)
    greedy = config | {"export": [config["export"][0] | {"searches": ["greedy"]}]}
    assert not list(exported.forms(greedy)) and not list(exported.decodings_of_forms(greedy))


def _rows(study):
    config, root = study
    return lms.rows(Results(config, root))
