"""A data directory under a condition: the same utterances, changed, in one recording with a segment for each."""

import importlib
import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.core.files import written_aside
from secateur.speech import audio
from secateur.speech.alphabet import written
from secateur.speech.conditions import CONDITIONS, Given, options_of
from secateur.speech.datadir import Utterance, read_data_dir, write_data_dir
from secateur.speech.features import SAMPLE_RATE

RATE = SAMPLE_RATE
PEAK = 0.99
"""What would be louder is made quieter as a whole, so that nothing is clipped."""
MILLISECOND = RATE // 1000
"""Samples; segments begin and end at whole ones, as data directories write them."""
FILE = "recording.flac"


def make(
    source: str | Path,
    output: str | Path,
    name: str,
    entry: Mapping[str, Any],
    alphabet: Mapping[str, str] | None = None,
) -> list[Utterance]:
    """Write `output`, a data directory and its recording, from the data directory `source`, and give its utterances.

    `name` is that of the condition, and `entry` its entry of the configuration. The same utterance under the same
    name is changed in the same way, in every corpus and run. Texts are written in an `alphabet`, if one is given.

    Raises SecateurError for an utterance that cannot be read or changed.
    """
    import soundfile

    kind = importlib.import_module(CONDITIONS.named(entry["type"]).module)
    known, output = read_data_dir(source), Path(output)
    recording, made, place = output / FILE, [], 0
    with written_aside(recording) as aside, soundfile.SoundFile(aside, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for index, one in enumerate(known):
            samples = _changed(kind, name, entry, known, index)
            length = math.ceil(len(samples) / MILLISECOND)
            file.write(np.pad(samples, (0, length * MILLISECOND - len(samples))))
            bounds = {"start": place / 1000, "end": (place + length) / 1000, "duration": length / 1000}
            text = written(one.text, alphabet) if alphabet else one.text
            made.append(Utterance(one.id, str(recording), text, one.speaker, one.language, recording=name, **bounds))
            place += length
    write_data_dir(output, made)
    return made


def _changed(kind: Any, name: str, entry: Mapping[str, Any], known: Sequence[Utterance], index: int) -> np.ndarray:
    """The samples of one of the utterances under a condition."""
    one = known[index]
    seed = int.from_bytes(sha256(f"{name} {one.id}".encode()).digest()[:8], "big")
    generator = np.random.default_rng(seed)
    order = [other for other in generator.permutation(len(known)) if other != index]
    given = Given(options_of(entry), lambda at: samples_of(known[order[at]]), len(order))
    try:
        samples = np.asarray(kind.apply(samples_of(one), RATE, given, generator), dtype=np.float32)
    except SecateurError as error:
        raise SecateurError(f"conditions.{name}: {one.id}: {error}") from error
    return samples * min(1.0, PEAK / max(float(np.abs(samples).max()), 1e-9))


def samples_of(one: Utterance) -> np.ndarray:
    """(T,) float32 at `RATE`."""
    return audio.read(one.audio, one.start, one.end, RATE, one.channel)
