"""Compositions in the tables of all systems, in a study made by hand."""

import pytest
from timings import write_times

from secateur.compose import study as compose
from secateur.core.files import read_json, write_json
from secateur.reporting.render import write_tables
from secateur.reporting.table import measured, read_tables

STEP = dict.fromkeys(("layers", "heads", "channels", "mask", "sparsity", "recover", "schedule"))
STEP |= {"strategy": "greedy", "policy": "global", "of": "encoder"}
SHALLOW = STEP | {"layers": 2}
ENTRY = {"corpus": "talk_show", "model": "ctc", "searches": ["greedy"], "importance": "gradient"}
STUDY = {
    "seeds": [0],
    "models": {"ctc": {"type": "ctc", "encoder": {"layers": 3}, "training": "acoustic"}},
    "dense": [{"corpus": "talk_show", "model": "ctc", "scopes": ["all"], "searches": ["greedy"]}],
    "pruning": {"short": {"levels": [0.5], "training": "acoustic", "steps_per": "all"}},
    "compose": [
        ENTRY | {"chains": [[SHALLOW, STEP | {"mask": "lap", "sparsity": 0.5, "schedule": "short"}], [SHALLOW], []]}
    ],
}
MASKED = "compose--layers-greedy-2--mask-lap-500"


@pytest.fixture
def composed(tmp_path, write_study, write_heard):
    base, build = write_study
    config = base | STUDY
    root = build(tmp_path / "tiny", config)
    sizes = read_json(root / "sizes.json")
    for run in compose.bare_runs(config):
        sizes[run.folder] = sizes[f"models/talk_show/ctc/all/{MASKED}/s000/seed0"] | {"bytes": 3000000}
    write_json(root / "sizes.json", sizes)
    for decoding in compose.bare_decodings(config):
        write_heard(root, decoding, {"": (4, 1)})
    write_times(root, config, lambda run, search, part: [(0.4 if "compose" in run.method else 0.8, 0.0, 0.0)], [10.0])
    write_tables(config, root)
    return config, root, read_tables(root / "tables")


def test_every_chain_is_a_system_with_its_own_time_and_steps(composed, files_read):
    config, root, tables = composed
    rows = {row["system"]: row for row in tables["systems"] if row["kind"] == "composition"}
    assert set(rows) == {"ctc: 2 layers", "ctc: 2 layers, then LAP 50 %"}
    bare, masked = rows["ctc: 2 layers"], rows["ctc: 2 layers, then LAP 50 %"]
    assert (bare["rtf"], masked["rtf"], bare["timed"]) == ("0.04", "0.04", "in turns")
    assert (bare["bytes"], bare["steps"], masked["steps"]) == ("3000000", "400", "800")
    assert float(bare["wer"]) == 50.0
    verdicts = {row["system"] for row in tables["no_worse"]}
    assert verdicts == set(rows)
    assert files_read(config, root) <= set(measured(config))
