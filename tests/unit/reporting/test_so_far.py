"""The page of what is there so far: which parts, from which files, and that it is not taken for the report."""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from tiny import CTC, TOKENS, run_script, script

from secateur.core import progress
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_text
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.reporting.table import measured
from secateur.study.runs import lexicon_folder, model_runs
from secateur.watch import parts
from secateur.watch.plan import Plan, PlannedJob
from secateur.watch.work import LIGHT, Work

ENTRY = {"corpus": "talk_show", "model": "ctc", "variant": None, "schedule": "s", "searches": ["greedy"]}


def names(found):
    return [part.name for part in found]


def pruned(config):
    """The tiny study with two methods and a model of its own for each language."""
    entry = ENTRY | {"reference": None, "methods": ["random", "longer"], "pathways": []}
    small = config["models"] | {"small": config["models"]["ctc"]}
    dense = [{"corpus": "talk_show", "model": "ctc", "scopes": ["all"], "searches": ["greedy", "beam_lm"]}]
    dense.append({"corpus": "talk_show", "model": "small", "scopes": ["each"], "searches": ["greedy"]})
    schedule = {"s": {"levels": [0.5], "training": "acoustic"}}
    return config | {"prune": [entry], "models": small, "dense": dense, "pruning": schedule}


def test_the_parts_of_a_study_are_its_dense_models_and_its_methods(config):
    whole = pruned(config)
    found = parts.parts(whole)
    dense = ["dense ctc greedy", "dense ctc beam_lm", "dense small (each) greedy"]
    assert names(found) == [*dense, "random of ctc", "longer of ctc"]
    assert parts.reduced(whole, found) == whole, "all parts are the study itself"
    one = parts.reduced(whole, [found[0], found[4]])
    assert one["dense"] == [whole["dense"][0] | {"searches": ["greedy"]}]
    assert one["prune"] == [whole["prune"][0] | {"methods": ["longer"]}]
    assert set(measured(one)) < set(measured(whole)) and whole["prune"][0]["methods"] == ["random", "longer"]


def test_files_belong_to_the_part_that_needs_them(config):
    found = parts.files_by_part(pruned(config), "results/tiny")
    assert not any("/longer/" in file for file in found["random of ctc"])
    assert any("/random/" in file for file in found["random of ctc"])
    assert not any(file.endswith(parts.OF_ALL) for files in found.values() for file in files)
    whole = {f"results/tiny/{file}" for file in measured(pruned(config)) if file not in parts.OF_ALL}
    timed = {file for file in whole if file.startswith(f"results/tiny/{parts.TIMES}")}
    assert timed and set().union(*found.values()) == whole - timed, "times come last, and nothing waits for them"


def test_a_part_is_there_when_all_its_files_are(config):
    whole = pruned(config)
    files = parts.files_by_part(whole, "")
    there = set()

    def finished():
        return names(parts.finished(whole, lambda file: f"/{file}" in there))

    assert finished() == []
    there |= {*files["random of ctc"], *files["dense small (each) greedy"]}
    assert finished() == ["dense small (each) greedy"], "pruned models stand beside dense ones"
    there |= {*files["dense ctc greedy"]}
    assert finished() == ["dense ctc greedy", "dense small (each) greedy"], "decoded by each search"
    there |= {*files["dense ctc beam_lm"]}
    assert finished() == ["dense ctc greedy", "dense ctc beam_lm", "dense small (each) greedy", "random of ctc"]
    there -= {*files["dense small (each) greedy"]} - {*files["dense ctc beam_lm"]}
    assert finished() == ["dense ctc greedy", "dense ctc beam_lm", "random of ctc"], "of another model"
    there.remove(files["dense ctc greedy"][0])
    assert finished() == ["dense ctc beam_lm"]


