"""Claims that are true and false by construction, void and without systems; Holm over all; a claim in one file."""

import json
from pathlib import Path

import numpy as np
import pytest
from decodings import write_decoding
from dropped import dropping

from secateur.core.errors import SecateurError
from secateur.core.files import write_text, write_tsv
from secateur.overview import claimed as table
from secateur.reporting import claims
from secateur.reporting.claims import Finding, Part
from secateur.reporting.evidence import model_name
from secateur.reporting.results import Results
from secateur.statistics.verdicts import AllOf, Claim, Exact, Ratio, holm
from secateur.study.own import AS_IT_IS
from secateur.study.runs import decodings, model_runs

BOTH = {"languages": ["en", "fr"]}
CONFIG = {
    "study": "tested",
    "corpora": {"talk": {"recipe": "espeak", "languages": ["en", "fr"]}},
    "models": {"ctc": {"type": "ctc", "training": "long"}},
    "training": {"long": {"steps": 100}, "retrain": {"steps": 10}},
    "searches": {"greedy": {"type": "ctc_greedy"}},
    "dense": [{"corpus": "talk", "model": "ctc", "scopes": ["all"]}],
    "pruning": {"progressive": {"levels": [0.5, 0.7], "training": "retrain", "steps_per": "all"}},
    "prune": [
        {
            "corpus": "talk",
            "model": "ctc",
            "schedule": "progressive",
            "variant": None,
            "reference": None,
            "methods": ["imp", "lth", "imp-adaptive", "lth-adaptive", "lap"],
            "pathways": [
                {**BOTH, "method": "pathways", "start": [["lth", 0.7]]},
                {**BOTH, "method": "dynamic", "start": [["lth", 0.5]]},
            ],
            "searches": ["greedy"],
        }
    ],
    "layers": [],
    "regularise": [],
    "heads": [],
    "ssl": [],
    "decode": {"splits": ["test"], "searches": ["greedy"]},
    "seeds": [1, 2, 3],
}
RATES = {
    "dense": 0.30,
    "imp": 0.30,
    "imp-adaptive": 0.40,
    "lth": 0.40,
    "lth-adaptive": 0.30,
    "lap": 0.60,
    "pathways-lth-s700": 0.40,
    "dynamic-lth-s500": 0.20,
}
"""Errors per word, of 80 utterances of 10 words a language; LTH gains by adaptation, IMP loses."""
VOID = "dynamic-lth-s500"
"""Its masks never change, however few its errors are."""


