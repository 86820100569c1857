"""Find out which layers of a model are safe to remove: an order of removal, and the dev loss at every depth."""

import argparse
from pathlib import Path
from typing import Any

from secateur.core import devices, flags
from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json
from secateur.layers.options import LayerSearchOptions
from secateur.layers.search import MEMORY, Dev, read_similarity, search
from secateur.layers.strategies import STRATEGIES
from secateur.models.load import load_model
from secateur.speech.data import BatchPlan, SpeechExamples
from secateur.speech.datadir import read_data_dir
from secateur.speech.tokens import Tokenizer
from secateur.training.acoustic import FRAMES_PER_SECOND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt of the model")
    parser.add_argument(
        "--strategy", default=STRATEGIES.names()[0], choices=STRATEGIES.names(), help="how to choose the layers"
    )
    flags.add(parser, LayerSearchOptions)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--batch-seconds", type=float, default=20.0, help="seconds of speech in a batch")
    parser.add_argument("--memory", type=float, default=MEMORY / 2**30, help="GiB of hidden states to keep at most")
    parser.add_argument(
        "--similarity", type=Path, help="for strategies that need it: similarity.tsv of the model's layers"
    )
    parser.add_argument("--similarity-curves", type=Path, help="its curves.json, to count what measuring it cost")
    parser.add_argument("--similarity-model", help="what the model is called there (its only model)")
    parser.add_argument("--measure", default="svcca", choices=["svcca", "cka"], help="which of its measures")
    parser.add_argument("--seed", type=int, default=1, help="seed of what is drawn at random")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to compute")
    parser.add_argument("--output", type=Path, required=True, help="layers.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device, options = devices.pick(arguments.device), flags.given(LayerSearchOptions, arguments)
    loaded, tokenizer = load_model(arguments.model, device), Tokenizer.load(arguments.tokens)
    if tokenizer.tokens != loaded.tokens:
        raise SecateurError(
            f"{arguments.tokens}: not the token list of {arguments.model}; give the one it was trained on"
        )
    if len(arguments.data) != len(arguments.features):
        raise SecateurError(
            f"--data has {len(arguments.data)} folders and --features {len(arguments.features)}; give as many of both"
        )
    similarity = None
    if arguments.similarity:
        similarity = read_similarity(arguments.similarity, arguments.similarity_model, arguments.measure)
    examples = SpeechExamples(list(zip(arguments.features, arguments.data, strict=True)), tokenizer)
    batches = BatchPlan(examples.lengths, int(arguments.batch_seconds * FRAMES_PER_SECOND), seed=0).epoch(0)
    references = {utterance.id: utterance.text for data in arguments.data for utterance in read_data_dir(data)}
    result = search(
        loaded.model,
        arguments.strategy,
        Dev(examples, batches, references, tokenizer),
        options.objective,
        arguments.seed,
        similarity,
        int(arguments.memory * 2**30),
        options.of,
    )
    if arguments.similarity_curves:
        cost = read_json(arguments.similarity_curves)
        for key in ("layer_forwards", "seconds"):
            result[key] += cost[key]
    write_json(arguments.output, result)
    record |= {"seed": arguments.seed, "device": str(device), "layer_forwards": result["layer_forwards"]}
