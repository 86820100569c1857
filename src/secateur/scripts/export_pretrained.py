"""Write a trained model as an entry of pretrained/: weights in half precision, its record, and a model card.

Half precision is refused where it moves the error rate on the dev and test data (of language models, the perplexity of
the dev text). The card's error rates are those of the decodings that lie in the model's folder.
"""

import argparse
import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, write_json, write_text
from secateur.decoding.perplexity import perplexity
from secateur.decoding.recognize import Recognizer, decode, read_features
from secateur.decoding.scoring import score
from secateur.decoding.search import greedy
from secateur.models import types, zoo
from secateur.models.load import Loaded, load_model
from secateur.reporting.model_card import card
from secateur.speech.datadir import read_data_dir, read_table
from secateur.speech.tokens import Tokenizer

SPLITS = ("dev", "test")
TOLERANCE = 0.1
"""Most that half precision may move a word error rate, in percentage points, or a perplexity, in percent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the model in the results of its study")
    parser.add_argument("--whole", action="store_true", help="keep float32")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, e.g. pretrained/NAME")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    if "results" not in arguments.model.parts:
        raise SecateurError(
            f"--model: {arguments.model}; expected a folder below results/STUDY, whose command it names"
        )
    loaded, trained = load_model(arguments.model), read_json(arguments.model / "run.json")
    tensors = loaded.model.state_dict()
    if not arguments.whole:
        tensors = zoo.halved(tensors)
        record["half_precision"] = compare(loaded, tensors, trained["arguments"])
    data, languages = material(trained["arguments"])
    zoo.write(arguments.output, loaded, tensors)
    write_json(arguments.output / "run.json", trained | {"export": record | {"model": str(arguments.model)}})
    sources = {language: data / language for language in languages}
    write_text(
        arguments.output / "README.md", card(arguments.output.name, loaded, arguments.model, trained, sources, record)
    )


def material(trained: dict[str, Any]) -> tuple[Path, list[str]]:
    """The folder of the data that a model was trained on, and its languages, by the arguments of its training."""
    if "data" in trained:
        return Path(trained["data"]), trained["languages"]
    texts = [Path(text) for text in trained["dev"]]  # of a language model: DATA/LANGUAGE/dev/text
    return texts[0].parents[2], [text.parents[1].name for text in texts]


def compare(loaded: Loaded, tensors: dict[str, torch.Tensor], trained: dict[str, Any]) -> dict[str, Any]:
    """What is measured of the model as it is (`before`), and with `tensors` in place of its own (`after`).

    Raises SecateurError if they differ by more than `TOLERANCE`.
    """
    rounded = copy.deepcopy(loaded.model)
    rounded.load_state_dict(tensors)
    if types.section(loaded.config["type"]) == "language_models":
        sentences = [text for file in trained["dev"] for text in read_table(Path(file)).values() if text]
        tokenizer = Tokenizer.load(Path(trained["tokens"]))
        before, after = (perplexity(model, tokenizer, sentences)["perplexity"] for model in (loaded.model, rounded))
        measure, moved = "perplexity of the dev text", 100 * abs(after / before - 1)
    else:
        search = greedy(types.parts(loaded.config["type"]))
        recognizer = Recognizer(loaded.model, Tokenizer.load(Path(trained["tokens"])))
        before, after = (
            word_errors(replace(recognizer, model=model), trained, search) for model in (loaded.model, rounded)
        )
        measure, moved = f"word error rate of dev and test data, {search['type']}", abs(after - before)
    if moved > TOLERANCE:
        raise SecateurError(
            f"half precision moves the {measure} from {before:.2f} to {after:.2f}, by more than {TOLERANCE}; export "
            "the model with --whole"
        )
    return {"measure": measure, "before": before, "after": after}


def word_errors(recognizer: Recognizer, trained: dict[str, Any], search: dict[str, Any]) -> float:
    """Errors in percent of the words, over all languages."""
    errors = words = 0
    for language in trained["languages"]:
        for split in SPLITS:
            utterances = read_data_dir(Path(trained["data"], language, split))
            names = [utterance.id for utterance in utterances]
            results = decode(recognizer, read_features(Path(trained["features"], language, split), names), search)
            found = score(
                {utterance.id: utterance.text for utterance in utterances},
                {name: results[name].hypothesis for name in names},
            )
            errors += sum(item.errors for item in found)
            words += sum(item.words for item in found)
    return 100 * errors / words
