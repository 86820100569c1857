"""The official layouts of SUPERB's corpora, on imitations of a few clips."""

import hashlib

import numpy as np
import pytest
import soundfile
import superb_folders as folders
from superb_tones import RATE

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import asr, check, er, ic, ks, pr, qbe, sd, sf, sid, sv


def wav(path, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), np.full(round(seconds * RATE), 0.1, np.float32), RATE)


def labels(items):
    return {item.id: item.target for item in items}


def test_speech_commands(tmp_path):
    data = ks.official(folders.speech_commands(tmp_path))
    check(data, "ks")
    train, dev = folders.speakers_of("train", 3), folders.speakers_of("dev", 1)
    wanted = {
        f"{word}/{speaker}_nohash_0": (word if word in ks.WORDS else "_unknown_",)
        for word in folders.KEYWORDS
        for speaker in train
    } | {f"train/_background_noise_/{name}": ("_silence_",) for name in ("exercise_bike", "pink_noise")}
    assert labels(data.items["train"]) == wanted
    assert {key.partition("/")[2] for key in labels(data.items["dev"])} == {
        f"{dev[0]}_nohash_0", "_background_noise_/exercise_bike", "_background_noise_/pink_noise"
    }  # fmt: skip
    assert sorted(target for (target,) in labels(data.items["test"]).values()) == sorted(
        [*ks.WORDS, "_silence_", "_unknown_", "_unknown_"]
    )
    assert data.crops == {"train": 1.0, "dev": 1.0}
    noise = {item.clip.id for item in data.items["train"] if item.target == ("_silence_",)}
    assert not noise & {clip.id for clip in data.clips}, "pieces of noise are drawn, and not encoded before"
    quiet = next(item.clip for item in data.items["test"] if item.target == ("yes",)).samples()
    loud, _ = soundfile.read(next((tmp_path / "speech_commands_test_set_v0.01/yes").glob("*.wav")))
    np.testing.assert_allclose(quiet, loud * 10 ** (-3 / 20), atol=1e-6)


def test_the_rule_of_speech_commands_by_its_definition():
    """A recording's share is SHA-1 of the speaker, modulo 2²⁷, in percent of 2²⁷ − 1."""
    number = int(hashlib.sha1(b"0a7c2a8d").hexdigest(), 16) % 2**27
    assert ks.hashed_share("0a7c2a8d_nohash_3.wav") == pytest.approx(100 * number / (2**27 - 1))


def test_fluent_speech_commands(tmp_path):
    header = ",path,speakerId,transcription,action,object,location\n"
    for split, name in (("train", "train"), ("dev", "valid"), ("test", "test")):
        path = f"wavs/speakers/2BqVo8kVB2Skwgyb/{split}.wav"
        wav(tmp_path / path)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}_data.csv").write_text(
            f'{header}0,{path},2BqVo8kVB2Skwgyb,"Turn on, please, the lights",activate,lights,none\n'
        )
    data = ic.official({"root": str(tmp_path)})
    check(data, "ic")
    assert labels(data.items["dev"]) == {"dev": ("activate", "lights", "none")}
    assert data.items["test"][0].clip.seconds == 1.0
    with pytest.raises(SecateurError, match=r"train_data\.csv: no such file"):
        ic.official({"root": str(tmp_path / "elsewhere")})


def voxceleb(root):
    names = {
        "dev": ["id10001/aaa/00001.wav", "id10001/bbb/00001.wav", "id10002/ccc/00001.wav", "id10002/ccc/00002.wav"],
        "test": ["id10270/ddd/00001.wav", "id10270/eee/00001.wav", "id10271/fff/00001.wav"],
    }
    for half, paths in names.items():
        for place, name in enumerate(paths):
            wav(root / half / "wav" / name, 1.0 + place)


def test_voxceleb_for_identification(tmp_path):
    voxceleb(tmp_path)
    (tmp_path / "iden_split.txt").write_text(
        "1 id10001/aaa/00001.wav\n1 id10002/ccc/00002.wav\n2 id10002/ccc/00001.wav\n3 id10270/eee/00001.wav\n"
    )
    options = {"root": str(tmp_path), "split_file": str(tmp_path / "iden_split.txt"), "max_seconds": 2.0}
    options["crop"] = "middle"
    data = sid.official(options)
    check(data, "sid")
    assert [item.target for item in data.items["train"]] == [("id10001",), ("id10002",)]
    assert [item.clip.seconds for item in data.items["train"]] == [1.0, 2.0], "cut to its middle"
    assert labels(data.items["test"]) == {"id10270-eee-00001": ("id10270",)}
    drawn = sid.official(options | {"crop": "random"})
    assert [item.clip.seconds for item in drawn.items["train"]] == [1.0, 4.0] and drawn.crops == {"train": 2.0}
    assert len(drawn.clips) == len(data.clips) - 1, "what is cropped at every step is not encoded before"
    (tmp_path / "iden_split.txt").write_text("4 id10001/aaa/00001.wav\n")
    with pytest.raises(SecateurError, match=r"iden_split\.txt:1: '4 id10001"):
        sid.official(options)


