"""Bad input of every kind, as a user would give it: the command that first reads it ends with one clear error.

Every case changes one thing in a world in which everything works, runs one script of the workflow in it, and says what
the error has to name. A traceback, a success, or hours of training before the error fail the test.
"""

import importlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import yaml

from secateur.__main__ import main as secateur
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, write_text
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.pruning.engines.mask import ONE_FOR_ALL, Mask, save_masks
from secateur.speech.corpora import RECIPES
from secateur.speech.datadir import read_table

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
    "channel": None,
    "exclude": [],
    "non_speech_tags": [],
    "unknown_tags": [],
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
        return self.train("prune", "--method", "imp", "--start", self.path("model"), *(more or ("--sparsity", "0.5")))

    def decode(self, *more: object, search: dict | None = None) -> list[object]:
        return ["decode", "--model", self.path("model"), "--search", json.dumps(search or GREEDY), "--device", "cpu",
                "--data", self.path("data/en/test"), "--features", self.path("features/en/test"),
                "--output", self.path("decoded"), *more]  # fmt: skip


def call(script: str, *arguments: object) -> int:
    """Run a script of the workflow in this process; its exit status."""
    before = sys.argv
    sys.argv = ["secateur", script.replace("_", "-"), *map(str, arguments)]
    try:
        secateur()
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
    save_masks(world.path("model"), {ONE_FOR_ALL: Mask.random(build_model(MODEL, LETTERS), 0.5, 0)})
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


@case(r"text:1: not UTF-8 \(byte 0xe9\); convert the file, e\.g\. from LATIN1")
def a_transcript_in_another_encoding(world):
    world.path("a user's data/en/train/text").write_bytes("train-0 h\xe9\n".encode("latin-1"))
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


@case(r"a single utterance to train on: .*en")
def a_language_with_one_utterance(world):
    for name in ("wav.scp", "text", "utt2spk"):
        world.edit(f"a user's data/en/train/{name}", lambda text: text.splitlines(keepends=True)[0])
    assert call(*world.prepare()) == 0
    return world.validate()


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


@case(r"en/train/utt2num_frames: no such file")
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


@case(r"features have 40 mel bins, and the model reads 20")
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


@case(r"model.json: lacks 'config'")
def a_description_without_a_configuration(world):
    write_json(world.path("model/model.json"), {"format": 1})
    return world.decode()


@case(r"model.json: models of type 'oracle' are not known")
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


@case(r"search ctc_greedy: the model has no CTC head; take a search that fits the type of the model")
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


@case(r"mask of encoder.*: shape \(48, 16\) where the model has \(32, 16\)")
def a_mask_of_another_model(world):
    other = MODEL | {"encoder": MODEL["encoder"] | {"ffn": 48}}
    Mask.random(build_model(other, LETTERS), 0.5, 0).save(world.path("other.safetensors"))
    return world.decode("--mask", world.path("other.safetensors"))


@case(r"tokens.txt: not the token list of the model that training starts from")
def a_token_list_of_another_model(world):
    write_text(world.path("tokens/tokens.txt"), "\n".join(LETTERS[:-2] + LETTERS[-1:]) + "\n")
    return world.prune()


# --- what is asked for


@case(r"--sparsity 1.0: wanted the share of weights to remove, 0 to below 1")
def a_sparsity_of_one(world):
    return world.prune("--sparsity", "1")


@case(r"--sparsity -0.1: wanted the share of weights to remove")
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


@case(r"training\.steps: missing; it is required")
def a_training_that_lacks_a_key(world):
    arguments = world.train()
    place = arguments.index("--training") + 1
    arguments[place] = json.dumps({key: value for key, value in TRAINING.items() if key != "steps"})
    return arguments


@case(r"training\.warmup: -1; allowed: ≥ 0")
def a_training_with_a_value_out_of_bounds(world):
    return world.train(warmup=-1)


@case(r"training: nodes is 2, and several are only to be had in a SLURM job")
def several_nodes_on_one_machine(world):
    return world.train(nodes=2)


@case(r"the loss is nan at step \d+, on utterances")
def features_with_nan(world):
    """Ours have none, but the files of others may hold anything."""
    folder = world.path("features/en/train")
    (folder / "feats.crc32").unlink()
    with kaldiio.WriteHelper(f"ark,scp:{folder}/feats.ark,{folder}/feats.scp") as writer:
        for name in read_table(world.path("data/en/train/text")):
            writer(name, np.full((148, 20), np.nan, np.float32))
    return world.train()


@pytest.fixture
def as_another_user():
    """What root does is done as a user who may read nothing here."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        pytest.skip("only root can become another user")


def test_files_that_may_not_be_read_are_one_clear_error(world, as_another_user, capfd):
    """A folder of pytest's is for its user alone."""
    assert call(*world.train()) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and re.search(r"error: .*: Permission denied; mend its permissions", said), said


