"""All systems side by side, and what pruning breaks, in a study of two utterances a language, by hand."""

import pytest

from secateur.core.files import read_json, read_tsv, write_json
from secateur.overview.candidates import Candidate, costs
from secateur.overview.regressions import Heard, compared, misses
from secateur.overview.study import lexicon_files
from secateur.reporting.render import write_tables
from secateur.reporting.results import Results
from secateur.reporting.systems import System, Utterance
from secateur.reporting.table import measured
from secateur.study.runs import Decoding, decodings, model_runs
from secateur.study.timing import families

PRUNING = {
    "pruning": {"short": {"levels": [0.7], "training": "retrain", "steps_per": "all"}},
    "training": {"retrain": {"steps": 100}, "acoustic": {"steps": 400}},
    "seeds": [0],
    "decode": {"splits": ["test", "dev"], "searches": ["greedy", "beam_lm"]},
    "prune": [
        {
            "corpus": "talk_show", "model": "ctc", "variant": None, "reference": "ctc", "schedule": "short",
            "searches": ["greedy"], "methods": ["lap", "imp"],
            "pathways": [{"languages": ["en", "fr"], "method": "pathways", "start": [["lap", 0.7]]}],
        }
    ],
}  # fmt: skip
LAP = {"sparsity": 0.7, "mask_bytes": 100, "sparse_bytes": 3000, "sparse_bytes_each": {"all": 3000}}
IMP = LAP | {"sparse_bytes": 2000}
PATHWAYS = LAP | {"sparse_bytes": 9000, "sparse_bytes_each": {"en": 4500, "fr": 4600}}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory, write_study, write_heard):
    base, build = write_study
    config = base | PRUNING
    root = build(tmp_path_factory.mktemp("systems") / "tiny", config)
    sizes = read_json(root / "sizes.json")
    for run in model_runs(config):
        masks = {"lap": LAP, "imp": IMP, "pathways-lap-s700": PATHWAYS}.get(run.method, {})
        sizes[run.folder] |= {"bytes": 8000} | masks
    write_json(root / "sizes.json", sizes)
    for decoding in decodings(config):
        if decoding.run.method == "lap" and decoding.split == "test":
            # The dense model has 3 and 1 errors in English, 4 and 1 in French.
            write_heard(root, decoding, {"": {"en": (5, 0), "fr": (4, 1)}[decoding.language]})
    return config, root, write_tables(config, root)


def rows_of(rows, **axes):
    return [row for row in rows if all(row[axis] == value for axis, value in axes.items())]


def test_a_row_of_every_system_with_test_and_dev(pruned):
    _, _, tables = pruned
    rows = {row["system"]: row for row in rows_of(tables["systems"], search="greedy")}
    assert set(rows) == {
        "ctc", "ctc, each language", "ctc, lap, 70 %", "ctc, imp, 70 %, each language", "ctc, pathways-lap-s700, 70 %",
    }  # fmt: skip
    assert {row["kind"] for row in rows.values()} == {"dense", "masks", "pathways"}
    row = rows["ctc, lap, 70 %"]
    # 5 of 10 words in both languages; 5 characters a word. On dev as the dense model: 4 and 5 errors.
    assert (float(row["wer"]), float(row["cer"]), float(row["dev_wer"])) == (50.0, 10.0, 45.0)
    assert float(row["cer_low"]) <= 10.0 <= float(row["cer_high"])
    # A level of fine-tuning comes before the first mask.
    assert row["steps"] == "600" and rows["ctc"]["steps"] == "400"
    assert row["split"] == "test" and row["languages"] == "en fr"


def test_bytes_are_of_the_smaller_file_for_all_languages(pruned):
    _, _, tables = pruned
    rows = {row["system"]: row for row in rows_of(tables["systems"], search="greedy")}
    stored = {name: (float(row["bytes"]), row["format"], row["models"]) for name, row in rows.items()}
    assert stored == {
        "ctc": (8000, "dense", "1"),
        "ctc, each language": (16000, "dense", "2"),
        "ctc, lap, 70 %": (3000, "sparse", "1"),
        "ctc, imp, 70 %, each language": (4000, "sparse", "2"),
        "ctc, pathways-lap-s700, 70 %": (8100, "dense", "1"),  # with its masks
    }
    assert float(rows["ctc, each language"]["macs_per_second"]) == 31.5e6
    (with_lm,) = rows_of(tables["systems"], search="beam_lm", system="ctc")
    assert float(with_lm["bytes"]) == 8000 + 5000000