def test_voxceleb_for_verification(tmp_path):
    voxceleb(tmp_path)
    (tmp_path / "veri_test.txt").write_text(
        "1 id10270/ddd/00001.wav id10270/eee/00001.wav\n0 id10270/ddd/00001.wav id10271/fff/00001.wav\n"
    )
    options = {"root": str(tmp_path), "trials": str(tmp_path / "veri_test.txt"), "min_seconds": 1.5, "max_seconds": 8}
    options["crop"] = "middle"
    data = sv.official(options)
    check(data, "sv")
    known = {item.id for split in ("train", "dev") for item in data.items[split]}
    assert known == {"id10001/bbb/00001.wav", "id10002/ccc/00001.wav", "id10002/ccc/00002.wav"}, "one is too short"
    assert [(pair.first, pair.match) for pair in data.pairs["test"]] == [
        ("id10270/ddd/00001.wav", True),
        ("id10270/ddd/00001.wav", False),
    ]
    assert len(data.items["test"]) == 3


def test_iemocap_tests_every_session_once(tmp_path):
    folders.iemocap(tmp_path / "IEMOCAP")
    data = er.official({"root": str(tmp_path / "IEMOCAP")})
    check(data, "er")
    assert len(data.folds) == 5
    for number, fold in enumerate(data.folds, 1):
        assert {item.id[:5] for item in fold["test"]} == {f"Ses0{number}"} and len(fold["test"]) == 6
        assert len(fold["dev"]) == 4 and len(fold["train"]) == 20
    emotions = [item.target[0] for item in data.folds[0]["test"]]
    assert emotions == ["neutral", "happy", "happy", "sad", "angry", "neutral"]
    with pytest.raises(SecateurError, match="no dialog/EmoEvaluation"):
        er.official({"root": str(tmp_path)})


def test_librispeech_with_a_lexicon(tmp_path):
    for part, reader in (("train-clean-100", "19-198"), ("dev-clean", "84-121"), ("test-clean", "61-70")):
        folder = tmp_path / "LibriSpeech" / part / reader.replace("-", "/")
        folder.mkdir(parents=True)
        (folder / f"{reader}.trans.txt").write_text(f"{reader}-0000 THE CAT\n")
        soundfile.write(str(folder / f"{reader}-0000.flac"), np.zeros(RATE, np.float32), RATE)
    (tmp_path / "lexicon.txt").write_text("THE DH AH0\nCAT K AE1 T\n")
    root = str(tmp_path / "LibriSpeech")
    assert labels(asr.official({"root": root}).items["test"]) == {"61-70-0000": ("the cat", "en")}
    data = pr.official({"root": root, "lexicon": [str(tmp_path / "lexicon.txt")]})
    check(data, "pr")
    assert labels(data.items["train"]) == {"19-198-0000": ("DH", "AH0", "K", "AE1", "T")}
    rules = pr.official({"root": root, "lexicon": []})
    assert labels(rules.items["train"]) == {"19-198-0000": ("ð", "ə", "k", "æ", "t")}


def test_quesst_knows_its_english_part_only(tmp_path):
    root = tmp_path / "quesst14Database"
    for number in range(1, 5):
        wav(root / "Audio" / f"quesst14_{number:05d}.wav")
    languages = ["nnenglish", "nnenglish", "albanian", "nnenglish"]
    scoring = root / "scoring"
    scoring.mkdir()
    (scoring / "language_key_utterances.lst").write_text(
        "".join(f"quesst14Database/Audio/quesst14_{n:05d}.wav {each}\n" for n, each in enumerate(languages, 1))
    )
    for name in ("dev", "eval"):
        lines = []
        for number in (1, 2):
            wav(root / f"{name}_queries" / f"quesst14_{name}_{number:04d}.wav")
            lines.append(f"quesst14Database/{name}_queries/quesst14_{name}_{number:04d}.wav nnenglish\n")
        (scoring / f"language_key_{name}.lst").write_text("".join(lines))
        truth = scoring / f"groundtruth_quesst14_{name}" / f"quesst14_{name}.rttm"
        truth.parent.mkdir()
        truth.write_text(  # the second query is said in a document of another language alone
            f"LEXEME quesst14_00002 1 0.00 4.00 quesst14_{name}_0001 lex <NA> <NA>\n"
            f"LEXEME quesst14_00003 1 0.00 4.00 quesst14_{name}_0002 lex <NA> <NA>\n"
        )
    data = qbe.official({"root": str(root)})
    check(data, "qbe")
    assert [(pair.first, pair.second, pair.match) for pair in data.pairs["test"]] == [
        ("quesst14_eval_0001", "quesst14_00001", False),
        ("quesst14_eval_0001", "quesst14_00002", True),
        ("quesst14_eval_0001", "quesst14_00004", False),
    ]
    assert len(data.items["dev"]) == 4


