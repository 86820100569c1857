"""Transcribe a WAV file as it would arrive, piece by piece, with a model of export-stream in ONNX Runtime.

Prints the text as it grows, with the seconds of audio heard, and at the end what a listener waits for: the delay of the
first label behind the beginning of speech and of the last behind its end, the time of a piece over its length, and the
bytes that are kept between pieces, which do not grow.
"""

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from secateur.core.errors import SecateurError
from secateur.decoding.delays import speech_bounds
from secateur.decoding.streaming import StreamingTransducer
from secateur.speech import audio
from secateur.speech.features import SAMPLE_RATE
from secateur.streaming.listening import Heard, Piece, listen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stream", type=Path, required=True, help="folder of export-stream")
    parser.add_argument("--wav", type=Path, required=True, help="file to transcribe")
    parser.add_argument("--milliseconds", type=int, default=100, help="length of a piece")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if arguments.milliseconds < 1:
        raise SecateurError(f"--milliseconds {arguments.milliseconds}: a piece has one at least")
    model, samples = StreamingTransducer(arguments.stream), audio.read(arguments.wav)
    pieces: list[Piece] = []
    for piece in listen(model, samples, arguments.milliseconds):
        pieces.append(piece)
        if piece.labels:
            print(f"{piece.there:7.2f} s  {model.text()}", flush=True)
    print(f"    end    {model.text()}")
    took = [1000 * piece.took / arguments.milliseconds for piece in pieces[:-1]]
    heard = Heard(pieces, model.text(), [np.array([piece.took for piece in pieces])])
    waited = heard.delays(1, *speech_bounds(samples, SAMPLE_RATE))
    record |= {
        "text": heard.text,
        "audio_s": len(samples) / SAMPLE_RATE,
        "first_s": waited.first,
        "last_s": waited.last,
        "piece_rtf": median(took),
        "worst_piece_rtf": max(took),
        "most_bytes_kept": max(piece.kept for piece in pieces),
    }
    if waited.first is not None:
        print(f"first label {waited.first:.2f} s after speech began, last {waited.last:.2f} s after it ended")
    print(f"a piece takes {record['piece_rtf']:.3f} of its length, {record['worst_piece_rtf']:.3f} at most")
    print(f"{record['most_bytes_kept']:,} bytes kept between pieces at most")
