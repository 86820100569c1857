"""Transcribe a WAV file as it would arrive, piece by piece, with a model of export_stream.py in ONNX Runtime.

Prints the text as it grows, with the seconds of audio heard, and at the end what a listener waits for: the delay of the
first and the last label behind the audio that led to them, the time of a piece over its length, and the bytes that are
kept between pieces, which do not grow.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

from secateur.core.errors import SecateurError
from secateur.decoding.streaming import StreamingTransducer
from secateur.speech import audio
from secateur.speech.features import SAMPLE_RATE
from secateur.speech.online_features import OnlineLogMel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stream", type=Path, required=True, help="folder of export_stream.py")
    parser.add_argument("--wav", type=Path, required=True, help="file to transcribe")
    parser.add_argument("--milliseconds", type=int, default=100, help="length of a piece")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if arguments.milliseconds < 1:
        raise SecateurError(f"--milliseconds {arguments.milliseconds}: a piece has one at least")
    model = StreamingTransducer(arguments.stream)
    samples = audio.read(arguments.wav)
    size = SAMPLE_RATE * arguments.milliseconds // 1000
    features = OnlineLogMel(model.about["bins"])
    took, bytes_kept, first = [], [], None
    for place in range(0, len(samples), size):
        started = time.perf_counter()
        labels = model.accept(features.accept(samples[place : place + size]))
        took.append(time.perf_counter() - started)
        bytes_kept.append(model.cache_bytes)
        heard = min(place + size, len(samples)) / SAMPLE_RATE
        if labels:
            first = first if first is not None else heard + took[-1]
            print(f"{heard:7.2f} s  {model.text()}", flush=True)
    started = time.perf_counter()
    model.accept(features.finish())
    model.finish()
    last = time.perf_counter() - started
    print(f"    end    {model.text()}")
    piece = arguments.milliseconds / 1000
    record |= {
        "text": model.text(),
        "audio_s": len(samples) / SAMPLE_RATE,
        "first_label_s": first,
        "last_label_after_end_s": last,
        "piece_rtf": median(took) / piece if took else None,
        "worst_piece_rtf": max(took, default=0.0) / piece,
        "most_bytes_kept": max(bytes_kept, default=0),
    }
    said = "none before the end" if first is None else f"{first:.2f} s from the beginning"
    print(f"first label {said}; last labels {1000 * last:.0f} ms after the end of speech")
    print(f"a piece takes {record['piece_rtf'] or 0:.3f} of its length, {record['worst_piece_rtf']:.3f} at most")
    print(f"{record['most_bytes_kept']:,} bytes kept between pieces at most")
