"""Choosing a system by need, on a table made by hand."""

import shutil

import pytest
import torch
from tiny import CTC, TOKENS, run_script

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, write_text, write_tsv
from secateur.heads.study import removals_file
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.sparse import FILE
from secateur.models.surgery.layers import layer_numbers
from secateur.overview.choice import choices, needs
from secateur.overview.handover import hand_over
from secateur.overview.systems import COLUMNS, mark_fronts, view
from secateur.pruning.engines.mask import Mask, save_masks
from secateur.study.runs import ModelRun

# Name, seed, errors on dev and test in percent, megabytes, real-time factor.
SYSTEMS = [
    ("large", 1, 5.0, 6.0, 8.0, 0.04),
    ("large", 2, 7.0, 8.0, 8.0, 0.04),
    ("masked", 1, 7.0, 5.0, 3.0, 0.04),
    ("masked", 2, 7.0, 5.0, 3.0, 0.04),
    ("shallow", 1, 8.0, 9.5, 4.0, 0.02),
    ("shallow", 2, 8.0, 9.5, 4.0, 0.02),
    ("small", 1, 9.0, 9.0, 2.0, 0.01),
    ("small", 2, 9.0, 9.0, 2.0, 0.01),
    ("untimed", 1, 6.5, 6.5, 1.0, ""),
    ("untimed", 2, 6.5, 6.5, 1.0, ""),
]


def table(**changes):
    rows = []
    for name, seed, dev, test, megabytes, rtf in SYSTEMS:
        row = dict.fromkeys(COLUMNS, "") | {"corpus": "talk", "system": name, "search": "greedy", "seed": str(seed)}
        row |= {"languages": "en fr", "split": "test", "wer": str(test), "dev_wer": str(dev), "lm": "none"}
        row |= {"wer_low": str(test - 1), "wer_high": str(test + 1), "kind": "dense", "timed": "in turns"}
        rows.append(row | {"bytes": str(megabytes * 1e6), "rtf": str(rtf), "folder": f"models/{name}"} | changes)
    return rows


def names(found):
    return [option.name for option in found]


def test_the_fewest_errors_on_dev_within_limits():
    found = choices(table(), {})
    assert found.best.name == "large"  # the mean of 5 and 7
    assert names(found.others) == ["untimed", "masked", "shallow", "small"]
    # On test the masked one is best, which dev does not know.
    assert choices(table(), {}, "test").best.name == "masked"
    # What was not timed is not within a limit of time.
    found = choices(table(), {"wer": 8.5, "rtf": 0.02, "mb": 5})
    assert found.best.name == "shallow" and names(found.others) == []
    assert {name: option.name for name, option in found.without.items()} == {
        "wer": "shallow", "rtf": "untimed", "mb": "shallow",
    }  # fmt: skip
    found = choices(table(), {"wer": 8.0, "rtf": 0.01})
    assert found.best is None
    assert found.without["wer"].name == "small" and found.without["rtf"].name == "large"
    assert found.nearest == {"wer": 9.0, "rtf": 0.02}


def test_typical_needs_are_relative_to_the_best():
    texts = [(need.text.partition(":")[0], need.limits) for need in needs(table())]
    assert texts == [
        ("the fewest errors", {}),
        ("half of its bytes", {"mb": 4.0}),
        ("a quarter of its bytes", {"mb": 2.0}),
        ("half of its time", {"rtf": 0.02}),
        ("half of both", {"mb": 4.0, "rtf": 0.02}),
    ]
    assert needs(table(dev_wer="")) == []


def study(folder, rows):
    write_tsv(folder / "results/tiny/tables/systems.tsv", COLUMNS, rows)
    return "--study", "tiny", "--results", folder / "results"


