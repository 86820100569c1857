"""The official layouts of SUPERB's corpora, on imitations of a few clips."""

import hashlib

import numpy as np
import pytest
import soundfile
import torch
from superb_tones import POOLED, RATE, Hears, tones

from secateur.core.errors import SecateurError
from secateur.ssl.tasks import asr, check, er, ic, ks, pr, qbe, sd, sf, sid, sv
from secateur.ssl.tasks.fit import Fit
from secateur.ssl.tasks.hidden import Hidden


def wav(path, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), np.full(round(seconds * RATE), 0.1, np.float32), RATE)


def labels(items):
    return {item.id: item.target for item in items}


def test_speech_commands(tmp_path):
    root, test_root = tmp_path / "v1", tmp_path / "test"
    speakers = {}  # one speaker for each part of the hash's range
    for number in range(2000):
        share = ks.hashed_share(f"{number:08x}_nohash_0.wav")
        speakers.setdefault(min(2, int(share // 10)), f"{number:08x}")
    for speaker in speakers.values():
        for word in ("yes", "bed"):
            wav(root / word / f"{speaker}_nohash_0.wav")
    wav(root / "_background_noise_" / "hum.wav", 20.5)
    wav(test_root / "yes" / "ffff_nohash_0.wav")
    wav(test_root / "_unknown_" / "bed_ffff_nohash_0.wav")
    wav(test_root / "_silence_" / "0.wav")
    data = ks.official({"root": str(root), "test_root": str(test_root)})
    check(data, "ks")
    dev, _, train = speakers[0], speakers[1], speakers[2]
    assert labels(data.items["train"]) == {
        f"yes/{train}_nohash_0": ("yes",),
        f"bed/{train}_nohash_0": ("_unknown_",),
    } | {f"_background_noise_/hum@{second}": ("_silence_",) for second in range(20) if second % 10 < 9}
    assert labels(data.items["dev"]) == {
        f"yes/{dev}_nohash_0": ("yes",),
        f"bed/{dev}_nohash_0": ("_unknown_",),
        "_background_noise_/hum@9": ("_silence_",),
        "_background_noise_/hum@19": ("_silence_",),
    }
    assert sorted(target for (target,) in labels(data.items["test"]).values()) == ["_silence_", "_unknown_", "yes"]
    silence = next(item for item in data.items["train"] if item.target == ("_silence_",))
    assert len(silence.clip.samples()) == RATE


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
    data = sid.official(options)
    check(data, "sid")
    assert [item.target for item in data.items["train"]] == [("id10001",), ("id10002",)]
    assert [item.clip.seconds for item in data.items["train"]] == [1.0, 2.0], "cut to its middle"
    assert labels(data.items["test"]) == {"id10270-eee-00001": ("id10270",)}
    (tmp_path / "iden_split.txt").write_text("4 id10001/aaa/00001.wav\n")
    with pytest.raises(SecateurError, match=r"iden_split\.txt:1: '4 id10001"):
        sid.official(options)


def test_voxceleb_for_verification(tmp_path):
    voxceleb(tmp_path)
    (tmp_path / "veri_test.txt").write_text(
        "1 id10270/ddd/00001.wav id10270/eee/00001.wav\n0 id10270/ddd/00001.wav id10271/fff/00001.wav\n"
    )
    options = {"root": str(tmp_path), "trials": str(tmp_path / "veri_test.txt"), "min_seconds": 1.5, "max_seconds": 8}
    data = sv.official(options)
    check(data, "sv")
    known = {item.id for split in ("train", "dev") for item in data.items[split]}
    assert known == {"id10001/bbb/00001.wav", "id10002/ccc/00001.wav", "id10002/ccc/00002.wav"}, "one is too short"
    assert [(pair.first, pair.match) for pair in data.pairs["test"]] == [
        ("id10270/ddd/00001.wav", True),
        ("id10270/ddd/00001.wav", False),
    ]
    assert len(data.items["test"]) == 3


def iemocap(root):
    for number in range(1, 6):
        name = f"Ses0{number}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for turn, emotion in enumerate(("neu", "exc", "fru", "hap", "sad", "ang", "xxx", "neu")):
            lines += [f"[{turn}.2901 - {turn}.9300]\t{name}_F{turn:03d}\t{emotion}\t[2.5000, 2.5000, 2.5000]",
                      "C-E2:\tNeutral;\t()", ""]  # fmt: skip
            path = root / f"Session{number}" / "sentences" / "wav" / name / f"{name}_F{turn:03d}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            letter = {"neu": "a", "exc": "b", "hap": "b", "sad": "c", "ang": "d"}.get(emotion, "h")
            soundfile.write(str(path), tones(3 * letter, "ann"), RATE)
        table = root / f"Session{number}" / "dialog" / "EmoEvaluation" / f"{name}.txt"
        table.parent.mkdir(parents=True)
        table.write_text("\n".join(lines))


def test_iemocap_tests_every_session_once(tmp_path):
    iemocap(tmp_path / "IEMOCAP")
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
    hidden, fit = Hidden(Hears(), torch.device("cpu")), Fit(1, torch.device("cpu"), tmp_path / "state", "er")
    result = er.run(data, hidden, fit, POOLED)
    assert result.metrics["acc"].value == 100.0 and len(result.details["layer_shares"]) == 5


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
        lines.append(f"{name} BOS play prince purple rain EOS\tO O B-artist B-album I-album PlayMusic\n")
    (tmp_path / "all.iob.snips.txt").write_text("".join(lines))
    data = sf.official({"root": str(tmp_path)})
    check(data, "sf")
    assert [item.id for item in data.items["train"]] == ["Ivy-snips-train-0"], "Emma is a voice of the test set"
    (item,) = data.items["test"]
    assert sf.slots(item.target) == {"artist": ["prince"], "album": ["purple rain"]}
    words = [symbol for symbol in item.target if len(symbol) > 1]
    assert words == ["B-artist", "E-artist", "B-album", "E-album"]
    (tmp_path / "all.iob.snips.txt").write_text("Ivy-snips-train-0 BOS play EOS\tO PlayMusic\n")
    with pytest.raises(SecateurError, match=r"all\.iob\.snips\.txt:1"):
        sf.official({"root": str(tmp_path)})


def test_slot_scores_by_hand():
    reference = {"artist": ["prince"], "album": ["purple rain"]}
    assert sf.slot_f1(reference, {"artist": ["x"], "city": ["y"]}) == pytest.approx(0.5)
    assert sf.slot_f1({}, {}) == 1.0 and sf.slot_f1(reference, {}) == 0.0
    # `prinz` is two letters from `prince`; the album is missing: all its eleven characters are wrong.
    assert sf.value_errors(reference, {"artist": ["prinz", "queen"]}) == (2 + 11, 17)
    heard = (*"play ", "B-artist", *" pr", "E-city", "E-artist", "B-album", *"rain")
    assert sf.slots(heard) == {}, "neither is closed by its own tag"


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
