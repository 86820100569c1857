"""Estimate how much a model needs each of its attention heads, on some utterances of every language."""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from secateur.core import devices, flags
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.heads.importance import derivatives, importances, stable, write_importances
from secateur.heads.options import EstimateOptions, SampleOptions
from secateur.models.load import Loaded, load_model
from secateur.speech.data import Batch, BatchPlan, SpeechExamples
from secateur.speech.datadir import sample
from secateur.speech.tokens import Tokenizer
from secateur.statistics.stability import RESAMPLES
from secateur.training.acoustic import FRAMES_PER_SECOND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_material(parser, EstimateOptions)
    parser.add_argument("--stability", type=Path, help="stability.json to write: how orders change with the utterances")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0.5], help="of heads that go first, for --stability"
    )
    parser.add_argument("--output", type=Path, required=True, help="importance.tsv to write")


def add_material(parser: argparse.ArgumentParser, options: type[SampleOptions] = SampleOptions) -> None:
    """The arguments of every command that estimates an importance: the model, and on what."""
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--tokens", type=Path, required=True, help="tokens.txt of the model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    flags.add(parser, options)
    parser.add_argument("--batch-seconds", type=float, default=20.0, help="seconds of speech in a batch")
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances and of the control `random`")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to compute")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    loaded, batches, counts = material(arguments)
    slopes = derivatives(loaded.model, batches)
    found = importances(loaded.model, batches, arguments.seed, flags.given(EstimateOptions, arguments).again, slopes)
    write_importances(arguments.output, found)
    if arguments.stability:
        facts = {"utterances": counts, "shares": arguments.shares, "resamples": RESAMPLES}
        write_json(arguments.stability, facts | {"importances": stable(slopes, arguments.shares, arguments.seed)})
    record |= {"seed": arguments.seed, "device": str(next(loaded.model.parameters()).device), "utterances": counts}


def material(arguments: argparse.Namespace) -> tuple[Loaded, list[Batch], dict[str, int]]:
    """The model on its device, batches of the utterances that were drawn, and how many of each language there are.

    Raises SecateurError for another model's token list, and if data and features differ in number.
    """
    loaded = load_model(arguments.model, devices.pick(arguments.device))
    tokenizer = Tokenizer.load(arguments.tokens)
    if tokenizer.tokens != loaded.tokens:
        raise SecateurError(
            f"{arguments.tokens}: not the token list of {arguments.model}; give the one it was trained on"
        )
    if len(arguments.data) != len(arguments.features):
        raise SecateurError(
            f"--data has {len(arguments.data)} folders and --features {len(arguments.features)}; give as many of both"
        )
    examples = SpeechExamples(list(zip(arguments.features, arguments.data, strict=True)), tokenizer)
    chosen = sample(examples.languages, flags.given(SampleOptions, arguments).utterances, arguments.seed)
    lengths = {utterance: examples.lengths[utterance] for utterance in chosen}
    plan = BatchPlan(lengths, int(arguments.batch_seconds * FRAMES_PER_SECOND), seed=0).epoch(0)
    counts = Counter(examples.languages[utterance] for utterance in chosen)
    return loaded, [examples.load(utterances) for utterances in plan], dict(sorted(counts.items()))
