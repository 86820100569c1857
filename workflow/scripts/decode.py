"""Decode a test set with a model: hypotheses and the seconds that each utterance took."""

import argparse
from pathlib import Path
from typing import Any

from secateur import devices
from secateur.datadir import read_data_dir, read_table
from secateur.decoding import Recognizer, batch_size, check, decode, language_model, read_features
from secateur.errors import SecateurError
from secateur.files import write_json, write_tsv
from secateur.jobs import job, json_argument, threads
from secateur.models import load_model
from secateur.pruning.mask import Mask
from secateur.timing import PARTS, latency
from secateur.tokens import SPACE, Tokenizer

COLUMNS = ("utterance", "reference", "hypothesis", "duration_s", *PARTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the acoustic model")
    parser.add_argument("--data", type=Path, required=True, help="data directory to decode")
    parser.add_argument("--features", type=Path, required=True, help="folder with its feats.scp and utt2num_frames")
    parser.add_argument("--search", type=json_argument, required=True, help="JSON: an entry of `searches`, complete")
    parser.add_argument("--lm", type=Path, help="folder of the language model that the search names")
    parser.add_argument("--mask", type=Path, help="mask to decode the model with, e.g. that of the language")
    parser.add_argument("--train-text", type=Path, nargs="*", default=[], help="Kaldi text files, for lexicon search")
    parser.add_argument("--tokens", type=Path, help="tokens.txt, for lexicon search over word pieces")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to decode")
    parser.add_argument("--output", type=Path, required=True, help="folder for hypotheses.tsv and latency.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    loaded = load_model(arguments.model, device)
    check(arguments.search, loaded.tokens)
    if arguments.mask:
        Mask.load(arguments.mask).to(device).apply_(loaded.model)
    recognizer = Recognizer(
        model=loaded.model,
        tokenizer=tokenizer(arguments, loaded.tokens),
        device=device,
        lm=language_model(arguments.lm, loaded.tokens, device) if arguments.lm else None,
        sentences=[text for file in arguments.train_text for text in read_table(file).values()],
    )
    utterances = read_data_dir(arguments.data)
    features = read_features(arguments.features, [utterance.id for utterance in utterances])
    results = decode(recognizer, features, arguments.search)
    rows = [
        {
            "utterance": utterance.id,
            "reference": utterance.text,
            "duration_s": utterance.duration,
            **vars(results[utterance.id]),
        }
        for utterance in utterances
    ]
    write_tsv(arguments.output / "hypotheses.tsv", COLUMNS, rows)
    conditions = {"device": str(device), "batch": batch_size(arguments.search), "threads": threads()}
    write_json(arguments.output / "latency.json", latency(rows) | conditions)
    record |= conditions | {
        "utterances": len(utterances),
        "frames": sum(features.lengths.values()),
        "audio_s": round(sum(utterance.duration for utterance in utterances), 3),
    }


def tokenizer(arguments: argparse.Namespace, tokens: list[str]) -> Tokenizer:
    """The tokenizer of the model; word pieces can only be spelled with their own model beside `--tokens`."""
    if arguments.tokens is None:
        if arguments.search.get("type") == "lexicon" and SPACE not in tokens:
            raise SecateurError("lexicon search over word pieces needs --tokens with the tokens.txt of the model")
        return Tokenizer(tokens)
    tokenizer = Tokenizer.load(arguments.tokens)
    if tokenizer.tokens != tokens:
        raise SecateurError(
            f"{arguments.tokens}: not the token list of {arguments.model}; give the one it was trained on"
        )
    return tokenizer


if __name__ == "__main__":
    job(__doc__, add_arguments, run)
