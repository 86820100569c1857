"""Write a pretrained encoder as an entry of pretrained/: its weights, its record, and a model card.

The card has what tasks say of it and of log-mel features, where its study has scored them.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, write_text
from secateur.models import zoo
from secateur.reporting.model_card import encoder_card
from secateur.ssl.checkpoints import load_encoder, save_encoder
from secateur.ssl.study import CMVN, FBANK, RANDOM, TEACHER

SCORED = (TEACHER, FBANK, CMVN, RANDOM)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder in the results of its study")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, e.g. pretrained/NAME")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    folder = arguments.encoder
    if not {"results", "upstreams"} <= set(folder.parts):
        raise SecateurError(
            f"--encoder: {folder}; expected a folder below results/STUDY/upstreams, whose study it names"
        )
    encoder, trained = load_encoder(folder), read_json(folder / "run.json")
    zoo.check_size(arguments.output, encoder.state_dict())
    save_encoder(arguments.output, encoder)
    write_json(arguments.output / "run.json", trained | {"export": record | {"encoder": str(folder)}})
    sources = {path.parts[-2]: path.parent for path in map(Path, trained["arguments"]["train"])}
    seed, entry = folder.parts[-1], folder.parents[1]
    scores = {name: entry / name / seed / "superb" / "scores.json" for name in SCORED}
    write_text(arguments.output / "README.md", encoder_card(encoder, folder, trained, sources, scores))
