"""Models that a study brings along: what is made of their entries, and what is said of folders that cannot be used."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import torch
import yaml
from safetensors.torch import load_file, save_file
from snakemake.utils import update_config
from tiny import CTC, LM, TOKENS, hybrid

from secateur.config.complete import complete
from secateur.core.errors import SecateurError
from secateur.layers import study as layers
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.study import commands, own, runs
from secateur.study.paths import Paths

STUDY = {
    "study": "mine",
    "corpora": {"c": {"recipe": "espeak", "languages": ["en"]}},
    "models": {"mine": {"pretrained": ""}},
    "training": {"short": {"steps": 10, "learning_rate": 1e-3, "average_best": 0}},
    "searches": {"greedy": {"type": "ctc_greedy"}, "beam": {"type": "beam", "beam": 2}},
    "pruning": {"halves": {"levels": [0.5], "training": "short", "adapt_every": 5}},
    "dense": [{"corpus": "c", "model": "mine"}],
    "prune": [{"model": "mine", "schedule": "halves", "methods": ["lap"]}],
    "layers": [{"model": "mine"}],
    "heads": [{"model": "mine"}],
    "decode": {"searches": ["greedy"]},
}


def saved(folder: Path, config: dict = CTC, tokens: list[str] = TOKENS) -> Path:
    torch.manual_seed(1)
    save_model(folder, build_model(config, tokens), config, tokens)
    return folder


def study(folder: Path, **changes) -> dict:
    found = copy.deepcopy(STUDY) | changes
    found["models"]["mine"]["pretrained"] = str(folder)
    return found


def test_the_entry_becomes_what_the_folder_says_and_everything_may_name_it(tmp_path):
    config = complete(study(saved(tmp_path / "model")))
    assert config["models"]["mine"]["encoder"] == CTC["encoder"]
    assert config["layers"][0]["depths"] == [2, 1]
    run = next(runs.model_runs(config))
    assert runs.steps(config, run) == 0, "it is decoded as it is"
    assert [found.method for found in runs.model_runs(config)][:2] == ["dense", "lap"]


def test_its_corpus_gets_its_features_token_list_and_alphabet(tmp_path):
    tokens = ["<blank>", "<unk>", "<space>", "A", "B", "’", "<sos/eos>"]
    folder = saved(tmp_path / "model", tokens=tokens)
    paths = Paths(complete(study(folder)))
    at = SimpleNamespace(corpus="c", language="en", split="train", model="mine", scope="all", seed=1)
    assert commands.tokens(paths, at).options == {"pretrained": str(folder)}
    assert commands.features(paths, at).options["front_end"] == {"front_end": "fbank", "mel_bins": 20}
    assert commands.prepare(paths, at).options["alphabet"] == {"case": "upper", "apostrophe": "’"}
    taken = commands.import_model(paths, at)
    assert taken.options["pretrained"] == str(folder) and taken.options["training"] is None
    assert {str(folder / "model.json"), str(folder / "model.safetensors")} <= set(taken.inputs)


def test_it_may_be_trained_on(tmp_path):
    config = study(saved(tmp_path / "model"))
    config["models"]["mine"]["training"] = "short"
    config = complete(config)
    assert runs.steps(config, next(runs.model_runs(config))) == 10
    paths, at = Paths(config), SimpleNamespace(corpus="c", model="mine", scope="all", seed=1)
    assert commands.import_model(paths, at).options["training"]["steps"] == 10


def test_a_language_model_must_have_the_same_token_list(tmp_path):
    lm = saved(tmp_path / "lm", LM)
    searching = {
        "searches": STUDY["searches"] | {"lm": {"type": "beam", "beam": 2, "lm": "words"}},
        "decode": {"searches": ["greedy", "lm"]},
        "language_models": {"words": {"pretrained": str(lm)}},
    }
    config = complete(study(saved(tmp_path / "model"), **copy.deepcopy(searching)))
    assert config["language_models"]["words"]["type"] == "transformer_lm"
    other = saved(tmp_path / "other", tokens=[*TOKENS[:-1], "d", TOKENS[-1]])
    with pytest.raises(
        SecateurError, match=r"language_models\.words\.pretrained: .* another token list than models\.m"
    ):
        complete(study(other, **copy.deepcopy(searching)))
    with pytest.raises(SecateurError, match="holds a Transformer language model; it belongs in language_models"):
        complete(study(lm))


def test_models_that_differ_in_what_they_read_cannot_share_a_corpus(tmp_path):
    config = study(saved(tmp_path / "model"))
    config["models"]["second"] = {"pretrained": str(saved(tmp_path / "second", CTC | {"features": 40}))}
    config["dense"].append({"corpus": "c", "model": "second"})
    with pytest.raises(SecateurError, match=r"models\.second: reads or writes features of another kind than models\.m"):
        complete(config)
    config["corpora"]["d"] = config["corpora"]["c"]
    config["dense"][1]["corpus"] = "d"
    complete(config)


def nothing(folder):
    (folder / "model.json").unlink()
    (folder / "model.safetensors").unlink()


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")


def other_type(folder):
    description = json.loads((folder / "model.json").read_text())
    description["config"]["type"] = "zipformer"
    (folder / "model.json").write_text(json.dumps(description))


def no_blank(folder):
    description = json.loads((folder / "model.json").read_text())
    description["tokens"][0] = "_"
    (folder / "model.json").write_text(json.dumps(description))


LIGHT = {
    "no description": (
        nothing,
        "not a folder of a model that can be read; models.mine.pretrained may name: one of this",
    ),
    "no weights": (no_weights, "has model.json, but no model.safetensors; copy it there"),
    "a pointer": (pointer, "a pointer of Git LFS, not the file itself"),
    "another type": (other_type, "a model of type 'zipformer', which cannot be pruned here; expected one of"),
    "no blank": (no_blank, "the token list has no <blank>"),
}


@pytest.mark.parametrize("name", LIGHT)
def test_a_folder_that_cannot_be_used_is_one_line_while_parsing(name, tmp_path):
    spoil, message = LIGHT[name]
    spoil(saved(tmp_path / "model"))
    with pytest.raises(SecateurError) as found:
        complete(study(tmp_path / "model"))
    assert message in str(found.value) and "\n" not in str(found.value)


def test_a_path_that_is_no_folder_is_named_with_its_key(tmp_path):
    with pytest.raises(SecateurError, match=r"no such folder, but models\.mine\.pretrained names it"):
        complete(study(tmp_path / "gone"))


def test_a_folder_of_an_architecture_that_is_not_read_is_named_with_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2-bert", "architectures": ["Wav2Vec2BertForCTC"]}')
    with pytest.raises(SecateurError, match=r"config\.json: the type of the model is 'wav2vec2-bert'; read here: "):
        complete(study(tmp_path))


def change(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    save_file(edit(tensors), folder / "model.safetensors")


def nan(folder):
    change(folder, lambda tensors: tensors | {"ctc.ctc_lo.bias": tensors["ctc.ctc_lo.bias"] * float("nan")})


def narrower(folder):
    change(folder, lambda tensors: tensors | {"ctc.ctc_lo.bias": tensors["ctc.ctc_lo.bias"][1:].clone()})


def leftover(folder):
    change(folder, lambda tensors: tensors | {"more": torch.zeros(1)})


def truncated(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


HEAVY = {
    "not a number": (nan, "ctc.ctc_lo.bias holds NaN or infinity"),
    "another shape": (narrower, "ctc.ctc_lo.bias is (6,), expected (7,)"),
    "too much": (leftover, "does not fit the configuration beside it: has more too many"),
    "half a file": (truncated, "not a whole safetensors file"),
}


@pytest.mark.parametrize("name", HEAVY)
def test_weights_that_cannot_be_used_are_one_line_before_any_job(name, tmp_path):
    spoil, message = HEAVY[name]
    spoil(saved(tmp_path / "model"))
    config = complete(study(tmp_path / "model"))
    with pytest.raises(SecateurError) as found:
        own.inspect(config, tmp_path / "records")
    assert str(found.value).startswith("models.mine.pretrained: ")
    assert message in str(found.value) and "\n" not in str(found.value)


def test_names_with_a_prefix_are_understood_and_a_good_folder_is_looked_at_once(tmp_path, capfd):
    folder = saved(tmp_path / "model")
    change(folder, lambda tensors: {f"module._orig_mod.{name}": value for name, value in tensors.items()})
    config = complete(study(folder))
    own.inspect(config, tmp_path / "records")
    said = capfd.readouterr().err
    assert f"models.mine: {folder / 'model.safetensors'}: all names begin with 'module.', which is left out" in said
    assert said.count("which is left out") == 2, "of either prefix"
    own.inspect(config, tmp_path / "records")
    assert capfd.readouterr().err == ""


def test_only_models_that_something_is_made_of_are_looked_at(tmp_path, capfd):
    """A study that is laid over config.yaml has the models of that, too."""
    given = study(saved(tmp_path / "model"))
    for section, name, config in (("models", "other", CTC), ("language_models", "words", LM)):
        given.setdefault(section, {})[name] = {"pretrained": str(saved(tmp_path / name, config))}
    given["searches"] = given["searches"] | {"with-lm": {"type": "beam", "beam": 2, "lm": "words"}}
    own.inspect(complete(given), tmp_path / "records")
    assert "models.mine: " in (said := capfd.readouterr().err) and "other" not in said and "words" not in said
    given["dense"][0]["searches"] = ["greedy", "with-lm"]
    own.inspect(complete(given), tmp_path / "records")
    assert "language_models.words: " in capfd.readouterr().err


def kaldi(root):
    """An entry of `corpora`, of data directories in English that are written."""
    for split in ("train", "dev", "test"):
        data = root / split
        data.mkdir(parents=True)
        (data / "text").write_text("u1 quick foxes jump\nu2 a b\n")
        (data / "wav.scp").write_text("u1 u1.wav\nu2 u2.wav\n")
        (data / "utt2spk").write_text("u1 s\nu2 s\n")
    return {"recipe": "kaldi", "languages": ["en"], "root": str(root)}


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("", r"corpora\.c: .*data: no such folder, but corpora.<name>.root names it; mend the path"),
        ("dev", r"corpora\.c: .*data: neither en/dev nor dev in it, which the split 'dev' needs; make the data"),
        ("test/utt2spk", r"corpora\.c: .*utt2spk: no such file; a data directory needs it"),
    ],
)
def test_data_that_is_not_there_is_one_line_before_any_job(gone, message, tmp_path):
    given = study(saved(tmp_path / "model"), corpora={"c": kaldi(tmp_path / "data")})
    (tmp_path / "data" / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(SecateurError, match=message) as found:
        own.inspect(complete(given), tmp_path / "records")
    assert "\n" not in str(found.value)


def test_transcripts_in_other_letters_are_refused_before_any_job(tmp_path):
    folder, corpus = saved(tmp_path / "model"), kaldi(tmp_path / "data")
    with pytest.raises(SecateurError, match=r"lacks 1\d of the 1\d letters of the en transcripts \("):
        own.inspect(complete(study(folder, corpora={"c": corpus})), tmp_path / "records")


@pytest.mark.parametrize("training", [None, tiny.TRAINING])
def test_taking_a_model_over_leaves_what_a_training_leaves(training, tmp_path):
    folder = saved(tmp_path / "model")
    tiny.write_corpus(tmp_path / "corpus")
    tiny.run_script(
        "import_model", "--pretrained", folder, *(["--training", json.dumps(training)] if training else []),
        "--data", tmp_path / "corpus/data", "--features", tmp_path / "corpus/features",
        "--tokens", tmp_path / "corpus/tokens.txt", "--languages", "en", "fr", "--device", "cpu",
        "--output", tmp_path / "taken",
    )  # fmt: skip
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "taken"))
    assert all(torch.equal(before[name], after[name]) for name in before) == (training is None)
    rows = (tmp_path / "taken/history.tsv").read_text().splitlines()
    assert len(rows) == (1 if training is None else 3)
    assert (tmp_path / "taken/model.json").read_text() == (folder / "model.json").read_text()


def test_a_hybrid_model_is_taken_over_with_its_decoder(tmp_path):
    beam = {"heads": [{"model": "mine", "searches": ["beam"]}], "decode": {"searches": ["greedy", "beam"]}}
    config = complete(study(saved(tmp_path / "model", hybrid(CTC)), **beam))
    assert config["models"]["mine"]["decoder"]["layers"] == 1


def test_the_study_to_copy_takes_a_model_of_any_type():
    root = Path(__file__).parents[3]
    file = root / "workflow/studies/prune-mine.yaml"
    given = yaml.safe_load((root / "config.yaml").read_text())
    update_config(given, yaml.safe_load(file.read_text()))
    folders = {
        "tests/fixtures/whisper": "generate",
        "tests/reference/espnet/conformer-transducer": "transducer-espnet",
        "pretrained/rnnt-streaming": "transducer",
    }
    for folder, search in folders.items():
        given["models"]["mine"] = {"pretrained": str(root / folder)}
        config = complete(copy.deepcopy(given))
        for section in ("dense", "prune", "layers", "heads"):
            assert all(entry["searches"] == [search] for entry in config[section]), section
        assert all(entry["latency"]["searches"] == [search] for entry in config["heads"])
        assert bool(layers.comparisons(config)) == (search != "generate"), "layers that hear different frames are not"


def test_layers_of_whisper_are_not_compared_frame_by_frame(tmp_path):
    entry = {"model": "mine", "strategies": ["greedy", "svcca"], "depths": [2]}
    searches = {"searches": {"greedy": {"type": "generate", "beam": 1}}}
    given = study(Path(__file__).parents[2] / "fixtures/whisper", layers=[entry], **searches)
    with pytest.raises(SecateurError, match=r"layers\[0\].strategies: 'svcca' compares layers frame by frame"):
        complete(given)


def test_the_study_to_copy_is_short():
    file = Path(__file__).parents[3] / "workflow/studies/prune-mine.yaml"
    lines = [line for line in file.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) <= 20 and yaml.safe_load(file.read_text())["models"]["mine"]["pretrained"]


def test_a_language_model_is_taken_over_as_it_is(tmp_path):
    folder = saved(tmp_path / "lm", LM)
    tiny.write_corpus(tmp_path / "corpus")
    texts = [tmp_path / f"corpus/data/en/{split}/text" for split in ("train", "dev")]
    tiny.run_script(
        "import_lm", "--pretrained", folder, "--train", texts[0], "--dev", texts[1],
        "--tokens", tmp_path / "corpus/tokens.txt", "--device", "cpu", "--output", tmp_path / "taken",
    )  # fmt: skip
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "taken"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
