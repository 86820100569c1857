"""The table of streaming, from what a job measured."""

import pytest
from timings import write_times

from secateur.core.files import write_tsv
from secateur.decoding.timing import AGAIN
from secateur.reporting.drawing import write_figures
from secateur.reporting.render import write_tables
from secateur.reporting.report import write_report
from secateur.reporting.results import Results
from secateur.reporting.table import measured
from secateur.streaming import study as streaming
from secateur.streaming.summary import COLUMNS
from secateur.streaming.tables import rows

ENTRY = {"corpus": "talk_show", "model": "rnnt", "methods": None, "formats": ["float32", "int8"]}
STUDY = {
    "seeds": [0],
    "models": {"rnnt": {"type": "rnnt", "encoder": {"type": "emformer", "layers": 6}, "training": "acoustic"}},
    "dense": [{"corpus": "talk_show", "model": "rnnt", "scopes": ["all"], "searches": ["greedy"]}],
    "streaming": [ENTRY],
}
HALF = dict.fromkeys(("layers", "mask", "recover", "sparsity")) | {"heads": 0.5, "policy": "global"}
COMPOSED = {"corpus": "talk_show", "model": "rnnt", "searches": ["greedy"], "chains": [[HALF]]}
SOUND = {"same": 1.01, "same_low": 0.99, "same_high": 1.03, "others": 0.0, "measured": 1, "doubt": ""}
BOTH = SOUND | {"wer": 12.5, "early_bytes": 4000, "late_bytes": 4400, "utterances": 2, "silent": 0, "rounds": 5}
BOTH |= {"milliseconds": 100, "bytes": 5.25e6, "latency": 0.39, "rtf": 0.05, "slowest_piece": 0.4, "ratio": 1.0}
DENSE = {"first_s": 0.61, "first_s_low": 0.5, "first_s_high": 0.7, "last_s": 0.25, "first_waited_s": 0.55}
PRUNED = {"first_s": 0.58, "first_s_more": -0.031, "last_s": 0.22, "first_waited_s": 0.55, "ratio": 0.62}
ROUNDED = {"first_s": 0.57, "first_waited_s": 0.55, "bytes": 1.5e6}


@pytest.fixture
def made(tmp_path, write_study):
    """A study of a dense model, and its folder with what was measured of that and of one with half of the heads."""
    base, build = write_study
    config = base | STUDY
    root = build(tmp_path / "tiny", config)
    write_times(root, config, lambda *_: [(0.1, 0.1, 0.0)], [10.0])
    dense, pruned = streaming.members(config | {"compose": [COMPOSED]}, ENTRY)
    assert (dense.method, pruned.method) == ("dense", "compose--headless-global-500")
    facts = {dense.folder: DENSE, f"{dense.folder}, int8": ROUNDED, pruned.folder: PRUNED}
    facts |= {f"{pruned.folder}, int8": ROUNDED, AGAIN: {"ratio": 1.01}}
    found = [{"system": system} | one for system, one in facts.items()]
    write_tsv(root / streaming.file(ENTRY), COLUMNS, [BOTH | row for row in found])
    return config, root


def test_dense_and_pruned_models_stand_side_by_side_with_the_second_time(made):
    config, root = made
    found = list(rows(Results(config | {"compose": [COMPOSED]}, root)))
    half = "rnnt, compose--headless-global-500"
    assert [row["system"] for row in found] == ["rnnt", "rnnt, int8", half, f"{half}, int8", AGAIN]
    assert [row["first_s_more"] for row in found] == ["", "", "-0.031", "", ""]
    assert {row["source"] for row in found} == {streaming.file(ENTRY)}


def test_the_report_has_the_table(made, files_read):
    config, root = made
    write_tables(config, root)
    assert files_read(config, root) <= set(measured(config))
    shown = (root / "tables/streaming.md").read_text()
    for text in (
        "0.61 [0.50, 0.70]",
        "Pieces of 100 ms",
        "waits for 0.39 s",
        "1.010 [0.990, 1.030]",
        "1.100",
        "12.5",
        "rnnt, int8",
        "5.25",
        "1.50",
    ):
        assert text in shown
    write_figures(root / "tables", root / "figures")
    write_report(config, root / "tables", root / "figures", root / "report/index.html", root)
    assert "Streaming, rnnt" in (root / "report/index.html").read_text()


def test_models_under_a_mask_for_each_language_do_not_stream_as_one(made):
    config, _ = made
    pathways = {"languages": ["en", "fr"], "method": "pathways", "start": [["lap", 0.5]]}
    entry = {"corpus": "talk_show", "model": "rnnt", "variant": None, "schedule": "levels", "reference": None}
    entry |= {"methods": ["lap", "imp"], "pathways": [pathways], "searches": ["greedy"]}
    config = config | {"prune": [entry], "pruning": {"levels": {"levels": [0.5], "training": "acoustic"}}}
    assert [run.method for run in streaming.members(config, ENTRY)] == ["dense", "lap"]
    assert [run.method for run in streaming.members(config, ENTRY | {"methods": ["imp"]})] == ["dense"]
