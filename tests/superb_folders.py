"""Imitations of SUPERB's corpora in the exact layouts that they are unpacked or prepared in, spoken in tones."""

import csv
from pathlib import Path

import numpy as np
import soundfile
from superb_tones import RATE, VOICES, tones

from secateur.ssl.tasks import ks

PEOPLE = list(VOICES)
SENTENCES = {
    "train": [
        "abc",
        "cab",
        "bad",
        "dab",
        "fed",
        "bed",
        "cafe",
        "fade",
        "ha",
        "head",
        "gab",
        "bag",
        "abc dab",
        "fed ha",
    ],
    "dev": ["bad", "cafe", "abc dab"],
    "test": ["cab", "fed ha", "bag"],
}


def say(path: Path, text: str, voice: str = "ann", noise: float = 0.0, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = tones(text, voice)
    samples = samples + noise * np.random.default_rng(seed).standard_normal(len(samples)).astype(np.float32)
    soundfile.write(str(path), samples, RATE)


def speakers_of(split: str, count: int) -> list[str]:
    """Names whose hash puts their recordings of Speech Commands into a split."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"{number:08x}"
        share = ks.hashed_share(f"{name}_nohash_0.wav")
        if {"dev": share < 10, "train": share >= 20}[split]:
            found.append(name)
        number += 1
    return found


KEYWORDS = dict(
    zip((*ks.WORDS, "bed", "cat"), ("a", "b", "c", "d", "e", "f", "ab", "cd", "ef", "ac", "g", "h"), strict=True)
)


def speech_commands(root: Path) -> dict:
    train, test = root / "speech_commands_v0.01", root / "speech_commands_test_set_v0.01"
    for word, text in KEYWORDS.items():
        for split, count in (("train", 3), ("dev", 1)):
            for place, speaker in enumerate(speakers_of(split, count)):
                say(train / word / f"{speaker}_nohash_0.wav", 2 * text, PEOPLE[place])
        folder = word if word in ks.WORDS else ks.UNKNOWN
        say(test / folder / f"{word}_abcdef_nohash_0.wav", 2 * text, "dan")
    for name in ("exercise_bike", "pink_noise"):
        say(train / ks.NOISE / f"{name}.wav", 20 * " ", noise=0.02)
    (train / "README.md").write_text("Speech Commands\n")
    say(test / ks.SILENCE / "0.wav", 6 * " ", noise=0.02, seed=3)
    return {"root": str(train), "test_root": str(test)}


def fluent(root: Path) -> dict:
    header = ["", "path", "speakerId", "transcription", "action", "object", "location"]
    intents = [("activate", "lights", "kitchen", "ab"), ("deactivate", "music", "none", "cd")]
    for split, file, people in (
        ("train", "train", PEOPLE[:3]),
        ("dev", "valid", PEOPLE[:1]),
        ("test", "test", PEOPLE[3:]),
    ):
        rows = []
        for person in people:
            for number, (*slots, text) in enumerate(intents):
                path = f"wavs/speakers/{person}/{person}{split}{number}.wav"
                say(root / path, 2 * text, person)
                rows.append([len(rows), path, person, "Please, do it", *slots])
        table = root / "data" / f"{file}_data.csv"
        table.parent.mkdir(exist_ok=True)
        with open(table, "w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
    return {"root": str(root)}


def librispeech(root: Path) -> dict:
    parts = {
        "train": ("train-clean-100", "19", "198"),
        "dev": ("dev-clean", "84", "121"),
        "test": ("test-clean", "61", "70"),
    }
    for split, (part, reader, chapter) in parts.items():
        folder, lines = root / part / reader / chapter, []
        for number, text in enumerate(SENTENCES[split]):
            name = f"{reader}-{chapter}-{number:04d}"
            folder.mkdir(parents=True, exist_ok=True)
            soundfile.write(str(folder / f"{name}.flac"), tones(" ".join(text), "ann"), RATE)
            lines.append(f"{name} {text.upper()}\n")
        (folder / f"{reader}-{chapter}.trans.txt").write_text("".join(lines))
    words = sorted({word for texts in SENTENCES.values() for text in texts for word in text.split()})
    lexicon = root.parent / "lexicon.txt"
    lexicon.write_text("".join(f"{word.upper()} {' '.join(word.upper())}\n" for word in words))
    return {"root": str(root), "lexicon": [str(lexicon)]}


def iemocap(root: Path) -> dict:
    letters = {"neu": "a", "exc": "b", "hap": "b", "sad": "c", "ang": "d"}
    for number in range(1, 6):
        name = f"Ses0{number}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for turn, emotion in enumerate(("neu", "exc", "fru", "hap", "sad", "ang", "xxx", "neu")):
            lines += [f"[{turn}.2901 - {turn}.9300]\t{name}_F{turn:03d}\t{emotion}\t[2.5000, 2.5000, 2.5000]",
                      "C-E2:\tNeutral;\t()", ""]  # fmt: skip
            say(root / f"Session{number}/sentences/wav/{name}/{name}_F{turn:03d}.wav", 3 * letters.get(emotion, "h"))
        table = root / f"Session{number}/dialog/EmoEvaluation/{name}.txt"
        table.parent.mkdir(parents=True)
        table.write_text("\n".join(lines))
    return {"root": str(root)}


def quesst(root: Path) -> dict:
    texts = ["abcd ef", "ef gh", "bad gab", "gab abcd", "hhh", "ee hh"]
    queries = {"dev": ["abcd", "gab"], "eval": ["gab", "abcd"]}
    for number, text in enumerate(texts, 1):
        say(root / f"Audio/quesst14_{number:05d}.wav", text)
    scoring = root / "scoring"
    scoring.mkdir()
    lines = [f"quesst14Database/Audio/quesst14_{n:05d}.wav nnenglish\n" for n in range(1, len(texts) + 1)]
    (scoring / "language_key_utterances.lst").write_text("".join(lines))
    for split, said in queries.items():
        keys, truth = "", ""
        for number, query in enumerate(said, 1):
            name = f"quesst14_{split}_{number:04d}"
            say(root / f"{split}_queries/{name}.wav", query)
            keys += f"quesst14Database/{split}_queries/{name}.wav nnenglish\n"
            for place, text in enumerate(texts, 1):
                if query in text:
                    truth += f"LEXEME quesst14_{place:05d} 1 0.00 4.00 {name} lex <NA> <NA>\n"
        (scoring / f"language_key_{split}.lst").write_text(keys)
        table = scoring / f"groundtruth_quesst14_{split}/quesst14_{split}.rttm"
        table.parent.mkdir()
        table.write_text(truth)
    return {"root": str(root)}


def snips(root: Path) -> dict:
    sentences = [
        ("HA BAD", "O artist"), ("HA CAB", "O artist"), ("FED ABC", "O city"), ("FED DAB", "O city"),
        ("HA BAD CAB", "O artist artist"), ("FED", "O"), ("HEAD DAB", "O city"), ("HA ABC", "O artist"),
    ]  # fmt: skip
    lines = []
    for split, people in (("train", ("Ivy", "Joey")), ("valid", ("Amy",)), ("test", ("Emma",))):
        for person in people:
            for number, (words, tags) in enumerate(sentences):
                name = f"{person}-snips-{split}-{number}"
                say(root / split / f"{name}.wav", " ".join(words.lower()))
                lines.append(f"{name} BOS {words} EOS\tO {tags} PlayMusic\n")
    (root / "all.iob.snips.txt").write_text("".join(lines))
    (root / "slots.txt").write_text("O\nartist\ncity")
    return {"root": str(root)}


def voxceleb(root: Path) -> dict:
    texts = ["abcdefgh", "hgfedcba", "aceg bdfh", "hfdb geca"]
    lines, trials = [], []
    for number, person in enumerate(PEOPLE, 1):
        for place, text in enumerate(texts):
            name = f"id1000{number}/video{place}/00001.wav"
            say(root / "dev" / "wav" / name, text, person)
            lines.append(f"{(1, 1, 2, 3)[place]} {name}\n")
    for number, person in ((70, "ann"), (71, "dan")):
        for place, text in enumerate(texts[:2]):
            say(root / "test" / "wav" / f"id102{number}" / f"video{place}" / "00001.wav", text, person)
    for first in ("id10270/video0", "id10271/video0"):
        for second in ("id10270/video1", "id10271/video1"):
            trials.append(f"{int(first[:7] == second[:7])} {first}/00001.wav {second}/00001.wav\n")
    (root / "iden_split.txt").write_text("".join(lines))
    (root / "veri_test2.txt").write_text("".join(trials))
    return {"root": str(root), "split_file": str(root / "iden_split.txt"), "trials": str(root / "veri_test2.txt")}


def libri2mix(root: Path) -> dict:
    for split, count in (("train", 12), ("dev", 3), ("test", 3)):
        folder = root / split
        folder.mkdir(parents=True)
        tables = dict.fromkeys(("wav.scp", "reco2dur", "segments", "utt2spk"), "")
        for number in range(count):
            first, second = tones("aceg", "ann"), tones("bdfh", "cat")
            name = f"{split}-198-{number:04d}_26-495-{number:04d}"
            late = (2 + number % 4) * 1600
            mixed = np.zeros(late + len(second), np.float32)
            mixed[: len(first)] += first
            mixed[late:] += second
            path = root / "wavs" / split / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(str(path), 0.5 * mixed, RATE)
            ends = [(0.0, len(first) / RATE, "19"), (late / RATE, len(mixed) / RATE, "26")]
            tables["wav.scp"] += f"{name} {path}\n"
            tables["reco2dur"] += f"{name} {len(mixed) / RATE}\n"
            for turn, (start, end, speaker) in enumerate(ends):
                tables["segments"] += f"{name}_{turn} {name} {start} {end}\n"
                tables["utt2spk"] += f"{name}_{turn} {speaker}\n"
        for table, text in tables.items():
            (folder / table).write_text(text)
    return {"root": str(root)}
