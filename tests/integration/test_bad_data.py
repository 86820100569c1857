"""Bad data, as a user would give it: the command that first reads it ends with one clear error.

Every case changes one thing in a world in which everything works (`user_world`), runs one script of the workflow in it,
and says what the error has to name. A traceback, a success, or hours of training before the error fail the test.
"""

import shutil

import kaldiio
import numpy as np
import pytest
import soundfile
from user_world import Cases, call

from secateur.core.files import write_text
from secateur.speech.datadir import read_table

case = Cases()


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


@case(r"the loss is nan at step \d+, on utterances")
def features_with_nan(world):
    """Ours have none, but the files of others may hold anything."""
    folder = world.path("features/en/train")
    (folder / "feats.crc32").unlink()
    with kaldiio.WriteHelper(f"ark,scp:{folder}/feats.ark,{folder}/feats.scp") as writer:
        for name in read_table(world.path("data/en/train/text")):
            writer(name, np.full((148, 20), np.nan, np.float32))
    return world.train()


@pytest.mark.parametrize("name", case)
def test_bad_data_is_one_clear_error(name, refused):
    refused(*case[name])