def test_the_command_says_what_limits_cost(tmp_path, capsys):
    given = study(tmp_path, table())
    record = run_script("choose", *given, "--max-wer", 8.5, "--max-rtf", 0.02, "--max-mb", 5)
    lines = capsys.readouterr().out.splitlines()
    assert record["system"] == "shallow, greedy"
    assert lines == [
        "Best: shallow, search greedy: 8.0 % on dev, 9.5 % on test, 4.00 MB, RTF 0.0200 (in turns)",
        "Without the limit of 8.5 % errors: the same system; it costs nothing",
        "Without the limit of 0.02 RTF: 1.5 points fewer errors on dev: untimed, search greedy: 6.5 % on dev, "
        "6.5 % on test, 1.00 MB",
        "Without the limit of 5 MB: the same system; it costs nothing",
    ]
    with pytest.raises(SecateurError, match="no system is within the limits"):
        run_script("choose", *given, "--max-wer", 8, "--max-rtf", 0.01)
    assert "the lowest that there is: 9.00" in capsys.readouterr().out


def test_the_command_warns_of_doubtful_times_where_time_is_limited(tmp_path, capsys):
    given = study(tmp_path, table(doubt="other processes used 30 % of the machine"))
    run_script("choose", *given, "--max-mb", 3)
    assert "Warning" not in capsys.readouterr().out
    run_script("choose", *given, "--max-rtf", 0.02)
    warning = "Warning: times are not to be relied on: other processes used 30 % of the machine."
    assert capsys.readouterr().out.splitlines()[-1] == warning


def test_the_command_hands_over_what_it_chose(tmp_path, capsys):
    torch.manual_seed(0)
    model, run = build_model(CTC, TOKENS).eval(), ModelRun("talk", "ctc", "all", 1)
    save_model(tmp_path / "results/tiny" / run.folder, model, CTC, TOKENS)
    rows = [row | {"folder": run.folder, "cer": "3.0"} for row in table() if row["system"] in ("small", "large")]
    given = study(tmp_path, rows)
    capsys.readouterr()  # of libraries that are imported here
    run_script("choose", *given, "--max-mb", 3, "--export", tmp_path / "out")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "Best: small, search greedy: 9.0 % on dev, 9.0 % on test (3.0 % of the characters), 2.00"
    )
    assert lines[1].startswith("Without the limit of 3 MB: 3.0 points fewer errors on dev: large")
    assert lines[2] == f"Written to {tmp_path / 'out'}: seed 1."
    assert all(map(torch.equal, load_model(tmp_path / "out").model.parameters(), model.parameters()))
    assert read_json(tmp_path / "out/system.json")["system"] == "small"


def test_the_report_chooses_on_one_test_split_and_shows_its_characters():
    """Of two test splits the first; on the other one the small system has no errors at all."""
    corpora = [{"corpus": "talk", "language": "en", "unit": "word", "synthetic": "false"}]
    first = table(cer="3.0", doubt="", format="dense")
    other = [row | {"split": "other", "wer": "0.0", "dev_wer": "0.0"} for row in first if row["system"] == "small"]
    grid = view({"systems": first + other, "corpora": corpora, "runs": []})[-1]
    assert grid.header[3:7] == ["Costs, points", "WER, dev", "WER, test", "CER, test"]
    shown = {line[0].text.partition(":")[0]: [line[1].text, *(cell.value for cell in line[3:7])] for line in grid.rows}
    assert shown == {
        "the fewest errors": ["large", 0.0, 6.0, 7.0, 3.0],
        "half of its bytes": ["untimed", 0.5, 6.5, 6.5, 3.0],
        "a quarter of its bytes": ["untimed", 0.5, 6.5, 6.5, 3.0],
        "half of its time": ["shallow", 2.0, 8.0, 9.5, 3.0],
        "half of both": ["shallow", 2.0, 8.0, 9.5, 3.0],
    }


def test_test_data_are_for_choosing_only_if_that_is_said(tmp_path, capsys):
    given = study(tmp_path, table(dev_wer=""))
    with pytest.raises(SecateurError, match=r"the dev data were not decoded.*decode\.splits.*--on test"):
        run_script("choose", *given)
    assert run_script("choose", *given, "--on", "test")["system"] == "masked, greedy"
    assert "Chosen on the test data" in capsys.readouterr().out


