"""Speech that a model of some thousand weights learns to write down: every letter is a tone that swells and fades."""

from pathlib import Path
from random import Random

import numpy as np
import soundfile

RATE = 16000
LETTER = 1600  # samples
TONES = {letter: 300 * 1.5**place for place, letter in enumerate("abcde")}
SPLITS = {"train": 32, "dev": 10, "test": 20}
SIZES = SPLITS | {"whisper": 400}


def sentences(split: str) -> list[str]:
    """The texts of a split: one to three words of two to four letters."""
    random = Random(split)
    letters = list(TONES)

    def word() -> str:
        return "".join(random.choice(letters) for _ in range(random.randint(2, 4)))

    return [" ".join(word() for _ in range(random.randint(1, 3))) for _ in range(SIZES[split])]


def spoken(text: str, seed: int = 0) -> np.ndarray:
    """Samples (N,), float32: a letter a tone with an overtone, a space a pause, and a little noise."""
    generator, clock = np.random.default_rng(seed), np.arange(LETTER) / RATE
    pieces = []
    for letter in text.lower():
        phase, tone = generator.uniform(0, 6), 2 * np.pi * TONES.get(letter, 0) * clock
        sound = np.sin(tone + phase) + 0.5 * np.sin(2.2 * tone)
        pieces.append(np.hanning(LETTER) * sound if letter in TONES else 0 * clock)
    samples = 0.2 * np.concatenate(pieces)
    return (samples + 0.005 * generator.standard_normal(len(samples))).astype(np.float32)


def write_kaldi(root: Path, language: str = "en", upper: bool = False) -> None:
    """Data directories of all splits, and their recordings, in `root`/`language`, as a user would have them."""
    for split in SPLITS:
        folder = root / language / split
        folder.mkdir(parents=True)
        lines: dict[str, list[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
        for number, text in enumerate(sentences(split)):
            name, file = f"{language}-{split}-{number:02d}", folder / f"{number:02d}.wav"
            soundfile.write(file, spoken(text, number), RATE)
            lines["wav.scp"].append(f"{name} {file}")
            lines["text"].append(f"{name} {text.upper() if upper else text}")
            lines["utt2spk"].append(f"{name} {name}")
        for table, content in lines.items():
            (folder / table).write_text("\n".join(content) + "\n")