def test_a_lexicon_and_its_n_gram_count_among_the_bytes(pruned):
    config, root, _ = pruned
    config = config | {"searches": config["searches"] | {"words": {"type": "lexicon", "order": 2}}}
    run = next(iter(model_runs(config)))
    systems = {"test": System({"en": Decoding(run, "test", "en", "words")})}
    assert lexicon_files(config) == []  # nothing is decoded by it
    sizes = read_json(root / "sizes.json")
    alone = costs(Results(config, root), Candidate("dense", "ctc", run, "greedy", systems))
    write_json(root / "sizes.json", sizes | {"lexicons/talk_show/words": {"parameters": 7, "nonzero": 7, "bytes": 500}})
    both = costs(Results(config, root), Candidate("dense", "ctc", run, "words", systems))
    write_json(root / "sizes.json", sizes)
    assert (both["bytes"] - alone["bytes"], both["parameters"] - alone["parameters"]) == (500, 7)
    decoded = config | {"decode": config["decode"] | {"searches": ["words"]}}
    decoded["dense"] = [entry | {"searches": ["words"]} for entry in config["dense"]]
    assert lexicon_files(decoded) == [f"lexicons/talk_show/words/{name}" for name in ("lexicon.txt", "ngram.arpa")]


def test_masked_models_take_the_time_of_the_dense_one_over(pruned):
    """0.25 s for each of two utterances of 1 and 1.5 s. Only the dense model was timed."""
    config, root, tables = pruned
    (family,) = families(config)
    dense = "models/talk_show/ctc/all/dense/s000/seed0"
    assert {row["system"] for row in read_tsv(root / family.file)} == {dense}
    rows = {row["system"]: row for row in rows_of(tables["systems"], search="greedy")}
    assert rows.pop("ctc")["timed"] == "in turns"
    for row in rows.values():
        assert row["timed"] == "in turns, as ctc" and row["source"].endswith(family.file)
        assert [float(row[name]) for name in ("rtf", "p50_s")] == pytest.approx([0.2, 0.25])
        assert 0 < float(row["rtf_low"]) < 1 / 6 < 1 / 4 < float(row["rtf_high"]), "two utterances tell little"
        assert (row["same"], row["doubt"]) == ("1.0", "")
    times = rows_of(tables["latency"], search="greedy")
    assert {(row["method"], row["scope"]): row["timed_as"] for row in times} == {
        ("dense", "all"): "", ("dense", "each"): "ctc", ("lap", "all"): "ctc", ("imp", "each"): "ctc",
        ("pathways-lap-s700", "all"): "ctc", ("A/A", ""): "",
    }  # fmt: skip
    assert {(row["total_s"], row["ratio"]) for row in times} == {("0.25", "1.0")}
    text = (root / "tables/systems.md").read_text(encoding="utf-8")
    assert "A/A: the same system timed twice" in text
    lines = [line for line in text.splitlines() if line.startswith("| A/A")]  # one a search
    assert len(lines) == 2 and all("ctc, timed twice" in line for line in lines)
    assert all("1.000 × [1.000, 1.000]" in line for line in lines)


def test_fronts_are_among_systems_with_the_same_search(pruned):
    _, _, tables = pruned
    rows = {row["system"]: row for row in rows_of(tables["systems"], search="greedy")}
    # 45 % of all but LAP, which has 50 % and the smallest file.
    fronts = {name for name, row in rows.items() if row["front_bytes"] == "true"}
    assert fronts == {"ctc, lap, 70 %", "ctc, imp, 70 %, each language"}
    assert rows["ctc, lap, 70 %"]["front_macs"] == "false"


