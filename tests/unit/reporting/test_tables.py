"""Tables of the miniature study against numbers computed by hand."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from secateur.core.errors import SecateurError
from secateur.core.files import read_tsv, write_json
from secateur.reporting.render import write_tables
from secateur.reporting.results import Results
from secateur.reporting.table import header, measured, read_tables
from secateur.reporting.table import tables as all_tables
from secateur.study.runs import decodings, model_runs


@pytest.fixture(scope="module")
def tables(finished: Path) -> dict:
    return read_tables(finished / "tables")


def only(rows: list[dict], **axes: str) -> dict:
    found = [row for row in rows if all(row[axis] == value for axis, value in axes.items())]
    assert len(found) == 1, (axes, found)
    return found[0]


def test_every_table_has_exactly_its_columns(tables, finished, config):
    for table in all_tables():
        shown = (finished / "tables" / f"{table.name}.tsv").read_text().splitlines()[0]
        assert tuple(shown.split("\t")) == tuple(header(table, config))
        assert all((finished / "tables" / name).is_file() for name in table.outputs)
    wer = next(table for table in all_tables() if table.name == "wer")
    assert ",".join(header(wer, config)) == (
        "corpus,model,method,initialization,mask_changes,scope,sparsity_target,sparsity,seed,language,split,search,lm,"
        "unit,wer,wer_low,wer_high,cer,cer_low,cer_high,utterances,words,source"
    )


def test_wer_has_one_row_per_decoding_and_per_average(tables, config):
    single = [row for row in tables["wer"] if row["language"] != "avg"]
    assert len(single) == len(list(decodings(config))) == 24
    # 2 seeds x 3 searches x (the multilingual model, the monolingual ones together)
    assert len(tables["wer"]) - len(single) == 12


def test_a_row_of_error_rates_by_hand(tables, finished):
    row = only(tables["wer"], scope="all", seed="1", language="fr", search="beam_lm")
    # fr 2 + beam_lm 0 + seed 1 = 3 errors in the first utterance, 1 in the second, of 10 words
    assert (row["wer"], row["cer"]) == ("40.0", "8.0")  # of 10 words and 50 characters
    # Without the one the rate moves by 6 / 0.4 = 15 points, without the other by −6 / 0.6: a variance of
    # 2 (15² + 10²). Student's t of 1 degree of freedom, 12.71, on the scale of logarithms.
    factor = math.exp(12.706 * 650**0.5 / 40)
    assert [float(row[f"wer_{end}"]) for end in ("low", "high")] == pytest.approx([40 / factor, 40 * factor], rel=1e-2)
    assert (row["lm"], row["sparsity"], row["method"], row["words"]) == ("small", "0.0", "dense", "10")
    counts = [one for one in read_tsv(finished / row["source"]) if one["language"] == "fr"]
    assert [one["errors"] for one in counts] == ["3", "1"]


@pytest.mark.parametrize("scope", ["all", "each"])
def test_average_over_languages(tables, finished, scope):
    row = only(tables["wer"], scope=scope, seed="0", language="avg", search="greedy")
    # en 3 + 1 errors, fr 4 + 1 errors, of 10 words each
    assert float(row["wer"]) == pytest.approx((40 + 50) / 2)
    assert float(row["cer"]) == pytest.approx((8 + 10) / 2)
    assert (row["utterances"], row["words"]) == ("4", "20")
    assert float(row["wer_low"]) < 45 < float(row["wer_high"])
    sources = row["source"].split(" ")
    counts = [row for source in sources for row in read_tsv(finished / source) if row["utterance"] == "u0"]
    assert [(row["language"], row["errors"]) for row in counts] == [("en", "3"), ("fr", "4")]


def test_times_are_of_the_first_seed_and_of_all_languages_together(tables):
    row = only(tables["latency"], method="dense", scope="all", search="beam_lm")
    # 0.5 s for each of two utterances, which last 1 and 1.5 s.
    assert [float(row[column]) for column in ("rtf", "total_s", "lm_s")] == pytest.approx([0.4, 0.5, 0.25])
    assert (row["seed"], row["language"], row["split"], row["timed_as"]) == ("0", "avg", "dev", "")
    assert (row["threads"], row["device"], row["rounds"], row["utterances"]) == ("1", "cpu", "2", "2")
    again = [row for row in tables["latency"] if row["method"] == "A/A"]
    assert [(row["search"], row["ratio"], row["doubt"]) for row in again] == [
        ("greedy", "1.0", ""),
        ("beam", "1.0", ""),
    ]


def test_size_history_and_runs_cover_every_training(tables, config):
    assert len(tables["size"]) == len(list(model_runs(config))) == 6
    assert {row["source"] for row in tables["history"] if row["stage"] == "model"} == {
        f"{run.folder}/history.tsv" for run in model_runs(config)
    }
    lms = [row for row in tables["runs"] if row["stage"] == "lm"]
    assert [(row["model"], row["seed"], row["steps"]) for row in lms] == [("small", "0", "50"), ("small", "1", "50")]
    assert only(tables["runs"], stage="model", scope="en", seed="1")["seconds"] == "121.0"
    assert sum(row["stage"] == "decode" for row in tables["runs"]) == 24


def test_dropped_are_counted_by_reason(tables):
    assert only(tables["dropped"], language="en", reason="too short")["utterances"] == "2"
    assert only(tables["dropped"], language="en", reason="no speech")["utterances"] == "1"


def test_every_source_exists(tables, finished):
    for name, rows in tables.items():
        for row in rows:
            for source in row["source"].split():  # a claim that was not tested has none
                assert (finished / source).is_file(), (name, source)


def test_measured_sparsity_comes_from_the_size_file(study, config):
    run = replace(next(model_runs(config)), method="imp", sparsity=0.7)
    write_json(study / "sizes.json", {run.folder: {"sparsity": 0.69}})
    axes = Results(config, study).axes(run)
    assert (axes["sparsity_target"], axes["sparsity"], axes["method"]) == (0.7, 0.69, "imp")


def test_language_models_are_named(config, study):
    searches = config["searches"] | {"words": {"type": "lexicon", "order": 3}}
    results = Results(config | {"searches": searches}, study)
    assert [results.lm_label(search) for search in searches] == ["none", "none", "small", "3-gram"]


def test_a_corpus_that_no_model_is_trained_on_is_left_out(config, study):
    unused = config["corpora"] | {"unused": {"recipe": "espeak", "languages": ["nl"]}}
    tables = write_tables(config | {"corpora": unused}, study)
    assert {row["corpus"] for name in ("corpora", "sources", "dropped") for row in tables[name]} == {"talk_show"}


@pytest.mark.parametrize("name", ["score.json", "timing.tsv", "utterances.tsv", "sizes.json", "history.tsv"])
def test_a_missing_file_is_named(study, config, name):
    missing = next(path for path in sorted(study.rglob(name)) if "/lm/" not in str(path))
    missing.unlink()
    with pytest.raises(SecateurError, match=re.escape(str(missing))):
        write_tables(config, study)


def test_a_missing_key_is_named_with_its_file(study, config):
    score = next(iter(sorted(study.rglob("score.json"))))
    write_json(score, {"test": {"en": {"unit": "word"}}})
    with pytest.raises(SecateurError, match=r"score\.json: the keys \['utterances'"):
        write_tables(config, study)


def test_a_file_that_the_study_does_not_enumerate_is_ignored(study, config):
    before = write_tables(config, study)
    stray = study / "models/talk_show/ctc/all/dense/s000/seed9/decode/greedy"
    write_json(stray / "score.json", {"wer": 0.0})
    assert write_tables(config, study) == before


def test_markdown_shows_mean_and_deviation_over_seeds(tables, finished):
    text = (finished / "tables/wer.md").read_text()
    # multilingual, greedy: en 40 and 50, fr 50 and 60, avg 45 and 55; standard deviation 10 / sqrt(2)
    assert re.search(
        r"\| all languages +\| greedy +\| none +\| +45\.0 ± 7\.1 \| +55\.0 ± 7\.1 \| +50\.0 ± 7\.1 \|", text
    )
    assert "SYNTHETIC SPEECH" in text
    assert "400 training steps a model, 120–121 s by the clock, 90–91 s of CPU time (Model 9000). Seeds: 2" in text
    assert "Seeds: 2 (0, 1): mean ± standard" in text


def test_markdown_shows_the_interval_of_a_single_seed(study, config):
    write_tables(config | {"seeds": [0]}, study)
    text = (study / "tables/wer.md").read_text()
    assert re.search(r"\| each language alone +\| beam +\| none +\| +30\.0 \[0\.4, 2,07\d\.\d\] \|", text)
    assert "Seeds: 1 (0)." in text and "±" not in text


def test_latex_is_escaped(tables, finished):
    sources, wer = ((finished / f"tables/{name}.tex").read_text() for name in ("sources", "wer"))
    assert r"Prompts \& replies" in sources
    assert r"corpus talk\_show" in wer and r"beam\_lm" in wer and r"45.0 {\scriptsize $\pm$ 7.1}" in wer
    assert not re.search(r"(?<!\\)_", wer), "an underscore that LaTeX would take for a subscript"
    body = wer.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert {line.count(" & ") for line in body.strip().splitlines()} == {6}  # 7 columns
    assert wer.count(r"\begin{tabular}") == wer.count(r"\end{tabular}") == 2


def test_tables_are_the_same_bytes_twice(study, config):
    write_tables(config, study)
    first = {path.name: path.read_bytes() for path in (study / "tables").iterdir()}
    write_tables(config, study)
    assert first == {path.name: path.read_bytes() for path in (study / "tables").iterdir()}


def test_exactly_the_declared_files_are_read(finished, config, files_read):
    assert files_read(config, finished) == set(measured(config))
