"""The smoke study from end to end, and what runs again after which change."""

import csv
import json
import os
import re
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from clones import Clone, kill_tree, wait_for

from secateur.models.tensors import load_tensors
from secateur.pruning.engines.mask import Mask, kept, mask_file, union

SMOKE = "results/smoke"
STUDY = "workflow/studies/smoke.yaml"
LEXICONS = 3 if find_spec("flashlight") else 0
"""Decodings by lexicon search; none where Python is too new for it."""
DECODINGS = 46 + LEXICONS
LAYERS = {"decode_depths": 4, "decode_exits": 1, "decode_onnx": 1}
"""Jobs that decode sub-models: the hybrid model with two searches, without layers of its
decoder with one, the late model with one; the CTC model left early, and
exported."""
HEADS = {"decode_heads": 1}
"""Jobs that decode the hybrid model without sets of its heads."""
COMPOSED = {"compose_layers": 1, "compose_heads": 2, "compose_channels": 1, "compose_mask": 1, "compose_recover": 2}
"""Jobs that make compositions: all chains of the CTC model begin with the same one, the transducer has another."""
TIMING = {"timing": 3}
"""Jobs that time a family: the CTC model's, the hybrid one's with that of one layer, the transducer's."""
LM_JOBS = {
    "train_lm": 1, "prune_lm": 1, "perplexity": 2, "tune_lms": 1, "decode": 13, "decode_depths": 2, "decode_onnx": 1,
    **HEADS, **TIMING, "sizes": 1,
    "tables": 1, "figures": 1, "report": 1,
}  # fmt: skip
MODEL = f"{SMOKE}/models/espeak/ctc/all/dense/s000/seed1"


def launch(clone: Path, *arguments: str) -> str:
    """What the launcher and Snakemake say."""
    return Clone(clone).launch(*arguments)[1]