def test_the_report_chooses_on_dev(pruned):
    _, root, _ = pruned
    text = (root / "tables/systems.md").read_text(encoding="utf-8")
    assert "The best system for some needs" in text and "half of its bytes" in text


def test_what_pruning_breaks(pruned):
    _, _, tables = pruned
    rows = rows_of(tables["regressions"], system="ctc, lap, 70 %")
    assert {row["against"] for row in rows} == {"ctc"} and {row["split"] for row in rows} == {"test"}
    (whole,) = rows_of(rows, level="all")
    assert [whole[column] for column in ("words", "dense_errors", "errors", "worse", "better")] == [
        "20", "9", "10", "1", "1",
    ]  # fmt: skip
    english, french = rows_of(rows, level="language")
    assert (english["name"], float(english["change"]), float(english["cer_change"])) == ("en", 10.0, 2.0)
    assert float(english["change_low"]) <= 10.0 <= float(english["change_high"])
    assert (french["name"], float(french["change"])) == ("fr", 0.0)
    speakers = {(row["language"], row["name"]): float(row["change"]) for row in rows_of(rows, level="speaker")}
    assert speakers == {
        ("en", "anna"): pytest.approx(100 * 2 / 6), ("en", "bert"): -25.0, ("fr", "anna"): 0.0, ("fr", "bert"): 0.0,
    }  # fmt: skip
    worse, better = rows_of(rows, level="utterance")
    assert (worse["name"], better["name"]) == ("u0", "u1")
    assert worse["reference"] == "w00 w01 w02 w03 w04 w05"
    assert worse["dense_hypothesis"] == "wrong wrong wrong w03 w04 w05"
    assert worse["hypothesis"] == "wrong wrong wrong wrong wrong w05"
    words = {row["name"]: (row["dense_errors"], row["errors"]) for row in rows_of(rows, level="word")}
    assert words == {"w03": ("0", "1"), "w04": ("0", "1"), "w10": ("1", "0")}
    # Dense models are not compared with themselves, nor those of one language with that of all.
    assert not rows_of(tables["regressions"], kind="dense")


def test_missed_words_are_those_left_out_or_replaced():
    found = [Utterance("u", "s", 4, 3, 7, 3, "a b a c", "a x a a")]
    assert misses(found) == {"b": 1, "c": 1}
    assert misses([Utterance("u", "s", 2, 1, 3, 2, "a b", "a")]) == {"b": 1}


def test_a_language_without_spaces_is_compared_by_characters():
    """One of five characters is missed more often; no word is the whole sentence."""
    counts = {"mine": ("今天天地好", 1), "dense": ("今天天气好", 0)}
    heard = {
        name: [Utterance("u", "s", 5, errors, 5, errors, "今天天气好", text)] for name, (text, errors) in counts.items()
    }
    missed = {name: misses(found) for name, found in heard.items()}
    rows = list(compared({"zh": Heard(heard["mine"], heard["dense"], missed["mine"], missed["dense"])}))
    words = {row["name"]: (row["words"], row["errors"]) for row in rows_of(rows, level="word")}
    assert words == {"气": (1, 1)}
    (whole,) = rows_of(rows, level="all")
    assert whole["change"] == whole["cer_change"] == 20.0


def test_only_the_extremes_have_rows():
    def said(name, errors):
        words = [f"{name}{number}" for number in range(4)]
        heard = " ".join(["x"] * errors + words[errors:])
        return Utterance(name, name, 4, errors, 20, errors, " ".join(words), heard)

    mine = [said(f"u{number:02}", number % 5) for number in range(20)]
    dense = [said(f"u{number:02}", 2) for number in range(20)]
    rows = list(compared({"en": Heard(mine, dense, misses(mine), misses(dense))}))
    counts = {level: sum(row["level"] == level for row in rows) for level in ("speaker", "word", "utterance")}
    assert counts == {"speaker": 10, "word": 10, "utterance": 6}
    assert rows_of(rows, level="utterance")[0]["errors"] == 4


def test_exactly_the_declared_files_are_read(pruned, files_read):
    config, root, _ = pruned
    assert files_read(config, root) == set(measured(config))
