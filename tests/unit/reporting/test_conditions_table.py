"""What pruning costs under a condition, in a study of two utterances a language, by hand."""

import copy

import numpy as np
import pytest

from secateur.core.files import read_json, write_json
from secateur.overview.conditions import Four, claimed, extra, rows
from secateur.overview.decodings import wer
from secateur.reporting.results import Results
from secateur.reporting.systems import Counted
from secateur.study.runs import decodings, model_runs, splits

LAP = {"sparsity": 0.7, "mask_bytes": 100, "sparse_bytes": 3000, "sparse_bytes_each": {"all": 3000}}


@pytest.fixture
def study(tmp_path, write_study, write_heard):
    base, build = write_study
    config = copy.deepcopy(base) | {
        "seeds": [0],
        "pruning": {"short": {"levels": [0.7], "training": "retrain"}},
        "training": {"retrain": {"steps": 100}, "acoustic": {"steps": 400}},
        "conditions": {"noisy": {"type": "noise", "noise": "white", "snr": 5, "of": "test"}},
        "decode": {"splits": ["test", "noisy"], "searches": ["greedy"]},
        "prune": [
            {
                **{"corpus": "talk_show", "model": "ctc", "variant": None, "reference": "ctc", "schedule": "short"},
                **{"searches": ["greedy"], "methods": ["lap"], "pathways": []},
            }
        ],
    }
    root = build(tmp_path / "tiny", config)
    sizes = read_json(root / "sizes.json")
    for run in model_runs(config):
        sizes[run.folder] |= {"bytes": 8000} | (LAP if run.method == "lap" else {})
    write_json(root / "sizes.json", sizes)
    # Errors of the first and second utterance: clean and noisy, of the dense model and of the pruned one.
    errors = {("dense", "test"): (1, 0), ("dense", "noisy"): (2, 1), ("lap", "test"): (2, 0), ("lap", "noisy"): (5, 1)}
    for decoding in decodings(config):
        if decoding.run.scope == "all" and decoding.run.model == "ctc":
            write_heard(root, decoding, {"": errors[decoding.run.method, decoding.split]})
    return config, root


def test_a_row_by_hand(study):
    config, root = study
    found = [row for row in rows(Results(config, root)) if row["method"] == "lap"]
    (row,) = found
    words = 10  # of both utterances together, in each of two languages
    assert (row["condition"], row["of"], row["against"], row["utterances"]) == ("noisy", "test", "ctc", 4)
    rates = [row[name] for name in ("dense_wer_clean", "dense_wer", "wer_clean", "wer")]
    assert rates == pytest.approx([100 * wrong / words for wrong in (1, 3, 2, 6)])
    assert (row["cost_clean"], row["cost"]) == pytest.approx((10.0, 30.0))
    assert row["extra"] == pytest.approx(20.0) and row["extra_low"] < 20 < row["extra_high"]
    assert "test" not in row["condition"] and len(row["source"].split()) == 2
    # One character is wrong for every wrong word, of five a word.
    assert row["cer"] == pytest.approx(row["wer"] / 5) and row["cer_extra"] == pytest.approx(4.0)
    assert row["cer_extra_low"] < 4 < row["cer_extra_high"]


def test_a_study_without_conditions_has_no_rows(study):
    config, root = study
    assert list(rows(Results(config | {"conditions": {}}, root))) == []


def counted(errors, names=("a", "b")):
    none = [0] * len(names)
    return Counted(list(names), ["en"] * 2, list(names), list(errors), [5, 5], none, [25, 25], "file")


def test_what_a_system_loses_everywhere_is_no_extra():
    same = Four(counted((3, 2)), counted((2, 1)), counted((2, 1)), counted((1, 0)))
    assert extra([same]).value == 0.0
    more = Four(counted((5, 2)), counted((2, 1)), counted((2, 1)), counted((1, 0)))
    assert extra([more]).value == pytest.approx(20.0)
    assert extra([same, more]).value == pytest.approx(10.0), "the mean over seeds"


def test_other_utterances_are_refused():
    with pytest.raises(Exception, match="not about the utterances"):
        Four(counted((3, 2)), counted((2, 1), ("a", "c")), counted((2, 1)), counted((1, 0)))