@pytest.mark.parametrize("script", ["train", "decode", "features"])
def test_a_folder_that_may_not_be_written_is_told_at_once(script, world, monkeypatch, capfd):
    """Root may write everywhere, so this is done as another user, who may read the world."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    for folder in [world.folder, *world.folder.parents]:
        if "pytest-of-" in str(folder):  # which are for pytest's user alone
            folder.chmod(0o755)
    arguments = getattr(world, script)()
    monkeypatch.setattr(torch.optim.AdamW, "step", never)
    for recipe in RECIPES.all().values():
        recipe.load()  # Python itself may lie where that user may not read
    os.seteuid(65534)
    try:
        status = call(*arguments)
    finally:
        os.seteuid(0)
    said = capfd.readouterr().err
    assert status == 1 and "Traceback" not in said and said.count("error: ") == 1
    assert re.search(r"error: .*world.*: could not be written \(Permission denied\); .* mend the permissions", said), (
        said
    )


@case(r"trained/.*: could not be written")
def a_file_in_the_place_of_the_output_folder(world):
    world.path("trained").write_text("")
    return world.train()


@case(r"search.*'oracle'")
def a_search_that_does_not_exist(world):
    return world.decode(search={"type": "oracle"})


@case(r"beam.*500")
def a_beam_wider_than_the_token_list(world):
    beam = {"type": "beam", "beam": 500, "ctc_weight": 0.3, "lm": None, "lm_weight": 0.3, "length_bonus": 0.0}
    return world.decode(search=beam)


@case(r"hypotheses.tsv: no such file")
def scores_of_nothing(world):
    return ["score", "--hypotheses", world.path("hypotheses.tsv"), "--output", world.path("scored")]


@case(r"hypotheses.tsv: lacks hypothesis, reference, utterance, or has no rows; decode again")
def scores_of_an_empty_file(world):
    world.path("hypotheses.tsv").write_text("")
    return ["score", "--hypotheses", world.path("hypotheses.tsv"), "--output", world.path("scored")]


def tar_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[World], bytes]:
    """An archive with one member."""

    def make(world: World) -> bytes:
        with tarfile.open(world.path("made.tar"), "w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, 0 if kind != tarfile.REGTYPE else 4
            tar.addfile(member, io.BytesIO(b"evil") if member.size else None)
        return world.path("made.tar").read_bytes()

    return make


ARCHIVES = {
    "a path upwards": (tar_of("../../outside"), r"member '../../outside' points outside the archive"),
    "an absolute path": (tar_of("/tmp/outside"), r"member '/tmp/outside' points outside the archive"),
    "a path upwards within": (tar_of("a/../../outside"), r"points outside the archive"),
    "a symbolic link": (tar_of("link", tarfile.SYMTYPE, "/etc"), r"member 'link' is a link or a device"),
    "a hard link": (tar_of("link", tarfile.LNKTYPE, "../x"), r"member 'link' is a link or a device"),
    "a device": (tar_of("null", tarfile.CHRTYPE), r"member 'null' is a link or a device"),
    "no archive": (lambda world: b"<html>please log in</html>", r"cannot be unpacked"),
}


@pytest.fixture
def served(monkeypatch):
    """A web server on this machine for one archive; the function that sets it and gives its address."""
    content = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content[-1])))
            self.end_headers()
            self.wfile.write(content[-1])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda archive: content.append(archive) or f"http://127.0.0.1:{server.server_address[1]}/{{language}}.tar"
    server.shutdown()
    server.server_close()


def download(world: World, url: str) -> list[object]:
    options = {"recipe": "mls", "root": None, "url": url, "checksum": {}}
    return ["fetch_corpus", "--options", json.dumps(options), "--language", "fr", "--cache", world.path("downloads")]


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_one_clear_error_and_writes_nothing(name, world, served, capfd):
    make, message = ARCHIVES[name]
    before = {path for path in world.folder.parent.rglob("*")}
    assert call(*download(world, served(make(world)))) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and re.search("error: .*" + message, said), said
    new = {path for path in world.folder.parent.rglob("*") if path.is_file()} - before - {world.path("made.tar")}
    assert all(path.is_relative_to(world.path("downloads")) for path in new) and not Path("/tmp/outside").exists()
    assert not [path for path in new if path.name in ("outside", "link", "null")]


def test_without_a_network_a_download_is_one_clear_error(world, monkeypatch, capfd):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert call(*download(world, "http://127.0.0.1:9/{language}.tar")) == 1
    said = capfd.readouterr().err
    assert "Traceback" not in said and re.search(r"error: http.*: broke off 5 times .* run again", said), said


# A configuration: what is laid over the smoke study's, and what the error says.
CONFIGURATIONS = {
    "a word for a number": ("seeds: [one]", r"seeds\[0\]: 'one' is of the wrong type; allowed: integer"),
    "an unknown key": ("decode: {search: [greedy]}", r"decode.search: unknown key \(did you mean 'searches'\?\)"),
    "a key that is missing": ("training: {new: {steps: 5}}", r"training.new.learning_rate: missing"),
    "a name with a slash": ("models: {a/b: {}}", r"models.*'a/b'.*allowed: lower-case letters, digits"),
    "an unknown type of model": ("models: {ctc: {type: ctx}}", r"type 'ctx' is unknown \(did you mean 'ctc'\?\)"),
    "heads that do not divide": ("models: {ctc: {encoder: {heads: 3}}}", r"3 heads do not divide encoder.dim = 32"),
    "an even kernel": ("models: {ctc: {encoder: {kernel: 8}}}", r"encoder.kernel: 8 is even"),
    "a layer that is not there": ("models: {ctc: {intermediate_ctc: {layers: [2]}}}", r"2 is not below the .* last"),
    "no steps": ("training: {acoustic: {steps: 0}}", r"training.acoustic.steps: 0; allowed: ≥ 1"),
    "no processes": ("training: {acoustic: {processes: 0}}", r"training.acoustic.processes: 0; allowed: ≥ 1"),
    "a rate that is no number": ("training: {acoustic: {learning_rate: .nan}}", r"learning_rate: nan is of the wrong"),
    "an infinite rate": ("training: {acoustic: {learning_rate: .inf}}", r"learning_rate: inf is of the wrong"),
    "a sparsity of zero": ("pruning: {progressive: {levels: [0, 0.5]}}", r"levels\[0\]: 0; allowed: > 0"),
    "a sparsity of one": ("pruning: {progressive: {levels: [0.5, 1]}}", r"levels\[1\]: 1; allowed: < 1"),
    "levels that fall": ("pruning: {progressive: {levels: [0.7, 0.5]}}", r"levels: \[0.7, 0.5\] does not rise"),
    "masks that never adapt": ("pruning: {progressive: {adapt_every: 8}}", r"adapt_every: 8; allowed: less than the s"),
    "the mean of masked models": ("training: {retrain: {average_best: 2}}", r"average_best: 2; allowed: 0, because"),
    "an average of masked models": ("training: {retrain: {ema: 0.9}}", r"retrain.ema: 0.9; allowed: 0, because"),
    "a corpus that is not there": ("dense: [{corpus: mine, model: ctc}]", r"dense\[0\].corpus: 'mine' is not in corp"),
    "a language that is not there": (
        "dense: [{corpus: espeak, model: ctc, scopes: [de]}]",
        r"dense\[0\].scopes: 'de' is not in corpora.espeak.languages",
    ),
    "a search for another type": (
        "dense: [{corpus: espeak, model: ctc, searches: [stream]}]",
        r"dense\[0\].searches: 'stream' does not fit models of type ctc",
    ),
    "no root and no url": ("corpora: {mls: {recipe: mls, languages: [fr]}}", r"corpora.mls.root: null, and so is url"),
    "a language model without a file": (
        "language_models: {char-lm: {text: {en: gone.txt}}}",
        r"language_models.char-lm.text.en: 'gone.txt' is no file",
    ),
    "a split that is not there": (
        "decode: {splits: [eval]}",
        r"decode.splits: 'eval' is not in `conditions` and the splits",
    ),
    "a list for a mapping": ("training: [acoustic]", r"training"),
    "a key that is there twice": ("seeds: [1]\nseeds: [2]", r"'seeds' is there twice"),
    "no YAML": ("seeds: [1", r"not valid YAML"),
    "tabs": ("training:\n\tacoustic: {}", r"not valid YAML"),
    "another encoding": (b"report: {title: caf\xe9}", r"not valid YAML"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_bad_configuration_is_one_clear_error(name, tmp_path):
    """As `make plan` and `make results` read it, before any job."""
    text, message = CONFIGURATIONS[name]
    file = tmp_path / "mine.yaml"
    smoke = (ROOT / "workflow" / "studies" / "smoke.yaml").read_text()
    plan = load_module(ROOT / "workflow" / "plan.py")
    overlay = (text if isinstance(text, bytes) else text.encode()) + b"\nstudy: mine\n"
    file.write_bytes(overlay)
    base = tmp_path / "clone"
    base.mkdir()
    (base / "workflow").symlink_to(ROOT / "workflow")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    plan.lay_over(config, yaml.safe_load(smoke))
    (base / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SecateurError, match=message):
        plan.load(base, file)


def load_module(path: Path):
    sys.path.insert(0, str(path.parent))
    try:
        return importlib.import_module(path.stem)
    finally:
        sys.path.remove(str(path.parent))


def never(*_):
    """In place of a step of the optimiser."""
    raise AssertionError("it trains, and should have refused")


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_clear_error(name, world, monkeypatch, capfd):
    change, message = CASES[name]
    monkeypatch.setattr(torch.optim.AdamW, "step", never)
    arguments = change(world)
    capfd.readouterr()
    status = call(*arguments)
    said = capfd.readouterr().err
    assert status == 1, said
    errors = said[said.index("error: ") :]
    assert said.count("error: ") == 1 and "Traceback" not in said and re.search(message, errors, re.DOTALL), said
    assert not world.path("decoded/hypotheses.tsv").exists()
