"""Choose on dev data when utterances leave a model's encoder early, then decode test sets that way.

exits.json in --output has the points that were chosen (`secateur.exits.points`); all else is as of `decode`, with the
points as sub-models.
"""

import argparse
from pathlib import Path
from typing import Any

from secateur.core import devices, flags
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.exits.choice import look
from secateur.exits.options import ExitOptions
from secateur.exits.points import chosen
from secateur.layers.dev import Dev
from secateur.models.load import Loaded, load_model
from secateur.models.surgery.layers import layer_numbers
from secateur.scripts import decode
from secateur.speech.data import BatchPlan, SpeechExamples
from secateur.speech.datadir import read_data_dir
from secateur.speech.tokens import Tokenizer
from secateur.training.acoustic import FRAMES_PER_SECOND

FILE = "exits.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    flags.add(parser, ExitOptions)
    parser.add_argument("--dev-data", type=Path, nargs="+", required=True, help="dev data, of all languages")
    parser.add_argument("--dev-features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--batch-seconds", type=float, default=60.0, help="seconds of dev speech in a batch")
    decode.add_arguments(parser)


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if any((arguments.layers, arguments.heads, arguments.exits)):
        raise SecateurError("--layers, --heads, --exits: the exits of a whole model are chosen here; leave them out")
    device = devices.pick(arguments.device)
    loaded = load_model(arguments.model, device)
    tokenizer = decode.tokenizer(arguments, loaded.tokens)
    options = exits_of(arguments, loaded)
    seen = look(loaded.model, options.at, dev_of(arguments, tokenizer))
    found = chosen(loaded.model.cpu(), seen, options.measures, options.mean_layers, loaded.config["features"])
    arguments.exits = arguments.output / FILE
    write_json(arguments.exits, found)
    decode.run(arguments, record)


def exits_of(arguments: argparse.Namespace, loaded: Loaded) -> ExitOptions:
    """Where a model may be left, by default after the layers of its intermediate CTC."""
    heads = (loaded.config.get("intermediate_ctc") or {}).get("layers", ())
    options = flags.given(ExitOptions, arguments).of_model(heads, layer_numbers(loaded.model)[-1])
    if not options.at:
        raise SecateurError(f"--at: {arguments.model} has no intermediate CTC; name the layers to leave it after")
    return options


def dev_of(arguments: argparse.Namespace, tokenizer: Tokenizer) -> Dev:
    """The dev data that thresholds are chosen on."""
    folders = list(zip(arguments.dev_features, arguments.dev_data, strict=True))
    examples = SpeechExamples(folders, tokenizer)
    batches = BatchPlan(examples.lengths, int(arguments.batch_seconds * FRAMES_PER_SECOND), seed=0).epoch(0)
    references = {utterance.id: utterance.text for _, data in folders for utterance in read_data_dir(data)}
    return Dev(examples, batches, references, tokenizer)