def test_a_narrow_condition_is_for_its_languages_and_searches_alone(study):
    config, root = study
    noisy = config["conditions"]["noisy"] | {"languages": ["en"], "searches": ["greedy"]}
    config |= {"conditions": {"noisy": noisy}}
    config["decode"] |= {"searches": ["greedy", "beam"]}
    heard = {(one.language, one.search) for one in decodings(config) if one.split == "noisy"}
    assert heard == {("en", "greedy")}
    assert splits(config, "talk_show") == ["test"] and splits(config, "talk_show", narrow=True) == ["test", "noisy"]
    (row,) = [row for row in rows(Results(config, root)) if row["method"] == "lap" and row["search"] == "greedy"]
    # In English alone: 1 and 3 errors of the dense model, 2 and 6 of the pruned one, in ten words.
    assert (row["utterances"], row["cost_clean"], row["cost"]) == (2, pytest.approx(10.0), pytest.approx(30.0))
    config["decode"] |= {"searches": ["greedy"]}
    wers = {row["language"] for row in wer(Results(config, root)) if row["split"] == "noisy"}
    assert wers == {"en"}  # no mean of one language
    (found,) = claimed(Results(config, root), None)
    assert found.utterances == 2 and found.absolute == pytest.approx(20.0)


def on_another_corpus(mine, dense, mine_clean=(2, 1), dense_clean=(1, 0)):
    """Four words an utterance elsewhere, five here; other utterances, three of them."""
    names, none = ["x", "y", "z"], [0] * 3
    hard = [Counted(names, ["en"] * 3, names, list(found), [4] * 3, none, [20] * 3, "far") for found in (mine, dense)]
    return Four(hard[0], counted(mine_clean), hard[1], counted(dense_clean), paired=False)


def test_on_another_corpus_each_cost_is_paired_by_itself():
    """3 more errors in 12 words there, 2 more in 10 here: 25 − 20 points; the variances of both costs add up."""
    found = on_another_corpus((3, 1, 2), (1, 1, 1))
    here, there = np.array([1, 1]), np.array([2, 0, 1])
    variances = [
        (n / (n - 1)) ** 3 * np.sum((100 * (more - more.sum() / n) / words) ** 2)
        for more, words, n in ((here, 10, 2), (there, 12, 3))
    ]
    variances[0] = (100 / 10) ** 2  # no utterance differs: one error more or less is still to be expected
    more = extra([found])
    assert more.value == pytest.approx(5.0) and more.utterances == 5
    assert more.se == pytest.approx(np.sqrt(sum(variances)))
    assert more.low < 5 < more.high
    with pytest.raises(Exception, match="not about the utterances"):
        Four(found.mine, found.mine_clean, found.dense, found.dense_clean)


def test_seeds_of_another_corpus_are_averaged_and_spread():
    found = [on_another_corpus((3, 1, 2), (1, 1, 1)), on_another_corpus((3, 2, 2), (1, 0, 1))]
    more = extra(found)
    assert more.value == pytest.approx((25 + 500 / 12) / 2 - 20) and more.seeds == 2
    assert more.se > np.std([5, 500 / 12 - 20], ddof=1) / np.sqrt(2)


def test_another_corpus_is_decoded_beside_the_test_set(study, write_heard):
    """3 of 5 and 2 errors more there by the pruned model, in ten words each of two languages, and 1 here."""
    config, root = study
    config |= {
        "corpora": config["corpora"] | {"far": {"recipe": "espeak", "languages": ["en", "fr"]}},
        "conditions": {"noisy": {"type": "corpus", "corpus": "far", "split": "test", "of": "test"}},
    }
    assert splits(config, "talk_show") == ["test", "noisy"] and splits(config, "far") == ["test"]
    (row,) = [row for row in rows(Results(config, root)) if row["method"] == "lap"]
    assert (row["condition"], row["cost_clean"], row["cost"]) == ("noisy", pytest.approx(10.0), pytest.approx(30.0))
    assert row["extra"] == pytest.approx(20.0)
    (found,) = claimed(Results(config, root), None)
    assert found.absolute == pytest.approx(20.0)