def test_audio_snips(tmp_path):
    lines = []
    for speaker, split in (("Ivy", "train"), ("Amy", "valid"), ("Emma", "test"), ("Emma", "train")):
        name = f"{speaker}-snips-{split}-0"
        wav(tmp_path / split / f"{name}.wav")
        lines.append(f"{name} BOS PLAY PRINCE PURPLE RAIN EOS\tO O artist album album PlayMusic\n")
    (tmp_path / "all.iob.snips.txt").write_text("".join(lines))
    data = sf.official({"root": str(tmp_path)})
    check(data, "sf")
    assert [item.id for item in data.items["train"]] == ["Ivy-snips-train-0"], "Emma is a voice of the test set"
    (item,) = data.items["test"]
    assert sf.slots(item.target) == {"artist": ["PRINCE"], "album": ["PURPLE RAIN"]}
    album = ("B-album", *"PURPLE RAIN", "E-album")
    assert item.target == (*"PLAY ", "B-artist", *"PRINCE", "E-artist", " ", *album)
    (tmp_path / "all.iob.snips.txt").write_text("Ivy-snips-train-0 BOS play EOS\tO PlayMusic\n")
    with pytest.raises(SecateurError, match=r"all\.iob\.snips\.txt:1"):
        sf.official({"root": str(tmp_path)})


def test_tags_of_snips_as_s3prl_reads_them():
    """Punctuation is left out, and with it a tag that would begin or end there; `&` is read as AND."""
    assert sf.tagged(["R", "&", "B", "!"], ["genre", "genre", "genre", "O"]) == ("B-genre", *"R AND B", "E-genre", " ")
    assert sf.tagged(["A", ",", "B"], ["x", "O", "x"]) == ("B-x", "A", "E-x", " ", "B-x", "B", "E-x")
    assert sf.tagged(["-", "B"], ["x", "x"]) == ("B", "E-x")


def test_slot_scores_by_hand():
    reference = {"artist": ["prince"], "album": ["purple rain"]}
    assert sf.slot_f1(reference, {"artist": ["x"], "city": ["y"]}) == pytest.approx(0.5)
    assert sf.slot_f1({}, {}) == 1.0 and sf.slot_f1(reference, {}) == 0.0
    # `prinz` is two letters from `prince`; the album is missing: all its eleven characters are wrong.
    assert sf.value_errors(reference, {"artist": ["prinz", "queen"]}) == (2 + 11, 17)
    heard = (*"play ", "B-artist", *"pr", "E-city", *" in", "E-artist", " ", "B-album", *"rain")
    assert sf.slots(heard) == {"artist": ["pr in"]}, "tags in between do not count; the album is not closed"
    assert sf.slots(("B-artist", "E-artist")) == {}, "a value has a character"


def test_libri2mix_in_kaldis_layout(tmp_path):
    for split in ("train", "dev", "test"):
        name = "19-198-0000_26-495-0001"
        wav(tmp_path / "wavs" / split / f"{name}.wav", 3.0)
        folder = tmp_path / split
        folder.mkdir()
        (folder / "wav.scp").write_text(f"{name} {tmp_path}/wavs/{split}/{name}.wav\n")
        (folder / "reco2dur").write_text(f"{name} 3.0\n")
        (folder / "segments").write_text(
            f"{name}_000500_001500 {name} 0.5 1.5\n{name}_001000_002000 {name} 1.0 2.0\n"
            f"{name}_002200_002500 {name} 2.2 2.5\n"
        )
        (folder / "utt2spk").write_text(f"{name}_000500_001500 19\n{name}_001000_002000 26\n{name}_002200_002500 19\n")
    data = sd.official({"root": str(tmp_path), "max_seconds": 2.0})
    check(data, "sd")
    (item,) = data.items["test"]
    assert np.flatnonzero(item.target[:, 0]).tolist() == [*range(50, 150), *range(220, 250)]
    assert np.flatnonzero(item.target[:, 1]).tolist() == list(range(100, 200))
    first, second = data.items["train"]
    assert first.clip.seconds == 2.0 and second.clip.seconds == 1.0 and len(second.clip.samples()) == RATE
    np.testing.assert_array_equal(np.concatenate([first.target, second.target]), item.target)