def planned(clone: Path, *arguments: str) -> dict[str, int]:
    """How many jobs of each rule a dry run announces, but for `all`."""
    return Clone(clone).planned(*arguments)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the tree, in a folder whose name has a space, with the smoke study finished."""
    folder = tmp_path_factory.mktemp("a clone") / "secateur"
    Clone.make(folder)
    assert f"Report: {folder / SMOKE / 'report/index.html'}" in launch(folder)
    return folder


def read_tsv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_every_row_of_the_tables_is_there_and_names_its_source(clone):
    rows = read_tsv(clone / SMOKE / "tables" / "wer.tsv")
    searches = {"greedy", "beam", "beam-lm"}
    own = {"ctc": ["lexicon"] if LEXICONS else [], "hybrid": ["beam-lm-pruned"]}
    dense = [row for row in rows if row["method"] == "dense" and row["language"] != "avg"]
    assert {(row["model"], row["scope"], row["language"], row["search"]) for row in dense} == {
        (model, scope, language, search)
        for model, scopes in (("ctc", ("all", "en", "fr")), ("hybrid", ("all",)))
        for scope in scopes
        for language in (("en", "fr") if scope == "all" else (scope,))
        for search in searches.union(own[model])
    } | {
        (model, "all", language, search)
        for model, searches in (("rnnt", ("stream", "stream-lm")), ("hybrid-depth1", ("greedy", "beam")))
        for language in ("en", "fr")
        for search in searches
    }
    for row in rows:
        if row["language"] == "avg":
            continue
        heard = [
            (int(one["errors"]), int(one["words"]))
            for one in read_tsv(clone / SMOKE / row["source"])
            if (one["split"], one["language"]) == (row["split"], row["language"])
        ]
        errors, words = (sum(counts) for counts in zip(*heard, strict=True))
        assert float(row["wer"]) == pytest.approx(100 * errors / words)
        assert float(row["wer_low"]) <= float(row["wer"]) <= float(row["wer_high"])
        lms = {"beam-lm": "char-lm", "stream-lm": "char-lm", "lexicon": "2-gram", "beam-lm-pruned": "char-lm-pruned"}
        assert row["lm"] == lms.get(row["search"], "none")
    pruned = {(row["method"], row["sparsity_target"]) for row in rows if row["method"] != "dense"}
    assert pruned == {
        ("imp", "0.5"), ("imp", "0.7"),
        ("lap", "0.5"), ("lap", "0.7"), ("lth-adaptive", "0.5"), ("lth-adaptive", "0.7"), ("random", "0.7"),
        ("longer", "0.0"), ("late-both", "0.0"), ("late-control", "0.0"), ("dense--recovered", "0.0"),
        ("heads-global-500--recovered", "0.0"),
        ("pathways-lap-s700", "0.7"), ("dynamic-lap-s500", "0.7"),
        ("compose--layers-greedy-1--headless-global-500--mask-lap-500", "0.0"),
        ("compose--layers-greedy-1--recover-retrain", "0.0"), ("compose--channels-500--recover-retrain", "0.0"),
    }  # fmt: skip
    for row in rows:
        assert float(row["sparsity"]) == pytest.approx(float(row["sparsity_target"]), abs=1e-4)
    pruning = ("schedule", "adaptations", "storage", "masks", "matrices", "budget")
    heads = ("heads", "importance", "lm", "combined", "streaming")
    encoders = ("superb", "structured", "gates", "blocks")
    whole = ("claims", "systems", "regressions", "comparisons", "head_comparisons", "layer_comparisons")
    for table in ("corpora", "latency", "size", "table1", "table2", "table3", *whole, *pruning, *heads, *encoders):
        assert (table == "table3") != bool(read_tsv(clone / SMOKE / "tables" / f"{table}.tsv"))


def test_layers_of_the_decoder_stand_beside_those_of_the_encoder(clone):
    tables = clone / SMOKE / "tables"
    rows = [row for row in read_tsv(tables / "layers.tsv") if row["model"] == "hybrid/decoder"]
    assert {(row["strategy"], row["depth"], row["search"]) for row in rows} == {
        ("whole", "2", "beam"), ("greedy", "1", "beam")
    }  # fmt: skip
    (kept,) = {row["layers_kept"] for row in rows if row["strategy"] == "greedy"}
    timed = {row["depth"] for row in read_tsv(tables / "depth_rtf.tsv") if row["measured_model"] == "hybrid/decoder"}
    assert kept in ("1", "2") and timed == {"1", "2"}
    system = next(row for row in read_tsv(tables / "systems.tsv") if row["sub_model"] == f"decoder {kept}")
    whole = next(
        row for row in read_tsv(tables / "systems.tsv") if (row["system"], row["search"]) == ("hybrid", "beam")
    )
    assert system["kind"] == "fewer layers" and system["timed"] == "in turns"
    assert 0 < int(float(system["bytes"])) < int(float(whole["bytes"]))
    assert system["macs_per_second"] == whole["macs_per_second"]


def test_pruned_weights_are_zero_where_their_mask_says_so(clone):
    """Exactly, in the files that are decoded, for every kind of mask."""
    for folder in (clone / SMOKE / "models/espeak/ctc").glob("*/*/s*/seed1"):
        masks = [Mask.load(file) for file in sorted((folder / "masks").glob("*.safetensors"))]
        if masks:
            union(masks).check(load_tensors(folder / "model.safetensors"))
            permille = int(folder.parent.name[1:]) or int(folder.parents[1].name.rpartition("-")[2])  # of a composition
            assert {mask.kept for mask in masks} == {kept(masks[0].total, permille / 1000)}
    lap = clone / SMOKE / "models/espeak/ctc/all/lap"
    assert Mask.load(mask_file(lap / "s700/seed1")) <= Mask.load(mask_file(lap / "s500/seed1"))


def test_every_run_is_recorded(clone):
    record = json.loads((clone / MODEL / "run.json").read_text())
    assert record["steps"] == 20
    assert record["seed"] == 1
    assert record["threads"] == 1
    assert record["seconds"] > 0
    assert re.fullmatch("[0-9a-f]{16}", record["arguments"]["code"])
    assert not (clone / MODEL / "resume" / "state.safetensors").exists()


@pytest.fixture
def edited(clone):
    """Edit a file of the clone; the old content comes back afterwards."""
    before: dict[Path, str] = {}

    def edit(name: str, old: str, new: str) -> None:
        path = clone / name
        before.setdefault(path, path.read_text())
        assert old in before[path]
        path.write_text(before[path].replace(old, new, 1))

    yield edit
    for path, text in before.items():
        path.write_text(text)


def test_nothing_changed_nothing_to_do(clone):
    assert planned(clone) == {}


def test_touched_files_and_clocks_that_differ_run_nothing(clone):
    """Small files and large ones, inputs of the first job and of the last."""
    touched = [*(clone / SMOKE / "data").rglob("text"), *(clone / SMOKE).rglob("tokens.txt")]
    touched += [*(clone / SMOKE).rglob("feats.ark"), *(clone / SMOKE).rglob("model.safetensors")]
    assert max(path.stat().st_size for path in touched) > 1e6
    before = {path: path.stat() for path in touched}
    for path in touched:
        path.touch()
    assert planned(clone) == {}
    for path in touched:
        os.utime(path, (time.time() + 3600,) * 2)  # written on a machine whose clock is an hour ahead
    assert planned(clone) == {}
    for path, stat in before.items():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_decoding_key_reruns_decoding_and_report(clone, edited):
    # The beam search is run by 5 models, by one's sub-models of either half, by five models of fewer heads or layers,
    # and it decides how long attention takes.
    edited(STUDY, "  beam: {beam: 2}", "  beam: {beam: 3}")
    assert planned(clone) == {
        "decode": 13, "decode_depths": 2, "timing": 2, "tune_lms": 1,
        "head_times": 1, "head_removals": 1, **HEADS, "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_the_learning_rate_reruns_training_and_what_depends_on_it(clone, edited):
    edited(STUDY, "acoustic: {", "acoustic: {learning_rate: 0.001, ")
    assert planned(clone) == {
        "train": 6, "regularise": 2, "layer_search": 6, "layer_similarity": 1, "similarity": 2, **LAYERS,
        "head_importance": 4, "head_times": 1, "head_removals": 1, **HEADS, "prune_heads": 2, "export_depth": 2,
        "recover": 2, "tune_lms": 1, **TIMING, **COMPOSED, "stream_delays": 1,
        "prune": 9, "prune_adaptive": 5, "prune_control": 7, "sizes": 1, "masks": 1,
        "decode": DECODINGS, "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_the_language_model_reruns_only_what_uses_it(clone, edited):
    edited(STUDY, "char-lm: {", "char-lm: {dropout: 0.2, ")
    assert planned(clone) == LM_JOBS


def test_snakemakes_own_report(clone):
    launch(clone, "--report", "snakemake-report.html")
    assert (clone / "snakemake-report.html").stat().st_size > 100_000


def test_a_label_of_the_report_reruns_only_the_report(clone):
    assert planned(clone, "--config", "report={title: Another title}") == {"report": 1}


def test_an_edited_algorithm_reruns_its_stage_and_what_follows(clone, edited):
    edited("src/secateur/models/transformer_lm.py", 'head=config["heads"]', 'head=config["heads"] * 1')
    assert planned(clone) == LM_JOBS


def test_an_edited_pruning_method_reruns_only_its_models(clone, edited):
    edited("src/secateur/pruning/engines/dynamic.py", "self.done[language] += 1", "self.done[language] += 1 + 0")
    # One engine adapts masks for one language and for several.
    assert planned(clone) == {
        "prune_adaptive": 5, "sizes": 1, "masks": 1, "decode": 5,
        "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_how_a_method_is_drawn_trains_nothing_again(clone, edited):
    edited("src/secateur/pruning/methods/dynamic.py", 'marker="^"', 'marker="v"')
    assert planned(clone) == {"tables": 1, "figures": 1, "report": 1}


def test_how_often_masks_adapt_reruns_only_adaptive_models(clone, edited):
    # Four levels of lth-adaptive, two of each language, and one dynamic pathways model of two languages.
    edited(STUDY, "adapt_every: 2", "adapt_every: 3")
    assert planned(clone) == {
        "prune_adaptive": 5, "sizes": 1, "masks": 1, "decode": 5,
        "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_an_edited_search_reruns_only_its_decodings(clone, edited):
    edited("src/secateur/decoding/search/ctc_greedy.py", "paths = model.ctc.argmax", "paths = +model.ctc.argmax")
    assert planned(clone) == {
        "decode": 23, "decode_depths": 2, "decode_exits": 1, "timing": 2,
        "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_a_late_regulariser_reruns_only_its_model_and_what_comes_of_it(clone, edited):
    edited(STUDY, "rise: 4", "rise: 3")
    assert planned(clone) == {
        "regularise": 1, "layer_search": 1, "similarity": 1, "decode_depths": 1, "timing": 1,
        "decode": 1, "sizes": 1, "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_another_strategy_is_searched_and_all_depths_are_decoded_again(clone, edited):
    edited(STUDY, "strategies: [truncate]", "strategies: [truncate, random]")
    assert planned(clone) == {
        "layer_search": 1, "decode_depths": 1, "sizes": 1, "tables": 1, "figures": 1, "report": 1
    }  # fmt: skip


def test_a_further_share_of_heads_is_removed_and_all_sets_are_decoded_again(clone, edited):
    edited(STUDY, "shares: [0.5, 1.0]", "shares: [0.5, 0.75, 1.0]")
    # How stable an order is depends on the shares, so importances are estimated again, and what comes of them.
    assert planned(clone) == {
        "head_importance": 2, "head_removals": 1, **HEADS, "timing": 1, "prune_heads": 2, "export_depth": 1,
        "layer_search": 1, "recover": 1, "decode": 4, "sizes": 1, "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_a_task_of_self_supervised_encoders_reruns_only_its_scores(clone, edited):
    edited(STUDY, "pr: {languages: [en], training: {steps: 5", "pr: {languages: [en], training: {steps: 6")
    assert planned(clone) == {"superb": 6, "tables": 1, "figures": 1, "report": 1}


def test_a_students_sparsity_reruns_only_that_student(clone, edited):
    edited(STUDY, "distil: [1, 2], sparsity: 0.5", "distil: [1, 2], sparsity: 0.6")
    assert planned(clone) == {"ssl_prune": 1, "superb": 1, "ssl_speed": 2, "tables": 1, "figures": 1, "report": 1}


def test_another_pretraining_reruns_the_teacher_and_its_students(clone, edited):
    edited(STUDY, "{clusters: 6, training: pretrain", "{clusters: 7, training: pretrain")
    assert planned(clone) == {
        "ssl_targets": 1, "ssl_pretrain": 1, "ssl_prune": 1, "ssl_distill": 1, "superb": 4, "ssl_speed": 2,
        "tables": 1, "figures": 1, "report": 1,
    }  # fmt: skip


def test_an_edited_corpus_reruns_only_that_corpus(clone, edited):
    edited("src/secateur/speech/corpora/asterisk.py", "MIN_SECONDS = 0.2", "MIN_SECONDS = 0.25")
    assert planned(clone) == {}


def test_comments_docstrings_and_layout_rerun_nothing(clone, edited):
    edited("src/secateur/training/loop.py", "import logging", "# A comment.\nimport logging")
    edited("src/secateur/decoding/recognize.py", '"""', '"""Other words. ')
    edited("src/secateur/scripts/train.py", '"""Train', '"""Please train')
    assert planned(clone) == {}


def test_a_wrong_key_is_one_clear_message(clone):
    status, output = Clone(clone).launch("-n", "--config", "decode={search: [greedy]}", check=False)
    assert status != 0
    assert "decode.search: unknown key (did you mean 'searches'?); allowed: searches, splits" in output
    assert "Traceback" not in output


def test_a_strangers_data_directory_runs_by_configuration_alone(clone):
    """Kaldi data directories with nothing but wav.scp, text and utt2spk, and a study that lies outside the clone."""
    folder = clone.parent / "stranger's"
    for language in ("en", "fr"):
        for split in ("train", "dev", "test"):
            source, target = clone / SMOKE / "data/espeak" / language / split, folder / "data" / language / split
            target.mkdir(parents=True)
            for name in ("text", "utt2spk"):
                shutil.copy(source / name, target)
            lines = [line.split(maxsplit=1) for line in (source / "wav.scp").read_text().splitlines()]
            (target / "wav.scp").write_text("".join(f"{key} {clone / path}\n" for key, path in lines))
    (folder / "mine.yaml").write_text(f"""
