"""Folders and files by short names, and other things in their place."""

import numpy as np
import pytest
import soundfile
import yaml
from test_user_data import ROOT, STUDY, clone, snakemake  # noqa: F401

from secateur.config.complete import complete
from secateur.core.errors import SecateurError
from secateur.models.tensors import load_tensors
from secateur.speech.corpora import asterisk, kaldi, librispeech, mls, split_names

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 377000000\n"
KALDI = {"recipe": "kaldi", "languages": ["en"]}
SSL = yaml.safe_load((ROOT / "workflow/studies/wavlm-superb.yaml").read_text())


def completed(**sections):
    """The default configuration with these sections, checked and completed."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name, section in sections.items():
        config[name] = config[name] | section if isinstance(config.get(name), dict) else section
    return complete(config)


def superb(**changes):
    """The study of WavLM with these values in its first entry."""
    return completed(corpora=SSL["corpora"], training=SSL["training"], ssl=[SSL["ssl"][0] | changes])


def test_the_home_folder_is_put_in_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lm.txt").write_text("hello\n")
    found = completed(
        corpora={
            "mine": KALDI | {"root": "~/data"},
            "ls": {"recipe": "librispeech", "languages": ["en"], "root": "~/LS"},
        },
        language_models={"word-lm": {"type": "transformer_lm", "training": "text", "text": {"en": "~/lm.txt"}}},
    )
    assert found["corpora"]["mine"]["root"] == f"{tmp_path}/data" and found["corpora"]["ls"]["root"] == f"{tmp_path}/LS"
    assert found["language_models"]["word-lm"]["text"] == {"en": f"{tmp_path}/lm.txt"}
    tasks = {"sid": {"source": "official", "root": "~/vox", "split_file": "~/iden.txt"},
             "pr": {"source": "official", "root": "~/LS", "lexicon": ["~/a.txt", "b.txt"]}}  # fmt: skip
    entry = superb(folder="~/wavlm", tasks=tasks)["ssl"][0]
    assert entry["folder"] == f"{tmp_path}/wavlm" and entry["tasks"]["pr"]["lexicon"] == [f"{tmp_path}/a.txt", "b.txt"]
    assert (entry["tasks"]["sid"]["root"], entry["tasks"]["sid"]["split_file"]) == (
        f"{tmp_path}/vox",
        f"{tmp_path}/iden.txt",
    )


@pytest.mark.parametrize("path", ["a {user}s data", "data/{}"])
def test_braces_in_a_path_are_told(path):
    with pytest.raises(
        SecateurError, match=r"^corpora\.mine\.root: '.*' has braces, which are Snakemake's; allowed: a link"
    ):
        completed(corpora={"mine": KALDI | {"root": path}})
    with pytest.raises(SecateurError, match=r"^ssl\[0\]\.folder: '.*' has braces"):
        superb(folder=path)


def test_the_workflow_says_it_too(clone):  # noqa: F811
    study = STUDY | {"corpora": {"mine": STUDY["corpora"]["mine"] | {"root": "{user}/data"}}}
    output = snakemake(clone, study, "-n", succeeds=False)
    assert "corpora.mine.root: '{user}/data' has braces" in output and "WildcardError" not in output


def test_an_id_of_a_hub_in_place_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = r"microsoft/wavlm-base: no such folder, but ssl\[0\]\.folder names it; it looks like an id of a hub .*" \
        r"`hf download microsoft/wavlm-base --local-dir wavlm-base`, and name that folder"  # fmt: skip
    with pytest.raises(SecateurError, match=message):
        superb(folder="microsoft/wavlm-base")
    with pytest.raises(SecateurError, match=r"corpora\.mine\.root names it; it looks like an id of a hub"):
        completed(corpora={"mine": KALDI | {"root": "openslr/librispeech_asr"}})
    (tmp_path / "microsoft").mkdir()
    assert superb(folder="microsoft/wavlm-base")["ssl"][0]["folder"] == "microsoft/wavlm-base"  # it may be made yet


RECIPES = {
    "asterisk": (asterisk, {}, "en"),
    "kaldi": (kaldi, {"splits": {"train": "train", "dev": "dev", "test": "test"}}, "en"),
    "librispeech": (librispeech, {"url": None, "train": ["a"], "dev": ["b"], "test": ["c"]}, "en"),
    "mls": (mls, {"url": None}, "fr"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_stands_in_the_place_of_its_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe, options, language = RECIPES[name]
    (tmp_path / "corpus.tar.gz").touch()
    (tmp_path / "link").symlink_to("/nowhere")
    for root, message in (
        (tmp_path / "nowhere", r"nowhere: no such folder, but corpora\.<name>\.root names it; mend the path"),
        ("facebook/multilingual_librispeech", r"looks like an id of a hub of models and data"),
        (
            tmp_path / "corpus.tar.gz",
            r"corpus\.tar\.gz: a file, but corpora\.<name>\.root must name a folder; unpack it",
        ),
        (tmp_path / "link", r"link: a link to /nowhere, which is not there"),
    ):
        with pytest.raises(SecateurError, match=message):
            recipe.fetch({"recipe": name, "root": str(root)} | options, language, tmp_path / "cache")


def test_pointers_of_git_lfs_are_told(tmp_path):
    message = r"model\.safetensors: a pointer of Git LFS, not the file itself; fetch it: `git lfs pull` in the clone"
    (tmp_path / "model.safetensors").write_text(LFS)
    for foreign in (True, False):
        with pytest.raises(SecateurError, match=message):
            load_tensors(tmp_path / "model.safetensors", foreign)
    (tmp_path / "lm.txt").write_text(LFS)
    lm = {"type": "transformer_lm", "training": "text", "text": {"en": str(tmp_path / "lm.txt")}}
    with pytest.raises(SecateurError, match=r"language_models\.word-lm\.text\.en: .*lm\.txt: a pointer of Git LFS"):
        completed(language_models={"word-lm": lm})
    (tmp_path / "asterisk-core-sounds-en_1_all.deb").write_text(LFS)
    (tmp_path / "asterisk-core-sounds-en-g722_1_all.deb").write_text(LFS)
    with pytest.raises(SecateurError, match=r"\.deb: a pointer of Git LFS"):
        asterisk.fetch({"recipe": "asterisk", "root": str(tmp_path)}, "en", tmp_path / "cache")


def make_mini_librispeech(root):
    for part in ("train-clean-5", "dev-clean-2", "my-own-test"):
        chapter = root / part / "1" / "2"
        chapter.mkdir(parents=True)
        soundfile.write(chapter / f"{part}-0.flac", np.full(16000, 0.1), 16000)
        (chapter / "1-2.trans.txt").write_text(f"{part}-0 HELLO THERE\n")


def test_any_split_folder_of_librispeech_will_do(tmp_path):
    make_mini_librispeech(tmp_path / "LS" / "LibriSpeech")
    entry = {"recipe": "librispeech", "languages": ["en"], "root": str(tmp_path / "LS"), "train": ["train-clean-5"],
             "dev": ["dev-clean-2"], "test": ["my-own-test"]}  # fmt: skip
    options = completed(corpora={"mini": entry})["corpora"]["mini"]
    assert split_names(options | {"recipe": "librispeech"}) == ["train", "dev", "my-own-test"]
    librispeech.fetch(options, "en", tmp_path / "cache")
    found = librispeech.prepare(options, "en", tmp_path / "cache")
    assert {split: [u.text for u in members] for split, members in found.splits.items()} == {
        split: ["hello there"] for split in ("train", "dev", "my-own-test")
    }
    with pytest.raises(
        SecateurError, match=r"no folder dev-clean or .* in it, only dev-clean-2, my-own-test, train-clean-5"
    ):
        librispeech.fetch(options | {"dev": ["dev-clean"]}, "en", tmp_path / "cache")
    with pytest.raises(SecateurError, match=r"corpora\.mini\.test: 'dev' is the name of another split"):
        completed(corpora={"mini": entry | {"test": ["dev"]}})
