"""Bad input of every kind, as a user would give it: the command that first reads it ends with one clear error.

Every case changes one thing in a world in which everything works, runs one script of the workflow in it, and says what
the error has to name. A traceback, a success, or hours of training before the error fail the test.
"""

import json
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from secateur.datadir import read_table
from secateur.files import read_json, write_json, write_text
from secateur.models import build_model, save_model
from secateur.pruning.mask import Mask

ROOT = Path(__file__).resolve().parents[2]
LETTERS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz", "<sos/eos>"]
MODEL = {
    "type": "ctc",
    "features": 20,
    "input": "stack",
    "stack": 4,
    "encoder": {
        **{"type": "transformer", "layers": 2, "dim": 16, "heads": 2, "ffn": 32},
        **{"dropout": 0.0, "attention_dropout": 0.0, "kernel": 5},
    },
    "intermediate_ctc": {"layers": [1], "weight": 0.3},
    "stochastic_depth": 0.0,
}
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 32, "layers": 1, "dropout": 0.0}
TRAINING = {
    **{"steps": 1000, "batch_seconds": 10, "accumulate": 1, "learning_rate": 1e-3, "weight_decay": 0.0, "warmup": 0},
    **{"schedule": "constant", "clip": 5.0, "precision": "float32", "evaluate_every": 500, "average_best": 0},
    **{"checkpoint_seconds": 600, "specaug": {"frequency_masks": 0, "time_masks": 0}},
}
GREEDY = {"type": "ctc_greedy", "batch": 4, "batch_frames": 2000}
KALDI = {
    "recipe": "kaldi",
    "normalise": True,
    "exclude": [],
    "splits": {name: name for name in ("train", "dev", "test")},
}


