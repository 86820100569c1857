"""The cards at the top of the report: which systems they name, by hand, and when they name none."""

import pytest

from secateur.overview.no_worse import rows
from secateur.reporting.answers import NOT_CHOSEN, keys
from secateur.reporting.results import Results

SYSTEMS = {
    # system: (WER on test, WER on dev, bytes, RTF with its ends)
    "ctc": (40.0, 41.0, 4e6, (0.020, 0.019, 0.021)),
    "ctc, lap, 50 %": (40.5, 41.2, 3e6, (0.020, 0.019, 0.021)),
    "ctc, lap, 70 %": (40.2, 41.1, 2e6, (0.0195, 0.0185, 0.0205)),
    "ctc, 4 layers": (42.0, 41.3, 3.5e6, (0.015, 0.014, 0.016)),
    "ctc, 1 layers": (80.0, 81.0, 1e6, (0.005, 0.004, 0.006)),
}
WORSE = {"ctc, 1 layers"}


def system_row(name, search="greedy", seed="1"):
    wer, dev, stored, times = SYSTEMS[name]
    kind = "dense" if name == "ctc" else "masks"
    row = {"corpus": "talk", "kind": kind, "system": name, "method": "dense" if name == "ctc" else "x", "split": "test"}
    row |= {"search": search, "seed": seed, "wer": str(wer), "wer_low": str(wer - 2), "wer_high": str(wer + 2)}
    row |= dict(zip(("rtf", "rtf_low", "rtf_high"), map(str, times), strict=True))
    return row | {"dev_wer": str(dev), "bytes": str(stored), "doubt": ""}


def verdict_row(name, split):
    wer, dev, *_ = SYSTEMS[name]
    more = wer - 40.0 if split == "test" else dev - 41.0
    row = {"corpus": "talk", "search": "greedy", "reference": "ctc", "system": name, "split": split}
    row |= {"difference": str(more), "difference_low": str(more - 0.5), "difference_high": str(more + 0.5)}
    row |= {"cer_difference": "0.1", "cer_difference_low": "-0.1", "cer_difference_high": "0.3", "detectable": "0.7"}
    return row | {"margin": "1 percentage points", "verdict": "not supported" if name in WORSE else "supported"}


@pytest.fixture
def tables():
    others = [name for name in SYSTEMS if name != "ctc"]
    with_lm = system_row("ctc", "beam") | {"wer": "35.0", "wer_low": "33.0", "wer_high": "37.0", "dev_wer": "36.0"}
    return {
        "systems": [*map(system_row, SYSTEMS), with_lm],
        "no_worse": [verdict_row(name, split) for name in others for split in ("dev", "test")],
        "claims": [{"verdict": verdict} for verdict in ("supported", "supported", "undecided", "not tested")],
        "wer": [{"split": "test"}, {"split": "dev"}],
        "corpora": [],
    }


def test_the_cards_choose_on_dev_among_what_is_no_worse_and_show_test(tables):
    dense, smallest, fastest, claims = keys(tables)
    assert (dense.system, dense.cell.number, dense.cell.uncertainty) == ("ctc, greedy", "40.0", "[38.0, 42.0]")
    assert "With beam, its best search on dev: 35.0 % [33.0, 37.0]." in dense.note
    assert (smallest.system, smallest.cell.number, smallest.unit) == ("ctc, lap, 70 %, greedy", "2.00", " MB")
    assert smallest.note == (
        "50 % of the dense one's. WER on test 40.2 % [38.2, 42.2]; 0.2 [-0.3, 0.7] points more than the dense one "
        "(CER 0.1 [-0.1, 0.3]; 0.7 would have been seen)."
    )
    assert (fastest.system, fastest.cell.number) == ("ctc, 4 layers, greedy", "0.0150")
    assert fastest.cell.uncertainty == "[0.0140, 0.0160]" and fastest.note.startswith("75 % of the dense one's.")
    assert claims.cell.text == "2 of 4" and claims.note == "1 undecided, 1 not tested" and claims.link == "claims"


def test_noise_makes_no_system_the_fastest(tables):
    """The masks compute what the dense model does; their 2.5 % are noise, which their intervals say."""
    tables["no_worse"] = [row for row in tables["no_worse"] if "layers" not in row["system"]]
    fastest = keys(tables)[2]
    assert fastest.cell.text == "none" and "none of them is measurably faster" in fastest.note
    four = [row | {"rtf_low": "", "rtf_high": ""} for row in tables["systems"]]
    assert keys(tables | {"systems": four})[2].cell.text == "none", "times without intervals are not compared"


def test_times_of_the_same_utterances_are_compared_in_pairs(tables):
    """Utterances of very different lengths: how long they take on average is unsure, and that all take less is not."""
    wide = {"rtf_low": "0.004", "rtf_high": "0.08"}
    unlike = [row | wide | {"ratio": "", "ratio_low": "", "ratio_high": ""} for row in tables["systems"]]
    assert keys(tables | {"systems": unlike})[2].cell.text == "none"
    ratios = {"ctc": (1.0, 1.0, 1.0), "ctc, 4 layers": (0.75, 0.7, 0.8)}

    def timed(row, model="ctc"):
        found = zip(("ratio", "ratio_low", "ratio_high"), ratios.get(row["system"], (0.98, 0.95, 1.01)), strict=True)
        return row | wide | {name: str(value) for name, value in found} | {"model": model}

    fastest = keys(tables | {"systems": [*map(timed, tables["systems"])]})[2]
    assert fastest.system == "ctc, 4 layers, greedy" and fastest.note.startswith("75 % [70, 80] of the dense one's.")
    others = [timed(row, "ctc" if row["system"] == "ctc" else "other") for row in tables["systems"]]
    assert keys(tables | {"systems": others})[2].cell.text == "none", "ratios over another model's time"


def test_without_dev_data_nothing_is_chosen(tables):
    tables["no_worse"] = [row for row in tables["no_worse"] if row["split"] == "test"]
    dense, smallest, fastest, _ = keys(tables)
    assert dense.cell.number == "40.0" and {smallest.note, fastest.note} == {NOT_CHOSEN}


def test_without_other_systems_the_dense_model_stands_alone(tables):
    alone = tables | {"systems": tables["systems"][:1], "no_worse": []}
    dense, smallest, *_ = keys(alone)
    assert dense.system == "ctc, greedy" and smallest.note == "There is no other system to choose from."


def test_several_seeds_are_averaged(tables):
    """The second seed's model is larger, and has four points more errors."""
    again = [row | {"seed": "2", "bytes": "6e6", "wer": str(float(row["wer"]) + 4)} for row in tables["systems"]]
    dense, smallest, *_ = keys(tables | {"systems": [*tables["systems"], *again]})
    assert (dense.cell.number, dense.cell.uncertainty) == ("42.0", "± 2.8")
    assert (smallest.system, smallest.cell.number) == ("ctc, lap, 70 %, greedy", "4.00")


def test_every_system_is_held_against_the_dense_model(study, config):
    """In the tiny study the monolingual models make the errors of the multilingual one."""
    config = config | {"decode": {"splits": ["test"], "searches": ["greedy", "beam", "beam_lm"]}}
    (row,) = rows(Results(config, study))
    assert (row["system"], row["reference"], row["search"]) == ("ctc, each language", "ctc", "greedy")
    assert (row["wer_a"], row["wer_b"], row["difference"], row["seeds"]) == (50.0, 50.0, 0.0, 2)
    assert row["verdict"] == "undecided" and row["margin"] == "1 percentage points"