study: mine
corpora:
  mine: {{recipe: kaldi, languages: [en, fr], root: "{folder / "data"}"}}
models:
  ctc:
    pretrained: null
    type: ctc
    training: acoustic
    input: stack
    stack: 3
    encoder: {{type: conformer, layers: 2, dim: 32, heads: 2, ffn: 64, kernel: 7}}
    intermediate_ctc: {{layers: [1]}}
training:
  acoustic: {{steps: 5, warmup: 2, evaluate_every: 5}}
dense: [{{corpus: mine, model: ctc}}]
prune: []
layers: []
exits: []
compose: []
heads: []
ssl: []
decode: {{searches: [greedy]}}
""")
    Clone(clone).launch(study=str(folder / "mine.yaml"))
    rows = read_tsv(clone / "results/mine/tables/wer.tsv")
    assert {row["language"] for row in rows} == {"en", "fr", "avg"}
    corpora = read_tsv(clone / "results/mine/tables/corpora.tsv")
    assert {row["utterances"] for row in corpora if row["split"] == "train"} == {"30"}


def test_killed_in_training_the_next_run_resumes_and_ends_with_the_same_bytes(clone, edited):
    """SIGKILL of everything in the middle of training; then the same command again, and nothing else."""
    edited(STUDY, "acoustic: {steps: 20", "acoustic: {checkpoint_seconds: 0, steps: 600")
    folder = clone / SMOKE / "models/espeak/ctc/en/dense/s000/seed1"
    target = str(folder.relative_to(clone) / "model.safetensors")
    launch(clone, target)
    whole = (folder / "model.safetensors").read_bytes()
    shutil.rmtree(folder)
    process = Clone(clone).start(target)
    wait_for(lambda: (folder / "resume" / "state.safetensors").exists() or process.poll() is not None)
    time.sleep(0.3)
    kill_tree(process.pid)
    process.communicate()
    assert not (folder / "model.safetensors").exists()
    launch(clone, target)
    log = (clone / "logs/smoke/models/espeak/ctc/en/dense/s000/seed1.log").read_text()
    assert re.search(r"resumed at step [1-9]\d*", log), log
    assert (folder / "model.safetensors").read_bytes() == whole
