"""Synthetic speech from espeak-ng: any amount, from a seed, without a download. For tests and machines without apt.

The library and its voices come with the wheel `espeakng-loader`. Sentences are derived from the grammars in
`sentences.py`; every word of dev and test occurs in train. Same options, same bytes.

Options: `utterances` {train, dev, test}, `seed`, `voices` (variants of espeak-ng; each is a speaker).
"""

import _ctypes
import ctypes
import hashlib
import random
from collections.abc import Mapping
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, written_aside
from secateur.speech import audio
from secateur.speech.corpora import Prepared, check_language, fetched_record
from secateur.speech.corpora.sentences import GRAMMARS, derivations, grammar, restricted
from secateur.speech.corpora.text import normalise
from secateur.speech.datadir import Utterance

SCHEMA = {
    "languages": {
        "description": "Languages with a grammar in src/secateur/speech/corpora/sentences.py.",
        "items": {"enum": ["en", "es", "fr", "it", "nl"]},
    },
    "utterances": {
        "description": "Utterances per split and language.",
        "type": "object",
        "additionalProperties": False,
        "default": {},
        "properties": {
            "train": {"$ref": "#/$defs/size", "default": 600, "description": "Utterances of train."},
            "dev": {"$ref": "#/$defs/size", "default": 40, "description": "Utterances of dev."},
            "test": {"$ref": "#/$defs/size", "default": 100, "description": "Utterances of test."},
        },
    },
    "seed": {"description": "Seed of the sentences and voices.", "type": "integer", "minimum": 0, "default": 0},
    "voices": {
        "description": "Voice variants of espeak-ng; each is a speaker.",
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "uniqueItems": True,
        "default": ["f1", "f2", "f5", "m1", "m3", "m7"],
    },
}

FETCH_OPTIONS = ("voices",)
SPLITS = ("train", "dev", "test")
RATE = 16000
WORDS_PER_MINUTE = (100, 135)
ATTEMPTS = 200  # derivations tried per sentence wanted, before giving up on finding new ones

_RETRIEVAL_MODE, _CHARS_UTF8, _RATE_PARAMETER = 2, 1, 1  # from espeak-ng's speak_lib.h
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def fetch(options: Mapping[str, Any], language: str, cache: Path) -> None:
    """Check that espeak-ng and the voices are there; record version and checksum of the library."""
    check_language(options, language, GRAMMARS)
    import espeakng_loader

    known = {path.name for path in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir()}
    for voice in options["voices"]:
        if voice not in known:
            raise SecateurError(
                f"voices: {voice!r} is not a variant of espeak-ng; choose from {', '.join(sorted(known))}"
            )
    library = Path(espeakng_loader.get_library_path())
    write_json(
        fetched_record(cache, language),
        {
            "versions": {"espeakng-loader": metadata.version("espeakng-loader")},
            "sha256": {library.name: hashlib.sha256(library.read_bytes()).hexdigest()},
        },
    )


def prepare(options: Mapping[str, Any], language: str, cache: Path) -> Prepared:
    """Derive the sentences and speak them; recordings that the cache holds already are not spoken again."""
    fetched = read_json(fetched_record(cache, language))
    voices, seed = options["voices"], options["seed"]
    generator = random.Random(f"{language} {seed} voices")
    prepared: dict[str, list[Utterance]] = {}
    for split, texts in sentences(language, options["utterances"], seed).items():
        prepared[split] = []
        for number, text in enumerate(texts):
            voice, speed = generator.choice(voices), generator.randint(*WORDS_PER_MINUTE)
            path = recording(text, f"{language}+{voice}", speed, Path(cache) / language, fetched["sha256"])
            speaker = f"{language}-{voice}"
            prepared[split].append(
                Utterance(
                    f"{speaker}-{split}-{number:05d}", str(path), text, speaker, language, audio.info(path).seconds
                )
            )
    source = {
        "name": "espeak-ng",
        "description": "SYNTHETIC speech: sentences of a small grammar spoken by espeak-ng",
        "licence": "none claimed for the speech; espeak-ng itself is GPL-3.0-or-later",
        "credits": "espeak-ng and its contributors",
        "synthetic": True,
        "notes": f"seed {seed}, voices {', '.join(voices)}",
        **fetched,
    }
    return Prepared(prepared, source=source)


def sentences(language: str, sizes: Mapping[str, int], seed: int) -> dict[str, list[str]]:
    """Different sentences for train, dev and test; dev and test use only words of train.

    Raises SecateurError if the words of a small train set do not combine into enough new sentences.
    """
    rules = grammar(language)
    texts: dict[str, list[str]] = {}
    used: set[str] = set()
    for split in ("train", "dev", "test"):
        if split == "dev":
            rules = restricted(rules, {word for text in texts["train"] for word in text.split()})
        texts[split] = []
        generator = random.Random(f"{language} {seed} {split}")
        for text in islice(derivations(rules, generator), ATTEMPTS * sizes[split]):
            if len(texts[split]) == sizes[split]:
                break
            if text not in used:
                used.add(text)
                texts[split].append(text)
        if len(texts[split]) < sizes[split]:
            raise SecateurError(
                f"utterances.{split}: {sizes[split]} new sentences are wanted in {language!r}, {len(texts[split])} "
                f"were found; ask for fewer, or for more than {sizes['train']} of train"
            )
    return {split: [normalise(text, language) for text in members] for split, members in texts.items()}


def recording(text: str, voice: str, speed: int, folder: Path, version: Mapping[str, str]) -> Path:
    """Path of `text` spoken as 16 kHz FLAC; the name is a hash of all that decides the sound."""
    import soundfile
    import soxr

    name = hashlib.sha256(repr((text, voice, speed, sorted(version.items()))).encode()).hexdigest()[:20]
    path = folder / "audio" / f"{name}.flac"
    if not path.exists():
        samples, rate = speak(text, voice, speed)
        samples = soxr.resample(samples.astype(np.float32) / 32768, rate, RATE)
        with written_aside(path) as aside:
            soundfile.write(str(aside), samples, RATE, format="FLAC", subtype="PCM_16")
    return path


def speak(text: str, voice: str, speed: int) -> tuple[np.ndarray, int]:
    """Return (int16 samples, rate in Hz) of `text` by a voice such as `fr+f2` at `speed` words per minute.

    espeak-ng keeps state from one utterance to the next, so the library is loaded afresh each time (about 1 ms): the
    same arguments give the same samples whatever was spoken before.
    """
    import espeakng_loader

    samples = bytearray()

    def collect(wave: Any, count: int, events: Any) -> int:
        if wave and count:
            samples.extend(ctypes.string_at(wave, 2 * count))
        return 0

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    callback = _Callback(collect)
    try:
        rate = library.espeak_Initialize(_RETRIEVAL_MODE, 0, espeakng_loader.get_data_path().encode(), 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else its noise depends on the second in which it starts
        library.espeak_SetSynthCallback(callback)
        if rate <= 0 or library.espeak_SetVoiceByName(voice.encode()):
            raise SecateurError(f"espeak-ng: voice {voice!r} cannot be loaded; reinstall espeakng-loader")
        library.espeak_SetParameter(_RATE_PARAMETER, speed, 0)
        encoded = text.encode() + b"\0"
        library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 0, 0, _CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)
    return np.frombuffer(bytes(samples), dtype=np.int16), rate