def write_study(root: Path, config: dict, rates: dict[str, float]) -> None:
    """The counted errors of every decoding of a study, at these rates by method, and 20 speakers a language."""
    for number, decoding in enumerate(decodings(config)):
        drawn = np.random.default_rng(number).binomial(10, rates[decoding.run.method], 80)
        rows = [
            {"utterance": f"u{n}", "words": 10, "errors": wrong, "characters": 50, "character_errors": wrong}
            for n, wrong in enumerate(map(int, drawn))
        ]
        write_decoding(root / decoding.folder, decoding.language, {"wer": 0.0}, rows)
    for language in config["corpora"]["talk"]["languages"]:
        write_text(root / f"data/talk/{language}/test/utt2spk", "".join(f"u{n} s{n % 20}\n" for n in range(80)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("claims")
    write_study(root, CONFIG, RATES)
    for run in model_runs(CONFIG):
        if run.mask_changes:
            row = {"step": 5, "kept": 300, "removed": 9, "regrown": 0 if run.method == VOID else 9}
            write_tsv(root / run.folder / "adaptations.tsv", tuple(row), [row])
    return root


@pytest.fixture(scope="module")
def found(root) -> dict[str, dict]:
    return {row["id"]: row for row in table.rows(Results(CONFIG, root))}


def test_a_true_and_a_false_claim_get_the_right_verdicts(found):
    true, false = found["S3-adaptive-lth"], found["S3-adaptive-imp"]
    assert (true["verdict"], false["verdict"]) == ("supported", "not supported")
    assert true["measured"] == pytest.approx(-25, abs=6) and true["relative"] == true["measured"]
    assert true["absolute"] == pytest.approx(-10, abs=2) and true["low"] < true["measured"] < true["high"] < 0
    assert 0 < true["detectable"] < 25 and true["unit"] == "%"
    assert (true["seeds"], true["utterances"], true["interval"]) == (3, 160, "seeds and utterances, by speaker")
    assert "lth-adaptive with lth: ctc on talk, en, fr" in true["compared"]
    assert "errors -2" in true["why"] and "claimed below 0" in true["why"] and "detectable " in true["why"]
    # The same errors were counted in characters, which are five times as many.
    assert true["cer_difference"] == pytest.approx(true["absolute"] / 5)
    assert true["cer_difference_low"] < true["cer_difference"] < true["cer_difference_high"] < 0
    assert found["S3-lap-worst"]["verdict"] == "supported" and found["S3-lth-imp"]["verdict"] == "not supported"
    # Adaptive LTH makes a quarter fewer errors than pathways, which need a stage more.
    less = found["S3-a-stage-less"]
    assert less["verdict"] == "supported" and less["compared"].endswith("stages of training 1 and 2")


def test_a_claim_says_how_long_each_side_was_trained(found):
    """100 steps of θ0; then 10 for each of two levels and for what they begin with; pathways of both for two levels."""
    said = "steps a language: 10 and 10; with what is behind them: 130 and"
    assert f"{said} 130" in found["S3-adaptive-lth"]["compared"]
    assert f"{said} 150; stages" in found["S3-a-stage-less"]["compared"]
    dense = "steps a language: 10 and 50; with what is behind them: 150 and 100"
    assert found["S3-pathways-dense"]["compared"].endswith(dense), "more than the dense model's"
    assert ": 5, 10, 10, 10, 10 and 10; with" in found["S3-lap-worst"]["compared"], (
        "LAP has one model for both languages"
    )


def test_no_worse_is_by_a_margin_that_is_a_key(root, found):
    assert found["S3-pathways-dense"]["verdict"] == "not supported"  # 10 points worse, a margin of 1
    for keys in ({"margin": 20.0}, {"margin": 60.0, "margin_unit": "relative"}):
        rows = table.rows(Results(CONFIG | {"claims": keys}, root))
        assert next(row for row in rows if row["id"] == "S3-pathways-dense")["verdict"] == "supported"


def test_what_rests_on_masks_that_never_changed_is_undecided(found):
    row = found["S3-dynamic"]
    assert row["measured"] < -30 and row["verdict"] == "undecided" and row["p_value"] is None
    assert row["why"].startswith(f"not a test: no mask took up a weight at any adaptation ({VOID})")


def test_where_systems_are_missing_it_is_not_tested_and_says_which(found):
    same = found["S3-dynamic-same-start"]
    assert same["verdict"] == "not tested" and same["why"] == "the study has no dynamic-lth-s700 of ctc on talk, en, fr"
    others = [row for row in found.values() if row["document"] in ("S1", "S2", "S4")]
    assert len(others) >= 14 and {row["verdict"] for row in others} == {"not tested"}
    assert found["S2-svcca"]["why"].startswith("the study lacks what it needs: an entry of `layers`")
    assert "a quarter of the bytes takes four" in found["one-for-all"]["why"]


def test_four_languages_of_one_set_of_weights_take_a_quarter_of_the_bytes(root):
    """θ of 1000 bytes and 96 bytes of masks, against four models of 1000 bytes: 0.274 times, and 0.275 is allowed.

    Sparse files are larger here.
    """
    codes = ["en", "fr", "it", "es"]
    entry = CONFIG["prune"][0]
    pathways = [{**entry["pathways"][0], "languages": codes}]
    config = CONFIG | {
        "study": "four",
        "corpora": {"talk": {"recipe": "espeak", "languages": codes}},
        "prune": [{**entry, "methods": ["lth"], "pathways": pathways}],
    }
    folder = root.parent / "four"
    write_study(folder, config, RATES | {"pathways-lth-s700": 0.1})
    for mask_bytes, verdict in ((96, "supported"), (104, "not supported")):
        sparse = {"sparse_bytes": 2000, "sparse_bytes_each": dict.fromkeys(codes, 1100)}
        sizes = {
            run.folder: {"bytes": 1000, "mask_bytes": mask_bytes}
            | (sparse if run.method.startswith("pathways") else {})
            for run in model_runs(config)
        }
        write_text(folder / "sizes.json", json.dumps(sizes))
        row = next(row for row in table.rows(Results(config, folder)) if row["id"] == "one-for-all")
        assert (row["verdict"], row["measured"]) == (verdict, (1000 + mask_bytes) / 4000)


def test_holms_correction_is_over_all_that_were_tested(found):
    tested = [row for row in found.values() if row["p_value"] is not None]
    assert len(tested) == 6
    # Half of the level is theirs; the other half has the verdicts of other tables.
    expected = [min(1.0, 2 * adjusted) for adjusted in holm([row["p_value"] for row in tested])]
    assert [row["adjusted"] for row in tested] == pytest.approx(expected)


def test_every_verdict_leads_to_its_files(root, found):
    for row in found.values():
        if row["verdict"] != "not tested":
            assert row["source"] and all((root / file).is_file() for file in row["source"].split()), row["id"]
    read = Results(CONFIG, root)
    list(table.rows(read))
    assert read.read <= set(claims.files(CONFIG))


def test_one_seed_is_called_an_interval_over_utterances(root):
    rows = {row["id"]: row for row in table.rows(Results(CONFIG | {"seeds": [1]}, root))}
    row = rows["S3-adaptive-lth"]
    assert (row["seeds"], row["interval"]) == (1, "utterances, by speaker")
    strings = [
        {key: "" if row.get(key) is None else str(row.get(key)) for key in table.COLUMNS} for row in rows.values()
    ]
    grids = table.view({"claims": strings})
    assert [grid.title[:3].rstrip(":") for grid in grids] == ["S1", "S2", "S3", "S4", "our"]
    assert "One seed: the intervals are over utterances" in grids[-1].caption


def test_rows_say_where_all_seeds_start_from_one_model(root):
    given = CONFIG["models"]["ctc"] | {"own": {"folder": "zoo"}, "training": AS_IT_IS}
    config = CONFIG | {"models": {"ctc": given}, "training": CONFIG["training"] | {AS_IT_IS: {"steps": 0}}}
    row = next(row for row in table.rows(Results(config, root)) if row["id"] == "S3-adaptive-lth")
    assert "ctc (one model for all seeds, which are those of what follows) on talk" in row["compared"]
    assert model_name(config | {"seeds": [1]}, "ctc") == model_name(CONFIG, "ctc") == "ctc"


def test_parts_hold_together_or_not_at_all():
    both = AllOf((Claim(below=1.0), Claim(below=0.0)))
    faster, slower = Ratio(0.8, 0.7, 0.9), Ratio(1.2, 1.1, 1.3)
    assert both.p_for((faster, Exact(-1.0))) == faster.p_below(1.0) < 0.025
    assert both.p_for((slower, Exact(-1.0))) > 0.9 and both.p_against((slower, Exact(-1.0))) < 0.05
    assert both.p_for((faster, Exact(1.0))) == 1.0 and both.p_against((faster, Exact(1.0))) == 0.0
    # At an end of the interval a one-sided p-value is 2.5 %.
    assert Ratio(0.8, 0.7, 0.9).p_below(0.9) == pytest.approx(0.025, abs=1e-3)
    assert Ratio(0.8, 0.7, 0.9).p_above(0.7) == pytest.approx(0.025, abs=1e-3)


def test_how_much_more_data_would_decide():
    """Detectable effects fall with the root of the data: at half of the distance it takes four times as much."""

    def needed(*parts, doubt=""):
        made = [Part("errors", Ratio(value, low, high), above, below) for value, low, high, above, below in parts]
        return table.times_as_much(Finding("a with b", made, "file", doubt=doubt))

    wide = Ratio(0.9, 0.7, 0.9 * 0.9 / 0.7).detectable
    ours = (0.9, 0.7, 0.9 * 0.9 / 0.7, float("-inf"), 1.0)
    assert needed(ours) == pytest.approx((wide / 0.1) ** 2) and wide > 0.1
    # Of two parts that hold, the one that takes more; one that does not hold is enough to refute.
    sure = (0.5, 0.49, 0.51, float("-inf"), 1.0)
    assert needed(ours, sure) == needed(ours) and needed(sure) == 1.0
    refuted = (1.2, 1.0, 1.44, float("-inf"), 1.0)
    assert needed(ours, refuted) == pytest.approx((Ratio(*refuted[:3]).detectable / 0.2) ** 2)
    assert needed((1.0, 0.8, 1.25, float("-inf"), 1.0)) is None and needed(ours, doubt="noisy") is None


TOY = """
from secateur.reporting.claims import Claim, Finding, Part
from secateur.statistics.verdicts import Exact


def toys(results, claim):
    files = " ".join(files_of_toys(results.config))
    yield Finding("one toy with none", [Part("toys", Exact(2.0), above=1.0, unit="times")], files)


def files_of_toys(config):
    return ["data/talk/en/test/utt2spk"]


FILES = f"{__name__}:files_of_toys"
CLAIMS = (Claim("toy", "DOCUMENT", "Toys are many.", "3 toys", f"{__name__}:toys", FILES, "a toy"),)
"""


@pytest.fixture
def drop(tmp_path, monkeypatch):
    """A function that puts one file with a toy claim where packages are found."""
    with dropping(tmp_path, monkeypatch, "claims", claims.clear) as put:
        yield lambda document: put(TOY.replace("DOCUMENT", document))


def test_one_file_adds_a_claim(drop, root):
    drop("ours")
    row = next(row for row in table.rows(Results(CONFIG, root)) if row["id"] == "toy")
    assert (row["verdict"], row["measured"], row["published"]) == ("supported", 2.0, "3 toys")
    assert "data/talk/en/test/utt2spk" in claims.files(CONFIG) and row["source"] == "data/talk/en/test/utt2spk"
    assert any(name.endswith("claims.toy") for name in claims.modules())


def test_an_unknown_document_is_named_with_those_there_are(drop):
    drop("S9")
    with pytest.raises(SecateurError, match=r"document of toy: expected one of S1, S2, S3, S4, ours; got S9"):
        claims.claims()
