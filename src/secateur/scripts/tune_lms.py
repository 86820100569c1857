"""Find the language model weight and the length bonus of searches of one model, on some utterances of every language.

The file has, for each search, the best `lm_weight` and `length_bonus`, whether they lie `inside` the grid, which was
widened otherwise, the `grid` with the error rates of all pairs (mean over languages, in percent), and what it cost.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from secateur.core import devices, flags, progress
from secateur.core.errors import SecateurError
from secateur.core.files import write_json
from secateur.core.jobs import json_argument
from secateur.decoding.options import TuningOptions
from secateur.decoding.recognize import Features, Recognizer, check, decode, read_sample
from secateur.decoding.scoring import score
from secateur.decoding.tuning import FILE_KEYS, Tuned, tune
from secateur.models.load import language_model, load_model
from secateur.speech.datadir import read_table
from secateur.speech.tokens import Tokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the acoustic model")
    parser.add_argument("--searches", type=json_argument, required=True, help="JSON: searches by name, complete")
    parser.add_argument("--lms", type=json_argument, default={}, help="JSON: folder of a search's language model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories, of all languages")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    flags.add(parser, TuningOptions)
    parser.add_argument("--seed", type=int, default=1, help="seed of the utterances")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to decode")
    parser.add_argument("--output", type=Path, required=True, help="tuning.json to write")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device, options = devices.pick(arguments.device), flags.given(TuningOptions, arguments)
    loaded = load_model(arguments.model, device)
    features, _ = read_sample(arguments.data, arguments.features, options.utterances, arguments.seed)
    texts = [read_table(folder / "text") for folder in arguments.data]
    references = [{name: text[name] for name in features if name in text} for text in texts]
    found: dict[str, Any] = {}
    for number, (name, search) in enumerate(arguments.searches.items()):
        progress.JOB.part(number, len(arguments.searches))
        if bool(search.get("lm")) != (name in arguments.lms):
            raise SecateurError(f"--lms: search {name!r} has lm {search.get('lm')!r}; give the folder of the one named")
        lm = language_model(arguments.lms[name], loaded.tokens, device) if name in arguments.lms else None
        recognizer = Recognizer(loaded.model, Tokenizer(loaded.tokens), device, lm)
        found[name] = tuned(recognizer, search, features, references, options)
    utterances = [len(reference) for reference in references]
    write_json(arguments.output, {"searches": found, "utterances": sum(utterances)})
    record |= {"seed": arguments.seed, "device": str(device), "utterances": sum(utterances)}


def tuned(
    recognizer: Recognizer,
    search: Mapping[str, Any],
    features: Features,
    references: list[dict[str, str]],
    options: TuningOptions,
) -> dict[str, Any]:
    """What is found for one search; without a language model the length bonus alone is tuned."""
    check(search, recognizer.tokenizer.tokens)
    if missing := [key for key in FILE_KEYS if key not in search]:
        raise SecateurError(f"search {search['type']}: has no {missing[0]} to tune; take a beam search")

    def errors(weight: float, bonus: float) -> tuple[float, ...]:
        given = dict(search) | dict(zip(FILE_KEYS, (weight, bonus), strict=True))
        results = decode(recognizer, features, given)
        scores = [score(one, {name: results[name].hypothesis for name in one}) for one in references if one]
        words = [100 * sum(item.errors for item in found) / sum(item.words for item in found) for found in scores]
        characters = [
            100 * sum(item.character_errors for item in found) / sum(item.characters for item in found)
            for found in scores
        ]
        return fmean(words), fmean(characters)

    started = time.perf_counter()
    weights = options.lm_weights if recognizer.lm else [0.0]
    result: Tuned = tune(errors, weights, options.length_bonuses, options.widen)
    best = dict(zip(FILE_KEYS, result.best, strict=True))
    grid = [dict(zip((*FILE_KEYS, "wer", "cer"), (*pair, *rates), strict=True)) for pair, rates in result.found.items()]
    cost = {"decodings": len(grid) * len(features), "seconds": round(time.perf_counter() - started, 3)}
    return best | {"inside": result.inside, "widened": result.widened, "grid": grid} | cost