def test_corpora_and_languages_are_not_mixed(tmp_path):
    other = [row | {"corpus": "news"} for row in table()]
    with pytest.raises(SecateurError, match="--corpus: the study has talk, news; name one"):
        run_script("choose", *study(tmp_path, table() + other))
    single = [row | {"languages": "en", "dev_wer": "1.0", "system": "English"} for row in table()]
    given = study(tmp_path, table() + single)
    assert run_script("choose", *given)["system"] == "large, greedy"
    assert run_script("choose", *given, "--languages", "en")["system"] == "English, greedy"
    with pytest.raises(SecateurError, match="no system for these alone; there are systems for: en; en fr"):
        run_script("choose", *given, "--languages", "fr")


def test_fronts_by_hand():
    rows = [
        {"corpus": "talk", "languages": "en", "split": "test", "search": "greedy", "seed": 1, "kind": "dense"}
        | dict(zip(("wer", "bytes", "macs_per_second", "rtf"), values, strict=True))
        for values in (
            (10.0, 8, 5, 0.4),
            (12.0, 4, 5, 0.4),
            (13.0, 4, 3, 0.2),
            (14.0, 2, 4, None),
        )
    ]
    mark_fronts(rows)
    assert [row["front_bytes"] for row in rows] == [True, True, False, True]
    assert [row["front_macs"] for row in rows] == [True, False, True, False]
    # What was not timed is on no front of times.
    assert [row.get("front_time") for row in rows] == [True, False, True, None]


def row_of(run, **facts):
    axes = {"system": "it", "corpus": run.corpus, "model": run.model, "method": run.method, "scope": run.scope}
    known = {
        "seed": str(run.seed),
        "search": "greedy",
        "lm": "none",
        "languages": "en fr",
        "folder": run.folder,
        "sub_model": "",
    }
    return axes | known | {"kind": "dense", "format": "dense"} | facts


def test_what_is_chosen_is_handed_over(tmp_path):
    torch.manual_seed(0)
    model, run = build_model(CTC, TOKENS).eval(), ModelRun("talk", "ctc", "all", 1)
    save_model(tmp_path / run.folder, model, CTC, TOKENS)
    hand_over(tmp_path, row_of(run), tmp_path / "dense")
    assert all(map(torch.equal, load_model(tmp_path / "dense").model.parameters(), model.parameters()))
    assert read_json(tmp_path / "dense/system.json")["system"] == "it"

    row = row_of(run, kind="fewer layers", sub_model="1,3")
    hand_over(tmp_path, row, tmp_path / "shallow")
    assert layer_numbers(load_model(tmp_path / "shallow").model) == [1, 3]

    sets = {"gradient global 0.5": {"removed": [["encoder-self", 1, 1]]}}
    write_json(tmp_path / removals_file(run), {"sets": sets})
    row = row_of(run, kind="fewer heads", sub_model="gradient global 0.5")
    hand_over(tmp_path, row, tmp_path / "headless")
    before, after = (
        sum(map(torch.numel, each.parameters())) for each in (model, load_model(tmp_path / "headless").model)
    )
    assert after < before

    masked = ModelRun("talk", "ctc", "all", 1, "lap", 0.7)
    mask = Mask.random(model, 0.7, 1)
    mask.apply_(model)
    save_model(tmp_path / masked.folder, model, CTC, TOKENS)
    save_masks(tmp_path / masked.folder, {"all": mask})
    hand_over(tmp_path, row_of(masked, kind="masks", format="sparse"), tmp_path / "sparse")
    assert (tmp_path / "sparse" / FILE).is_file()
    assert all(map(torch.equal, load_model(tmp_path / "sparse").model.parameters(), model.parameters()))

    write_text(tmp_path / "lexicons/talk/greedy/ngram.arpa", "of a search with a lexicon")
    hand_over(tmp_path, row_of(run), tmp_path / "words")
    assert (tmp_path / "words/lexicon/ngram.arpa").read_text() == "of a search with a lexicon"
    shutil.rmtree(tmp_path / "lexicons")

    row = row_of(run) | {"folder": f"{run.folder} {masked.folder}"}
    hand_over(tmp_path, row, tmp_path / "each")
    assert {file.name for file in (tmp_path / "each").iterdir()} == {"en", "fr", "system.json"}
    with pytest.raises(SecateurError, match="no such folder; run the study again"):
        hand_over(tmp_path, row_of(run, folder="models/gone"), tmp_path / "gone")
