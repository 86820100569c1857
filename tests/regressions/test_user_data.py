"""Faults that users' data and text once ran into: each test failed before its fault was mended."""

import logging
import os
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from secateur.core.errors import SecateurError
from secateur.core.files import write_text
from secateur.scripts import train_lm
from secateur.speech.tokens import Tokenizer, write_tokens

ROOT = Path(__file__).resolve().parents[2]
STUDY = {
    "study": "mine",
    "corpora": {"mine": {"recipe": "kaldi", "languages": ["en"], "root": "a user's root"}},
    "dense": [{"corpus": "mine", "model": "ctc"}],
}


@pytest.fixture
def clone(tmp_path):
    """The workflow without results, and a user's Kaldi data directories in a folder of their own."""
    for name in ("src", "workflow", "profiles", "envs", "pretrained"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    for split in ("train", "dev", "test"):
        for name, value in (("wav.scp", "a.wav"), ("text", "hello there"), ("utt2spk", "s")):
            write_text(tmp_path / "a user's root/en" / split / name, "".join(f"{split}-{n} {value}\n" for n in (1, 2)))
    return tmp_path


def snakemake(clone, study, *arguments, succeeds=True):
    """Run Snakemake on a study laid over config.yaml; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(clone / "src"), "PATH": path}
    write_text(clone / "study.yaml", yaml.safe_dump(study))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments, "--configfile", "study.yaml"]
    answer = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert (answer.returncode == 0) == succeeds, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def planned(clone, study, target):
    """The rules that a dry run announces, with the number of jobs."""
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", snakemake(clone, study, target, "-n"), re.MULTILINE))
    return {rule: int(count) for rule, count in jobs.items() if rule != "total"}


def test_edited_tables_are_read_again_and_options_of_preparing_fetch_nothing(clone):
    target = "results/mine/data/mine/en/source.json"
    snakemake(clone, STUDY, target)
    assert planned(clone, STUDY, target) == {}
    excluding = STUDY | {"corpora": {"mine": STUDY["corpora"]["mine"] | {"exclude": ["train-2"]}}}
    assert planned(clone, excluding, target) == {"prepare_mine": 1}
    text = clone / "a user's root/en/train/text"
    text.write_text(text.read_text().replace("train-1 hello there", "train-1 hello here"))
    assert planned(clone, STUDY, target) == {"fetch": 1, "prepare_mine": 1}
    snakemake(clone, STUDY, target)
    assert (clone / "results/mine/data/mine/en/train/text").read_text() == "train-1 hello here\ntrain-2 hello there\n"
    (clone / "a user's root/en/dev/segments").write_text("dev-1 dev-1 0 0.5\ndev-2 dev-2 0 0.5\n")
    assert planned(clone, STUDY, target) == {"fetch": 1, "prepare_mine": 1}


def test_a_root_that_is_not_there_is_explained_by_the_recipe(clone):
    shutil.rmtree(clone / "a user's root")
    output = snakemake(clone, STUDY, "data/mine/en/fetched.json", succeeds=False)
    assert "corpora.mine: a user's root: no such folder, but corpora.<name>.root names it; mend the path" in output
    assert "MissingInputException" not in output


def test_word_pieces_are_an_input_of_every_rule_that_needs_them(clone):
    (clone / "text.txt").write_text("Hello.\n")
    study = yaml.safe_load((ROOT / "workflow/studies/smoke.yaml").read_text())
    study["language_models"]["char-lm"]["text"] = {"fr": "text.txt"}
    output = snakemake(clone, study | {"tokens": {"type": "bpe"}}, "-n", "-p")
    pieces = "results/smoke/tokens/espeak/bpe.model"
    jobs = [job for job in re.split(r"^rule ", output, flags=re.MULTILINE)[1:]]
    with_pieces = {job.partition(":")[0] for job in jobs if pieces in job.partition("output:")[0]}
    wanted = {
        "validate", "train", "train_lm", "perplexity", "prune", "prune_adaptive", "prune_control",
        "regularise", "recover", "decode", "layer_search", "layer_similarity", "similarity", "timing",
        "head_importance", "head_times", "prune_lm", "sizes", "compose_channels", "compose_mask", "compose_recover",
    }  # fmt: skip
    assert with_pieces ^ wanted == set()
    (makes,) = [job for job in jobs if job.startswith("tokens:")]
    assert pieces in makes.partition("output:")[2]
    (lm,) = [job for job in jobs if job.startswith("train_lm:")]
    assert "--train text.txt" in lm and "--text-languages fr" in lm
    assert pieces not in snakemake(clone, study, "-n")


def test_a_language_models_own_text_is_normalised_and_has_to_fit_the_tokens(tmp_path, caplog):
    write_tokens(tmp_path, ["the cat sat on two mats", "been here"])
    (tmp_path / "en.txt").write_text("The CAT, on 2 mats!\n\n- - -\nBeen here…\n", encoding="utf-8")
    (tmp_path / "dev").write_text("d-1 the cat\n")
    arguments = Namespace(
        model={"type": "transformer_lm", "embedding": 8, "dim": 8, "heads": 1, "ffn": 8, "layers": 1, "dropout": 0.0},
        training=yaml.safe_load((ROOT / "config.yaml").read_text())["training"]["text"] | {"steps": 1},
        train=[tmp_path / "en.txt"],
        text_languages=["en"],
        tags={},
        dev=[tmp_path / "dev"],
        tokens=tmp_path / "tokens.txt",
        seed=1,
        device="cpu",
        code="",
        output=tmp_path / "lm",
    )
    caplog.set_level(logging.INFO)
    tokenizer = Tokenizer.load(arguments.tokens)
    assert train_lm.training_sentences(arguments, tokenizer) == ["the cat on two mats", "been here"]
    assert "2 sentences, 0.000 % of the tokens are <unk>" in caplog.text
    (tmp_path / "en.txt").write_text("The cat.\nWhy, a zebra!\n")
    with pytest.raises(SecateurError, match=r"en\.txt \(en\): .*% of the tokens are <unk>, .*'why a zebra'"):
        train_lm.run(arguments, {})
    assert not (tmp_path / "lm").exists()
