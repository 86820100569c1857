"""Speech to listen to on the page: recordings of test utterances, as MP3 inside the file."""

import base64
import logging
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

from secateur.core.errors import SecateurError
from secateur.reporting.grid import Clip

RATE = 16000  # Hz
COMPRESSION = 0.9  # of 1; about 24 kbit a second, at which speech is still clear
LARGEST = 4_000_000  # characters of all clips, so that the page stays below 10 MB


def embedded(root: Path, wanted: Iterable[Clip]) -> Mapping[Clip, str]:
    """By clip, a `data:` address that a browser plays. `root` is the study's folder.

    A clip that would make the page too large is left out, and the log says how many are. A recording that is there no
    more is told in the log and left out: the report of a long run must not fail for it.
    """
    import soundfile

    from secateur.speech import audio
    from secateur.speech.datadir import read_data_dir

    found: dict[Clip, str] = {}
    room, without = LARGEST, 0
    by_folder: dict[str, list[Clip]] = {}
    for clip in dict.fromkeys(wanted):
        by_folder.setdefault(clip.folder, []).append(clip)
    for folder, clips in by_folder.items():
        known = {one.id: one for one in read_data_dir(root / folder)}
        for clip in clips:
            try:
                one = known[clip.utterance]
                samples = audio.read(one.audio, one.start, one.end, RATE, one.channel)
            except (KeyError, SecateurError) as error:
                logging.warning("%s of %s is left out of the page: %s", clip.utterance, folder, error)
                continue
            file = BytesIO()
            soundfile.write(file, samples, RATE, format="MP3", bitrate_mode="CONSTANT", compression_level=COMPRESSION)
            sound = f"data:audio/mpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
            if len(sound) > room:
                without += 1
                continue
            found[clip], room = sound, room - len(sound)
    if without:
        logging.warning(
            "%d clips are left out of the page, which they would make too large; lower report.audio", without
        )
    return found