@pytest.fixture
def begun(study, config, monkeypatch, tmp_path):
    """The tiny study as a run whose plan has one job, that of a decoding; its sizes are as they were made up."""
    root = tmp_path / "results" / "tiny"
    root.parent.mkdir()
    shutil.move(study, root)
    logs = tmp_path / "logs" / "tiny"
    logs.mkdir(parents=True)
    made = next(file for file in measured(config) if file.endswith("all/dense/s000/seed0/decode/greedy/utterances.tsv"))
    job = PlannedJob(
        1, "decode", "decode", "logs/tiny/a.log", (), 1, 0, Work("a", LIGHT, 1, 1), (f"results/tiny/{made}",)
    )
    plan = Plan("tiny", time.time(), 2, True, 1, "here", (job,))
    progress.write(logs / "plan.json", asdict(plan))
    progress.write(logs / "configuration.json", config)

    def measure(config, folder):
        for name in parts.OF_ALL:
            shutil.copy(root / name, folder / name)

    monkeypatch.setattr(script("so_far"), "measure", measure)
    return tmp_path


def test_the_page_has_the_tables_of_the_report_and_says_that_it_is_not_it(begun, config):
    told = begun / "logs/tiny/a.progress.json"
    told.write_text(json.dumps({"started": 1, "ended": 2}))
    root = begun / "results" / "tiny"
    before = contents(root)
    run_script("so_far", "--directory", begun)
    page = (root / "so-far/index.html").read_text(encoding="utf-8")
    assert "The run is not finished." in page and "<title>Not finished: A tiny study" in page
    assert 'src="status.html"' in page and "dense ctc (all, each)" in page
    (root / "so-far").rename(begun / "so-far")
    assert contents(root) == before, "nothing that the report is made of is touched"
    run_script("tables", "--study", json.dumps(config), "--root", root)
    run_script("figures", "--tables", root / "tables", "--output", root / "figures")
    run_script("report", "--config", json.dumps(config), "--root", root, "--output", root / "report/index.html")
    assert contents(root / "tables") == contents(begun / "so-far/tables")
    report = (root / "report/index.html").read_text(encoding="utf-8")
    assert "not finished" not in report.lower() and "status.html" not in report


def test_what_this_run_will_make_anew_is_not_there_yet(begun):
    run_script("so_far", "--directory", begun)
    page = (begun / "results/tiny/so-far/index.html").read_text(encoding="utf-8")
    assert "dense ctc (all, each) beam" in page and "dense ctc (all, each) greedy" not in page


def test_without_a_decoded_model_there_is_no_page(begun):
    for file in (begun / "results/tiny/models").rglob("score.json"):
        file.unlink()
    with pytest.raises(SecateurError, match="no dense model has been decoded yet"):
        run_script("so_far", "--directory", begun)


def test_a_page_without_times_has_the_other_tables(begun):
    shutil.rmtree(begun / "results/tiny/timing")
    run_script("so_far", "--directory", begun)
    folder = begun / "results/tiny/so-far"
    rows = [row for row in read_tsv(folder / "tables/latency.tsv") if row["rtf"]]
    assert not rows and read_tsv(folder / "tables/wer.tsv")


def test_models_and_lexicons_are_measured_with_the_code_of_the_report(config, tmp_path):
    searches = {"greedy": {"type": "ctc_greedy"}, "words": {"type": "lexicon", "beam": 5, "order": 2}}
    dense = [{"corpus": "talk_show", "model": "ctc", "scopes": ["all"], "searches": [*searches]}]
    own = {"dense": dense, "searches": searches, "seeds": [0], "tokens": {"type": "char"}, "pruning": {}}
    whole = config | own | {"models": {"ctc": CTC | {"training": "acoustic"}}}
    root = tmp_path / "results/tiny"
    (run,) = model_runs(whole)
    save_model(root / "so-far" / run.folder, build_model(CTC, TOKENS), CTC, TOKENS)
    write_text(root / "tokens/talk_show/tokens.txt", "\n".join(TOKENS) + "\n")
    for language, text in (("en", "a b"), ("fr", "ab b")):
        write_text(root / f"data/talk_show/{language}/train/text", f"u {text}\n")
    script("so_far").measure(whole, root / "so-far")
    found = read_json(root / "so-far/sizes.json")
    words = root / "so-far" / lexicon_folder("talk_show", "words")
    assert found.keys() == {run.folder, lexicon_folder("talk_show", "words")}
    assert found[run.folder]["bytes"] > 0 and (words / "lexicon.txt").read_text() == "a\ta\nab\ta b\nb\tb\n"
    assert read_json(root / "so-far/masks.json") == {"overlaps": [], "matrices": []}
    assert not (root / "lexicons").exists(), "those of the report are left alone"


def contents(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
