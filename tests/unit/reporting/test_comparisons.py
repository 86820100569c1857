"""Which systems are compared, and the numbers of the miniature study by hand."""

import re
from pathlib import Path

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.overview import comparisons
from secateur.overview.comparisons import members, pairs
from secateur.reporting.results import Results

CONFIG = {
    "corpora": {"talk": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "models": {"ctc": {"type": "ctc"}, "small": {"type": "ctc"}, "hybrid": {"type": "hybrid"}},
    "searches": {
        "greedy": {"type": "ctc_greedy"},
        "wide": {"type": "beam", "beam": 20},
        "beam": {"type": "beam", "beam": 5},
        "beam-lm": {"type": "beam", "beam": 5, "lm": "chars"},
        "lexicon": {"type": "lexicon", "beam": 5, "order": 2},
    },
    "dense": [
        {"corpus": "talk", "model": "ctc", "scopes": ["all"]},
        {"corpus": "talk", "model": "small", "scopes": ["each"]},
    ],
    "pruning": {"p": {"levels": [0.5, 0.7], "training": "short", "steps_per": "all"}},
    "prune": [],
    "layers": [],
    "regularise": [],
    "heads": [],
    "ssl": [],
    "decode": {"splits": ["test"], "searches": ["greedy", "beam", "beam-lm", "lexicon"]},
    "seeds": [1],
}


def named(config):
    """The pairs in few words."""

    def name(system):
        level = f" {system.run.sparsity:g}" if system.run.sparsity else ""
        return f"{system.run.model} {system.run.method}{level} {system.run.scope} {system.search}"

    return [(question, name(a), name(b)) for question, a, b in pairs(config, members(config))]


def test_the_pairs_of_dense_models():
    assert named(CONFIG) == [
        ("LM", "ctc dense all beam-lm", "ctc dense all beam"),
        ("LM", "small dense each beam-lm", "small dense each beam"),
        ("search", "ctc dense all beam", "ctc dense all greedy"),
        ("search", "ctc dense all lexicon", "ctc dense all greedy"),
        ("search", "small dense each beam", "small dense each greedy"),
        ("search", "small dense each lexicon", "small dense each greedy"),
        ("multilingual", "ctc dense all greedy", "small dense each greedy"),
        ("multilingual", "ctc dense all beam", "small dense each beam"),
        ("multilingual", "ctc dense all beam-lm", "small dense each beam-lm"),
        ("multilingual", "ctc dense all lexicon", "small dense each lexicon"),
    ], "with two languages and their mean, 30 rows"


def test_a_monolingual_model_of_the_same_name_comes_first_and_another_type_is_not_compared():
    dense = [
        {"corpus": "talk", "model": "ctc", "scopes": ["all", "each"]},
        {"corpus": "talk", "model": "small", "scopes": ["all", "each"]},
        {"corpus": "talk", "model": "hybrid", "scopes": ["all"]},
    ]
    found = named(CONFIG | {"dense": dense, "decode": {"splits": ["test"], "searches": ["greedy"]}})
    assert found == [
        ("multilingual", "ctc dense all greedy", "ctc dense each greedy"),
        ("multilingual", "small dense all greedy", "small dense each greedy"),
    ]


def test_pruned_models_are_compared_with_the_dense_one_at_their_target():
    prune = {
        "corpus": "talk",
        "model": "ctc",
        "schedule": "p",
        "variant": None,
        "methods": ["lap", "imp", "longer"],
        "pathways": [{"languages": ["en", "fr"], "method": "dynamic", "start": [["lap", 0.5]]}],
        "searches": ["greedy"],
    }
    found = [pair for pair in named(CONFIG | {"prune": [prune]}) if "dense" not in pair[1]]
    assert found == [
        ("pruning", "ctc lap 0.7 all greedy", "ctc dense all greedy"),
        ("pruning", "ctc imp 0.7 each greedy", "ctc dense all greedy"),
        ("pruning", "ctc longer each greedy", "ctc dense all greedy"),
        ("pruning", "ctc dynamic-lap-s500 0.7 all greedy", "ctc dense all greedy"),
    ]


@pytest.fixture(scope="module")
def table(finished: Path) -> list[dict]:
    return read_tsv(finished / "tables" / "comparisons.tsv")


def only(rows, **axes):
    found = [row for row in rows if all(row[axis] == value for axis, value in axes.items())]
    assert len(found) == 1, (axes, found)
    return found[0]


def test_a_difference_and_its_interval_by_hand(table, finished):
    row = only(table, question="LM", scope_a="all", language="en")
    # Seeds 0 and 1: 2 and 3 errors of 10 words against 3 and 4; A has one less in the first utterance, of 6 words.
    assert (row["wer_a"], row["wer_b"], row["difference"]) == ("25.0", "35.0", "-10.0")
    assert float(row["relative"]) == pytest.approx(-100 * 10 / 35)
    # The utterances pull by ∓4 points; without them it moves by 4 / 0.6 and 4 / 0.4: a variance of 17². t of 1.
    assert float(row["difference_high"]) == pytest.approx(-10 + 12.706 * 16.997, abs=0.1)
    assert float(row["difference_low"]) == pytest.approx(-10 - 12.706 * 16.997, abs=0.1)
    assert (row["seeds"], row["utterances"], row["interval"]) == ("2", "2", "seeds and utterances, these speakers")
    assert float(row["detectable"]) > 12.706 * 10
    assert [row[f"{axis}_a"] for axis in comparisons.SYSTEM] == ["ctc", "dense", "all", "0.0", "beam_lm", "small"]
    assert [row[f"{axis}_b"] for axis in comparisons.SYSTEM] == ["ctc", "dense", "all", "0.0", "beam", "none"]
    files = row["source"].split()
    assert len(files) == 4 and all((finished / file).is_file() for file in files)
    assert ["/decode/beam_lm/" in file for file in files] == [True, True, False, False]


def test_the_mean_over_languages_is_compared_too(table):
    row = only(table, question="search", scope_a="each", language="avg")
    # en 3 and 4, fr 4 and 5 errors of 10 words, with seed 0; one more with seed 1.
    assert (row["wer_a"], row["wer_b"], row["difference"]) == ("40.0", "50.0", "-10.0")
    assert (row["seeds"], row["utterances"], row["interval"]) == ("2", "4", "seeds and utterances, these speakers")
    assert len(row["source"].split()) == 2 * 2 * 2


def test_equal_systems_do_not_differ(table):
    rows = [row for row in table if row["question"] == "multilingual"]
    assert len(rows) == 3 * 3  # searches, languages and their mean
    assert {(row["difference"], row["p_value"], row["scope_a"], row["scope_b"]) for row in rows} == {
        ("0.0", "1.0", "all", "each")
    }


def test_adaptive_masks_are_compared_with_fixed_ones_beside_what_is_published():
    both = {"languages": ["en", "fr"]}
    prune = {
        "corpus": "talk",
        "model": "ctc",
        "schedule": "p",
        "variant": None,
        "methods": ["lth", "lth-adaptive"],
        "pathways": [
            {**both, "method": "pathways", "start": [["lth", 0.7]]},
            {**both, "method": "dynamic", "start": [["lth", 0.5], ["lth", 0.7]]},
        ],
        "searches": ["greedy"],
    }
    config = CONFIG | {"prune": [prune]}
    found = [pair for pair in named(config) if pair[0] in ("adaptive", "dynamic")]
    assert found == [
        ("adaptive", "ctc lth-adaptive 0.7 each greedy", "ctc lth 0.7 each greedy"),
        ("dynamic", "ctc dynamic-lth-s500 0.7 all greedy", "ctc pathways-lth-s700 0.7 all greedy"),
        ("dynamic", "ctc dynamic-lth-s700 0.7 all greedy", "ctc pathways-lth-s700 0.7 all greedy"),
    ]
    effects = [
        comparisons._published(a, b, ["en", "fr"])
        for question, a, b in pairs(config, members(config))
        if question in ("adaptive", "dynamic")
    ]
    assert effects == pytest.approx([-5.25, -5.79, -0.37], abs=0.01)


def test_other_utterances_are_not_compared(study, config):
    path = next(study.rglob("beam_lm/utterances.tsv"))
    path.write_text(path.read_text().replace("u1\t", "u7\t"))
    with pytest.raises(SecateurError, match="not the utterances of the other seeds; delete the older"):
        list(comparisons.rows(Results(config, study)))


def test_one_line_a_pair_and_language_for_reading(finished, config, study):
    text = (finished / "tables" / "comparisons.md").read_text()
    assert "### Is the difference real? corpus talk_show (SYNTHETIC SPEECH)" in text
    systems = r"\| LM +\| ctc, multilingual, beam_lm +\| ctc, multilingual, beam +\| en +\|"
    assert re.search(systems + r" +-10\.0 \[-\d+\.\d, \d+\.\d\] \| +0\.\d{4} \|", text)
    assert re.search(r"\| Question +\| A +\| B +\| Language +\| +difference \| +p \| +detectable \|", text)
    assert "One seed" not in text and "these speakers" in text
    assert "One seed: the intervals are over utterances" in _markdown(config | {"seeds": [0]}, study)


def test_both_sides_are_named_where_all_pairs_share_one(finished):
    rows = [row for row in read_tsv(finished / "tables" / "comparisons.tsv") if row["question"] == "LM"]
    others = {name: read_tsv(finished / "tables" / f"{name}.tsv") for name in ("corpora", "runs")}
    (grid,) = comparisons.view(others | {"comparisons": rows[:3]})
    assert list(grid.header[:4]) == ["Question", "A", "B", "Language"] and len(grid.rows) == 3


def _markdown(config, study):
    from secateur.reporting.render import write_tables

    write_tables(config, study)
    return (study / "tables" / "comparisons.md").read_text()
