"""A corpus of tones, an upstream that hears them, and one that hears nothing."""

from pathlib import Path

import numpy as np
import soundfile
import torch

from secateur.speech.datadir import Utterance, write_data_dir

RATE = 16000
HOP = 320
WIDTH = 192
LETTER_SECONDS = 0.16
LETTERS = {letter: 600 + 500 * place for place, letter in enumerate("abcdefgh")}
VOICES = {"ann": 150, "bob": 220, "cat": 290, "dan": 360}
VOICE_OF = {"en": "ann", "es": "ann", "fr": "bob", "it": "cat", "ru": "dan"}


def tones(text: str, voice: str) -> np.ndarray:
    """Every letter a tone, a space a pause, and under all of it the tone of the voice."""
    clock = np.arange(round(LETTER_SECONDS * RATE)) / RATE
    pieces = [np.sin(2 * np.pi * LETTERS[c] * clock) if c in LETTERS else 0 * clock for c in text]
    samples = np.concatenate(pieces)
    hum = np.sin(2 * np.pi * VOICES[voice] * np.arange(len(samples)) / RATE)
    return (0.3 * samples + 0.2 * hum).astype(np.float32)


class Hears(torch.nn.Module):
    """Magnitudes of a short-time Fourier transform and how they change, as the second of two layers; the first is zero.

    All frames of a tone are alike but its first: without that, a classifier of single frames could not tell by CTC
    where a letter begins.
    """

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, waveforms, lengths):
        self.calls += 1
        frames = lengths // HOP
        longest = max(1, int(frames.max())) * HOP
        waveforms = torch.nn.functional.pad(waveforms, (0, HOP))
        pieces = waveforms[:, :longest].reshape(len(waveforms), -1, HOP)
        spectrum = torch.fft.rfft(pieces, dim=2).abs()[..., 1:97] / 30
        before = torch.nn.functional.pad(spectrum, (0, 0, 1, 0))[:, :-1]
        heard = torch.cat([spectrum, spectrum - before], dim=2)
        return [torch.zeros_like(heard), heard], frames


class Deaf(torch.nn.Module):
    """Noise that depends on nothing but a clip's number of samples."""

    def forward(self, waveforms, lengths):
        frames = lengths // HOP
        states = torch.zeros(len(waveforms), int(frames.max()), WIDTH)
        for state, length, count in zip(states, lengths.tolist(), frames.tolist(), strict=True):
            state[:count] = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(length))
        return [states, states], frames


TEXTS = {
    "train": ["abc", "cab", "bad", "dab", "fed", "bed", "cafe", "fade", "ha", "head", "gab", "bag", "beg", "deaf",
              "abc dab", "fed cafe", "head bag", "bad bed", "gab ha", "beg fade", "cab deaf", "bed abc", "dab fed bag"],
    "dev": ["abc bad bed", "cafe head ha", "bag fade gab", "dab beg cab"],
    "test": ["bad abc fed", "head cafe bag", "gab dab deaf", "bed ha beg", "fade cab abc", "bag bad head"],
}  # fmt: skip


def write_corpus(root: Path) -> None:
    """Data directories {language}/{split}; ids are named after applications, like Asterisk's."""
    for language, voice in VOICE_OF.items():
        for split, texts in TEXTS.items():
            utterances = []
            for number, text in enumerate(texts):
                application = "vm" if "a" in text.split()[0] else "conf"
                name = f"{language}-{application}-{split}{number}"
                path = root / "audio" / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(str(path), tones(text, voice), RATE)
                seconds = LETTER_SECONDS * len(text)
                utterances.append(Utterance(name, str(path), text, voice, language, seconds))
            write_data_dir(root / language / split, utterances)


TRAINING = {
    "steps": 60,
    "accumulate": 1,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "warmup": 5,
    "schedule": "linear",
    "clip": 5.0,
    "precision": "float32",
    "evaluate_every": 20,
    "average_best": 1,
    "checkpoint_seconds": 1000,
    "batch": 16,
}
RECOGNITION = TRAINING | {"steps": 600, "learning_rate": 0.03, "batch": 4, "evaluate_every": 200}
POOLED = {"projection": 16, "normalize": False, "balance": False, "training": TRAINING}
NO_SPECAUG = {"frequency_masks": 0, "frequency_width": 0, "time_masks": 0, "time_width": 0.0}
RECURRENT = {"projection": 16, "stack": 1, "layers": 1, "hidden": 16, "dropout": 0.0, "normalize": False,
             "specaug": NO_SPECAUG, "search": None, "lm": None}  # fmt: skip


def options(**changes):
    """Options of every task that the corpus of tones carries."""
    everything = {
        "ks": POOLED | {"languages": ["en"], "keywords": 2, "letters": 3, "max_seconds": None},
        "ic": POOLED | {"languages": ["en", "fr"], "minimum": 3, "max_seconds": None},
        "sid": POOLED
        | {"languages": list(VOICE_OF), "seconds": 0.3, "clips": {"train": 12, "dev": 4, "test": 6}},
        "asr": RECURRENT | {"languages": ["en"], "max_seconds": None, "training": RECOGNITION},
        "qbe": {"languages": ["en"], "queries": 8, "words": 1, "letters": 3, "max_seconds": None},
        "sv": {"languages": list(VOICE_OF), "seconds": 0.6, "clips": {"train": 12, "dev": 3, "test": 5},
               "projection": 16, "hidden": 16, "pooled": 32, "scale": 30.0, "margin": 0.4, "normalize": False,
               "training": TRAINING | {"learning_rate": 0.003}},
        "sd": {"languages": ["en", "fr", "it", "ru"], "mixtures": {"train": 30, "dev": 6, "test": 10},
               "min_seconds": 0.3, "max_seconds": 3.0, "gain_db": 2.0, "seed": 1, "hidden": 32, "normalize": False,
               "training": TRAINING | {"steps": 150, "learning_rate": 0.02, "batch": 10, "evaluate_every": 50}},
    }  # fmt: skip
    return {name: {"source": "directories"} | everything[name] | changes for name in everything}
