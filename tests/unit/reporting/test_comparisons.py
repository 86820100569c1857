"""Which systems are compared, and the numbers of the miniature study by hand."""

import math
import re
from pathlib import Path

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv
from secateur.overview import comparisons
from secateur.overview.comparisons import pairs, systems
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
    "pruning": {"p": {"levels": [0.5, 0.7]}},
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

    return [(question, name(a), name(b)) for question, a, b in pairs(config, systems(config))]


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
    row = only(table, question="LM", scope_a="all", language="en", seed="0")
    # 2 and 3 errors of 10 words; they differ in the first utterance, of 6 words, and not in the second, of 4.
    assert (row["wer_a"], row["wer_b"], row["difference"]) == ("20.0", "30.0", "-10.0")
    assert float(row["difference_low"]) == pytest.approx(-100 * 2 / 12)
    assert float(row["difference_high"]) == 0.0
    # A quarter of the draws has the second utterance twice: no difference. The normal quantile of 1/4, shrunk by the
    # square root of 2 for 2 utterances, is read in Student's t with 1 degree of freedom, an arc tangent.
    t = 0.6745 / math.sqrt(2)
    assert float(row["p_value"]) == pytest.approx(1 - 2 * math.atan(t) / math.pi, abs=0.03)
    assert [row[f"{axis}_a"] for axis in comparisons.SYSTEM] == ["ctc", "dense", "all", "0.0", "beam_lm", "small"]
    assert [row[f"{axis}_b"] for axis in comparisons.SYSTEM] == ["ctc", "dense", "all", "0.0", "beam", "none"]
    a, b = row["source"].split()
    assert "/test/beam_lm/" in a and "/test/beam/" in b and (finished / a).is_file() and (finished / b).is_file()


def test_the_mean_over_languages_is_compared_too(table):
    row = only(table, question="search", scope_a="each", language="avg", seed="0")
    # en 3 and 4, fr 4 and 5 errors of 10 words; in a sixteenth of the draws neither language differs.
    assert (row["wer_a"], row["wer_b"], row["difference"]) == ("35.0", "45.0", "-10.0")
    # The normal quantile of 1/16, shrunk for 4 utterances in 2 samples, is read in Student's t of 2 degrees of freedom.
    t = 1.5341 / math.sqrt(2)
    assert float(row["p_value"]) == pytest.approx(1 - t / math.sqrt(2 + t**2), abs=0.02)
    assert len(row["source"].split()) == 4


def test_equal_systems_do_not_differ(table):
    rows = [row for row in table if row["question"] == "multilingual"]
    assert len(rows) == 3 * 3 * 2  # searches, languages and their mean, seeds
    assert {(row["difference"], row["p_value"], row["scope_a"], row["scope_b"]) for row in rows} == {
        ("0.0", "1.0", "all", "each")
    }


def test_other_utterances_are_not_compared(study, config):
    path = next(study.rglob("beam_lm/utterances.tsv"))
    path.write_text(path.read_text().replace("u1\t", "u7\t"))
    with pytest.raises(SecateurError, match="are not about the same utterances; delete the older"):
        list(comparisons.rows(Results(config, study)))


def test_one_line_a_pair_for_reading(finished, config, study):
    text = (finished / "tables" / "comparisons.md").read_text()
    assert "### Is the difference real? corpus talk_show (SYNTHETIC SPEECH)" in text
    systems = r"\| LM +\| ctc, multilingual, beam_lm +\| ctc, multilingual, beam +\| 0 +\|"
    assert re.search(systems + r" +-10\.0 \[-16\.7, 0\.0\] \| +0\.\d{4} \|", text)
    assert re.search(r"\| Seed +\|.* en \| +p, en \|.* fr \| +p, fr \|.* avg \| +p, avg \|\n", text)
    assert "Seed" not in _markdown(config | {"seeds": [0]}, study)


def _markdown(config, study):
    from secateur.reporting.render import write_tables

    write_tables(config, study)
    return (study / "tables" / "comparisons.md").read_text()