class World:
    """A folder with a user's corpus, what the workflow makes of it, and models."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.root = folder / "a user's data"

    def path(self, name: str) -> Path:
        return self.folder / name

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.path(name)
        path.write_text(change(path.read_text()))

    # --- the scripts, with arguments that work

    def prepare(self) -> list[object]:
        options = json.dumps(KALDI | {"root": str(self.root)})
        return ["prepare_corpus", "--options", options, "--language", "en", "--cache", self.path("cache"),
                "--output", self.path("data/en")]  # fmt: skip

    def fetch(self, **changes: object) -> list[object]:
        options = json.dumps(KALDI | {"root": str(self.root)} | changes)
        return ["fetch_corpus", "--options", options, "--language", "en", "--cache", self.path("cache")]

    def validate(self) -> list[object]:
        return ["validate_corpus", "--data", self.path("data"), "--languages", "en", "--splits", "train", "dev", "test",
                "--tokens", self.path("tokens/tokens.txt"), "--input-layers", "stack:4",
                "--output", self.path("validation.tsv")]  # fmt: skip

    def features(self) -> list[object]:
        return ["features", "--data", self.path("data/en/test"), "--mel-bins", 20, "--output", self.path("new")]

    def train(self, script: str = "train", *more: object, **changes: object) -> list[object]:
        start = [] if script != "train" else ["--model", json.dumps(MODEL)]
        return [script, *start, *more, "--training", json.dumps(TRAINING | changes), "--data", self.path("data"),
                "--features", self.path("features"), "--languages", "en", "--tokens", self.path("tokens/tokens.txt"),
                "--device", "cpu", "--output", self.path("trained")]  # fmt: skip

    def prune(self, *more: object) -> list[object]:
        return self.train("prune", "--start", self.path("model"), *(more or ("--sparsity", "0.5")))

    def decode(self, *more: object, search: dict | None = None) -> list[object]:
        return ["decode", "--model", self.path("model"), "--search", json.dumps(search or GREEDY), "--device", "cpu",
                "--data", self.path("data/en/test"), "--features", self.path("features/en/test"),
                "--output", self.path("decoded"), *more]  # fmt: skip


def call(script: str, *arguments: object) -> int:
    """Run a script of the workflow in this process; its exit status."""
    before = sys.argv
    sys.argv = [str(ROOT / "workflow" / "scripts" / f"{script}.py"), *map(str, arguments)]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> World:
    """The world in which everything works, up to where models are trained."""
    world = World(tmp_path_factory.mktemp("a world"))
    generator = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        lines = {name: "" for name in ("wav.scp", "text", "utt2spk")}
        for number, text in enumerate(("hello there", "good day", "how are you")):
            audio = world.root / "audio files" / f"{split} {number}'s \".wav"
            audio.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(audio, generator.normal(0, 0.1, 24000), 16000)
            for name, value in (("wav.scp", audio), ("text", text), ("utt2spk", "s")):
                lines[name] += f"{split}-{number} {value}\n"
        for name, text in lines.items():
            write_text(world.root / "en" / split / name, text)
    assert call(*world.fetch()) == 0
    assert call(*world.prepare()) == 0
    write_text(world.path("tokens/tokens.txt"), "\n".join(LETTERS) + "\n")
    for split in ("train", "dev", "test"):
        data, features = world.path(f"data/en/{split}"), world.path(f"features/en/{split}")
        assert call("features", "--data", data, "--mel-bins", 20, "--output", features) == 0
    for name, config in (("model", MODEL), ("lm", LM)):
        torch.manual_seed(0)
        save_model(world.path(name), build_model(config, LETTERS), config, LETTERS)
    Mask.random(build_model(MODEL, LETTERS), 0.5, 0).save(world.path("model/masks/all.safetensors"))
    return world


@pytest.fixture
def world(made, tmp_path, monkeypatch) -> World:
    """A copy, for one case. Archives name their folder, so the copy takes the place of the original in them."""
    copy = World(tmp_path / "world")
    shutil.copytree(made.folder, copy.folder)
    for path in [*copy.folder.rglob("*.scp"), *copy.folder.rglob("fetched.json")]:
        path.write_text(path.read_text().replace(str(made.folder), str(copy.folder)))
    monkeypatch.chdir(tmp_path)
    return copy


def test_in_the_world_as_it_is_everything_works(world):
    assert call(*world.validate()) == 0
    assert call(*world.features()) == 0
    assert call(*world.train(steps=2)) == 0
    assert call(*world.decode("--mask", world.path("model/masks/all.safetensors"))) == 0
    assert read_json(
        world.path("decoded/run.json") if world.path("decoded/run.json").exists() else world.path("trained/model.json")
    )


# Each: what is done to the world, which returns the script to call; and what the error says.
CASES: dict[str, tuple[Callable[[World], list[object]], str]] = {}


def case(message: str):
    """Register a case: what it does to the world, and what the error must say (a regular expression)."""

    def register(change: Callable[[World], list[object]]):
        CASES[change.__name__.replace("_", " ")] = change, message
        return change

    return register


# --- a user's corpus


@case(r"en/train/wav.scp: no such file")
def a_table_that_is_missing(world):
    world.path("a user's data/en/train/wav.scp").unlink()
    return world.fetch()


@case(r"neither en/dev nor dev in it, which the split 'dev' needs")
def a_split_that_is_missing(world):
    shutil.rmtree(world.root / "en" / "dev")
    return world.fetch()


@case(r"wav.scp: 'train-0' is a command")
def a_command_in_place_of_a_path(world):
    world.edit(
        "a user's data/en/train/wav.scp",
        lambda text: text.replace("train-0 ", "train-0 touch /tmp/x; cat ").replace(".wav\n", ".wav |\n", 1),
    )
    return world.fetch()


@case(r"text: not UTF-8 \(byte 8\); convert it")
def a_transcript_in_another_encoding(world):
    world.path("a user's data/en/train/text").write_bytes(
        "train-0 caf\xe9\n".encode("latin-1").replace(b"train-0 c", b"train-0 ")
    )
    return world.prepare()


@case(r"text:4: 'train-0' occurs twice")
def an_id_that_occurs_twice(world):
    world.edit("a user's data/en/train/text", lambda text: text + "train-0 again\n")
    return world.prepare()


@case(r"train-1: .*cannot be read as audio")
def a_recording_that_is_none(world):
    next(world.root.rglob("train 1*.wav")).write_bytes(b"RIFF no audio at all")
    return world.prepare()


@case(r"train-1: .*the recording is empty")
def a_recording_without_samples(world):
    soundfile.write(next(world.root.rglob("train 1*.wav")), np.zeros(0), 16000)
    return world.prepare()


@case(r"train-1: .*no such recording")
def a_recording_that_is_gone(world):
    next(world.root.rglob("train 1*.wav")).unlink()
    return world.prepare()


@case(r"utt2spk: 'train-2' is missing")
def a_speaker_who_is_missing(world):
    world.edit("a user's data/en/train/utt2spk", lambda text: text.replace("train-2 s\n", ""))
    return world.prepare()


@case(r"segments: 'train-0' is from 0.0 s to 99.0 s, the recording 'train-0' lasts 1.50 s")
def a_segment_beyond_its_recording(world):
    write_text(world.root / "en/train/segments", "train-0 train-0 0 99\ntrain-1 train-1 0 1\ntrain-2 train-2 0 1\n")
    return world.prepare()


@case(r"segments: 'train-1' has 'train-1 one 2'; write a recording's id, start and end in seconds")
def a_segment_that_is_not_in_numbers(world):
    write_text(world.root / "en/train/segments", "train-0 train-0 0 1\ntrain-1 train-1 one 2\ntrain-2 train-2 0 1\n")
    return world.prepare()


@case(r"utterance 'train-0' is in both train and dev")
def an_utterance_in_two_splits(world):
    shutil.rmtree(world.root / "en/dev")
    shutil.copytree(world.root / "en/train", world.root / "en/dev")
    return world.prepare()


@case(r"en/dev: no utterances")
def a_split_without_utterances(world):
    write_text(world.root / "en/dev/text", "")
    return world.prepare()


# --- prepared data, before training


@case(r"characters outside the token list.*train-0 \(. .\)")
def letters_that_the_token_list_lacks(world):
    world.edit("data/en/train/text", lambda text: text.replace("hello there", "пр"))
    return world.validate()


@case(r"characters outside the token list.*train-0")
def odd_unicode(world):
    """A combining accent, a zero-width joiner, an emoji, a right-to-left mark, a line separator."""
    world.edit(
        "data/en/train/text",
        lambda text: text.replace("hello there", "he\u0301llo\u200d \U0001f600 \u200fthere\u2028now"),
    )
    return world.validate()


@case(r"empty transcript: .*train-1")
def a_transcript_of_blanks(world):
    world.edit("data/en/train/text", lambda text: text.replace("good day", " \u00a0 "))
    return world.validate()


@case(r"too short for its transcript.*train-0")
def audio_too_short_for_its_transcript(world):
    world.edit("data/en/train/text", lambda text: text.replace("hello there", "hello there " * 20))
    return world.validate()


@case(r"too short for the model.*test-0")
def absurdly_short_audio(world):
    soundfile.write(next(world.root.rglob("test 0*.wav")), np.zeros(100), 16000)
    assert call(*world.prepare()) == 0
    return world.validate()


@case(r"longer than \d+ s: cut .*test-0 \(2000 s\)")
def absurdly_long_audio(world):
    soundfile.write(next(world.root.rglob("test 0*.wav")), np.zeros(2000 * 4000), 4000)
    assert call(*world.prepare()) == 0
    return world.validate()


@case(r"utt2dur: 'train-0' has 'long'; write its duration in seconds")
def a_duration_that_is_no_number(world):
    world.edit("data/en/train/utt2dur", lambda text: text.replace("1.500", "long", 1))
    return world.validate()


@case(r"shorter than one 25 ms window at speed 1; exclude it")
def audio_shorter_than_a_window(world):
    soundfile.write(next(world.root.rglob("test 0*.wav")), np.zeros(100), 16000)
    return world.features()


@case(r"tokens.txt: no such token list")
def a_token_list_that_is_missing(world):
    world.path("tokens/tokens.txt").unlink()
    return world.train()


@case(r"token list must start with <blank>")
def a_token_list_of_another_tool(world):
    write_text(world.path("tokens/tokens.txt"), "a\nb\nc\n")
    return world.train()


@case(r"tokens.size: 5000 pieces cannot be learned from this text")
def more_pieces_than_the_text_has(world):
    return ["tokens", "--text", world.path("data/en/train/text"), "--type", "bpe", "--size", "5000",
            "--output", world.path("pieces/tokens.txt")]  # fmt: skip


# --- features


@case(r"feats.scp: no such file")
def features_that_are_missing(world):
    shutil.rmtree(world.path("features/en/train"))
    return world.train()


@case(r"no features of 'train-3'; extract the features again")
def features_of_an_older_corpus(world):
    for name, value in (("text", "new"), ("wav.scp", "x.wav"), ("utt2spk", "s"), ("utt2lang", "en"), ("utt2dur", "1")):
        world.edit(f"data/en/train/{name}", lambda text, value=value: text + f"train-3 {value}\n")
    return world.train()


@case(r"the features of 'test-2' are damaged")
def an_archive_with_a_flipped_bit(world):
    content = bytearray(world.path("features/en/test/feats.ark").read_bytes())
    content[-500] ^= 4
    world.path("features/en/test/feats.ark").write_bytes(content)
    return world.decode()


@case(r"feats.ark: \d+ bytes, and a matrix should begin after \d+")
def an_archive_that_is_cut_off(world):
    path = world.path("features/en/train/feats.ark")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return world.train()


@case(r"40 mel bins.*reads 20|reads 20 .*40")
def features_of_another_width(world):
    features = world.path("features/en/test")
    assert call("features", "--data", world.path("data/en/test"), "--mel-bins", 40, "--output", features) == 0
    return world.decode()


# --- models


@case(r"model.json: no such file")
def a_folder_without_a_model(world):
    return world.decode("--model", world.path("data"))


@case(r"does not fit model.json")
def a_model_of_other_shapes(world):
    world.edit("model/model.json", lambda text: text.replace('"ffn": 32', '"ffn": 48'))
    return world.decode()


@case(r"model.json: not valid JSON")
def a_description_that_is_cut_off(world):
    world.edit("model/model.json", lambda text: text[: len(text) // 2])
    return world.decode()


@case(r"model.json: .*lacks 'config'|model.json: .*'config'")
def a_description_without_a_configuration(world):
    write_json(world.path("model/model.json"), {"format": 1})
    return world.decode()


@case(r"model.json: .*type 'oracle'")
def a_model_of_an_unknown_type(world):
    world.edit("model/model.json", lambda text: text.replace('"type": "ctc"', '"type": "oracle"'))
    return world.decode()


@case(r"model.safetensors: encoder.* holds NaN or infinity")
def a_model_with_nan(world):
    model = build_model(MODEL, LETTERS)
    with torch.no_grad():
        model.encoder.encoders[0].feed_forward.w_1.weight[0, 0] = float("nan")
    save_model(world.path("model"), model, MODEL, LETTERS)
    return world.prune()


@case(r"model.safetensors: not a whole safetensors file")
def a_pickled_model(world):
    torch.save(build_model(MODEL, LETTERS).state_dict(), world.path("model/model.safetensors"))
    return world.decode()


@case(r"model.safetensors: not a whole safetensors file")
def a_model_that_is_cut_off(world):
    path = world.path("model/model.safetensors")
    path.write_bytes(path.read_bytes()[:-1000])
    return world.decode()


@case(r"model.safetensors: the checksum does not fit; the file is damaged")
def a_model_with_a_flipped_bit(world):
    content = bytearray(world.path("model/model.safetensors").read_bytes())
    content[-500] ^= 4
    world.path("model/model.safetensors").write_bytes(content)
    return world.prune()


@case(r"lm: holds a model of type 'transformer_lm', not an acoustic model")
def a_language_model_in_place_of_an_acoustic_one(world):
    return world.decode("--model", world.path("lm"))


@case(r"model: holds a model of type 'ctc', not a language model")
def an_acoustic_model_in_place_of_a_language_model(world):
    beam = {"type": "beam", "beam": 2, "ctc_weight": 0.3, "lm": "x", "lm_weight": 0.3, "length_bonus": 0.0}
    return world.decode("--lm", world.path("model"), search=beam)


@case(r"all.safetensors: the checksum does not fit")
def a_mask_with_a_flipped_bit(world):
    path = world.path("model/masks/all.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    return world.decode("--mask", path)


@case(r"they are of different models|different models or prunable sets|no such weight")
def a_mask_of_another_model(world):
    other = MODEL | {"encoder": MODEL["encoder"] | {"ffn": 48}}
    Mask.random(build_model(other, LETTERS), 0.5, 0).save(world.path("other.safetensors"))
    return world.decode("--mask", world.path("other.safetensors"))


@case(r"token list")
def a_token_list_of_another_model(world):
    write_text(world.path("tokens/tokens.txt"), "\n".join(LETTERS[:-2] + LETTERS[-1:]) + "\n")
    return world.prune()


# --- what is asked for


@case(r"sparsity 1.0?: nothing would be left|sparsity 1")
def a_sparsity_of_one(world):
    return world.prune("--sparsity", "1")


@case(r"sparsity -0.1: wanted the share of weights to remove, between 0 and 1")
def a_sparsity_below_zero(world):
    return world.prune("--sparsity", "-0.1")


@case(r"prunable.exclude: '\(' is not a regular expression")
def an_expression_that_is_none(world):
    return world.prune("--sparsity", "0.5", "--exclude", "(")


@case(r"prunable.include: 'attentoin' matches no weight")
def an_expression_that_matches_nothing(world):
    return world.prune("--sparsity", "0.5", "--include", "attentoin")


@case(r"fr/train/utt2num_frames: no such file")
def a_language_that_is_not_there(world):
    arguments = world.train()
    arguments[arguments.index("en")] = "fr"
    return arguments


@case(r"--training: key 'clip' is missing|clip")
def a_recipe_that_lacks_a_key(world):
    arguments = world.train()
    place = arguments.index("--training") + 1
    arguments[place] = json.dumps({key: value for key, value in TRAINING.items() if key != "clip"})
    return arguments


@case(r"training: nodes is 2, and several are only to be had in a SLURM job")
def several_nodes_on_one_machine(world):
    return world.train(nodes=2)


@case(r"the loss is nan at step \d+, on utterances")
def features_with_nan(world):
    """Silence can give none, but files of others may hold anything."""
    import kaldiio

    folder = world.path("features/en/train")
    (folder / "feats.crc32").unlink()
    matrices = (
        {key: np.full((148, 20), np.nan, np.float32) for key in read_table(folder / "text")}
        if (folder / "text").exists()
        else {}
    )
    names = list(read_table(world.path("data/en/train/text")))
    with kaldiio.WriteHelper(f"ark,scp:{folder}/feats.ark,{folder}/feats.scp") as writer:
        for name in names:
            writer(name, matrices.get(name, np.full((148, 20), np.nan, np.float32)))
    return world.train()


@case(r"trained/.*: could not be written")
def a_file_in_the_place_of_the_output_folder(world):
    world.path("trained").write_text("")
    return world.train(steps=1)


@case(r"type 'oracle' is not a search|oracle")
def a_search_that_does_not_exist(world):
    return world.decode(search={"type": "oracle"})


@case(r"beam")
def a_beam_wider_than_the_token_list(world):
    beam = {"type": "beam", "beam": 500, "ctc_weight": 0.3, "lm": None, "lm_weight": 0.3, "length_bonus": 0.0}
    return world.decode(search=beam)


@case(r"hypotheses.tsv: no such file")
def scores_of_nothing(world):
    return ["score", "--hypotheses", world.path("hypotheses.tsv"), "--output", world.path("scored")]


@case(r"hypotheses.tsv.*(no utterances|empty|lacks)")
def scores_of_an_empty_file(world):
    world.path("hypotheses.tsv").write_text("")
    return ["score", "--hypotheses", world.path("hypotheses.tsv"), "--output", world.path("scored")]


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_clear_error(name, world, capfd):
    change, message = CASES[name]
    arguments = change(world)
    capfd.readouterr()
    status = call(*arguments)
    said = capfd.readouterr().err
    assert status == 1, said
    errors = said[said.index("error: ") :]
    assert said.count("error: ") == 1 and "Traceback" not in said and re.search(message, errors, re.DOTALL), said
    assert not world.path("trained/run.json").exists() and not world.path("decoded/hypotheses.tsv").exists()
