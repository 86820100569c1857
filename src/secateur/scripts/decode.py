"""Decode test sets with a model, or with sub-models of it: hypotheses, their times and their error rates.

With --languages, there is one data directory for each, and the files have a column `language`. With --layers, the model
is decoded without some of its encoder layers: at all --depths that the files have, at once, or at the greatest depth
that a real-time factor allows; with --heads, without each set of heads that a file has. The files then have a column
`sub_model`: the layers that were kept, or the name of the set.
"""

import argparse
import copy
import importlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.files import identity, write_json, write_tsv
from secateur.core.jobs import json_argument, threads
from secateur.decoding.parts import LANGUAGE, SUB_MODEL, Parts, nested
from secateur.decoding.recognize import Recognizer, batch_size, check, decode, read_features
from secateur.decoding.search import TOKENS, reads
from secateur.decoding.timing import PARTS, latency
from secateur.heads import removals
from secateur.layers.rtf import depth_within
from secateur.models.load import language_model, load_model
from secateur.models.surgery.layers import keep_layers, listed, read_depth, read_depths
from secateur.pruning.engines.mask import Mask, mask_for
from secateur.speech.datadir import read_data_dir, read_table
from secateur.speech.tokens import SPACE, Tokenizer

SCORING = "secateur.scripts.score"
COLUMNS = ("utterance", "reference", "hypothesis", "duration_s", *PARTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the acoustic model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories to decode")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--languages", nargs="+", help="language of each; of one directory it may be left out")
    parser.add_argument("--search", type=json_argument, required=True, help="JSON: an entry of `searches`, complete")
    parser.add_argument("--lm", type=Path, help="folder of the language model that the search names")
    parser.add_argument("--mask", type=Path, help="mask to decode the model with (the one that the model lists)")
    parser.add_argument("--layers", type=Path, nargs="+", help="JSON files of layer_search.py: decode sub-models")
    parser.add_argument("--depths", type=int, nargs="+", help="numbers of layers to keep (all that --layers have)")
    parser.add_argument("--rtf-budget", type=float, help="instead of --depths: the greatest that is as fast as this")
    parser.add_argument("--rtf", type=Path, help="rtf.tsv of depth_rtf.py, for --rtf-budget")
    parser.add_argument("--rtf-search", help="name of the search there (its first)")
    parser.add_argument("--heads", type=Path, help="JSON file of head_removals.py: decode the model without its sets")
    parser.add_argument("--train-text", type=Path, nargs="*", default=[], help="Kaldi text files, for lexicon search")
    parser.add_argument("--tokens", type=Path, help="tokens.txt, for lexicon search over word pieces")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to decode")
    parser.add_argument("--keep", help="fingerprint of what decodes: keep finished languages for the next time")
    parser.add_argument("--output", type=Path, required=True, help="folder for hypotheses, times and error rates")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    sets = test_sets(arguments)
    device = devices.pick(arguments.device)
    loaded = load_model(arguments.model, device)
    check(arguments.search, loaded.tokens)
    recognizer = Recognizer(
        model=loaded.model,
        tokenizer=tokenizer(arguments, loaded.tokens),
        device=device,
        lm=language_model(arguments.lm, loaded.tokens, device) if arguments.lm else None,
        sentences=[text for file in arguments.train_text for text in read_table(file).values()],
    )
    conditions = {"device": str(device), "batch": batch_size(arguments.search), "threads": threads()}
    parts = Parts(arguments.output, arguments.keep and whole_identity(arguments, conditions))
    rows, times, seconds, frames = [], {}, 0.0, 0
    for language, data, features in sets:
        make = partial(decoded, arguments, recognizer, language, data, features)
        found, took = parts.get(language, test_files(data, features), make)
        rows, seconds = rows + found, seconds + took
        lengths = read_table(features / "utt2num_frames")
        frames += sum(int(lengths[name]) for name in {row["utterance"] for row in found})
        for name in dict.fromkeys(row.get(SUB_MODEL, "") for row in found):
            times[language, name] = latency([row for row in found if row.get(SUB_MODEL, "") == name]) | conditions
    pruned = arguments.layers is not None or arguments.heads is not None
    keys = [*([LANGUAGE] if arguments.languages else []), *([SUB_MODEL] if pruned else [])]
    write_tsv(arguments.output / "hypotheses.tsv", (*keys, *COLUMNS), rows)
    write_json(arguments.output / "latency.json", nested(times))
    # By name, so that an edit of how errors are counted decodes nothing again (see `Parts`).
    utterances = importlib.import_module(SCORING).write(rows, arguments.output)
    record |= conditions | {
        "utterances": utterances,
        "frames": frames,
        "audio_s": round(sum({(row.get(LANGUAGE), row["utterance"]): row["duration_s"] for row in rows}.values()), 3),
        "decoding_seconds": round(seconds, 3),
    }
    parts.forget_others()


def test_sets(arguments: argparse.Namespace) -> list[tuple[str, Path, Path]]:
    """Language, data directory and features of every test set; without --languages there is one, of no name."""
    languages = arguments.languages or [""]
    if not len(languages) == len(arguments.data) == len(arguments.features):
        raise SecateurError(
            f"--data has {len(arguments.data)} folders, --features {len(arguments.features)}, --languages "
            f"{len(arguments.languages or ())}; give one of each for every test set"
        )
    return list(zip(languages, arguments.data, arguments.features, strict=True))


def test_files(data: Path, features: Path) -> list[Path]:
    """The small files that decide what a test set is."""
    names = (data / "text", data / "utt2dur", features / "utt2num_frames")
    checksums = features / "feats.crc32"
    return [*names, checksums if checksums.exists() else features / "feats.scp"]


def whole_identity(arguments: argparse.Namespace, conditions: dict[str, Any]) -> str:
    """A hash of all that decides hypotheses beside the test set."""
    folders = [arguments.model, *filter(None, [arguments.lm])]
    files = [folder / name for folder in folders for name in ("model.json", "model.safetensors")]
    files += sorted((arguments.model / "masks").glob("*"))
    given = [arguments.mask, *(arguments.layers or ()), arguments.rtf, arguments.heads, *arguments.train_text]
    options = [arguments.keep, arguments.search, arguments.depths, arguments.rtf_budget, arguments.rtf_search]
    return identity([*options, conditions], [*files, *filter(None, [*given, arguments.tokens])])


def decoded(
    arguments: argparse.Namespace, recognizer: Recognizer, language: str, data: Path, folder: Path
) -> list[dict[str, Any]]:
    """The rows of one test set, of all sub-models."""
    rows = []
    utterances = read_data_dir(data)
    features = read_features(folder, [utterance.id for utterance in utterances])
    model = recognizer.model
    if mask := arguments.mask or mask_for(arguments.model, language or None):
        model = copy.deepcopy(model)
        Mask.load(mask).to(recognizer.device).apply_(model)
    for name, smaller in sub_models(arguments, model, str(recognizer.device)):
        results = decode(replace(recognizer, model=smaller), features, arguments.search)
        rows += [
            {
                **({LANGUAGE: language} if language else {}),
                **({SUB_MODEL: name} if name else {}),
                "utterance": utterance.id,
                "reference": utterance.text,
                "duration_s": utterance.duration,
                **vars(results[utterance.id]),
            }
            for utterance in utterances
        ]
    return rows


def sub_models(
    arguments: argparse.Namespace, model: torch.nn.Module, device: str
) -> Iterator[tuple[str, torch.nn.Module]]:
    """The models to decode, each once, by the name of their layers or heads; the whole model alone has none."""
    if arguments.heads and arguments.layers:
        raise SecateurError("give --layers or --heads, not both; a model without both is a checkpoint of its own")
    if arguments.heads:
        yield from removals.sub_models(model, arguments.heads)
        return
    if arguments.layers is None:
        if arguments.depths or arguments.rtf_budget:
            raise SecateurError("--depths and --rtf-budget need --layers, the files that say which layers to keep")
        yield "", model
        return
    if (arguments.rtf_budget is None) != (arguments.rtf is None) or (arguments.rtf and arguments.depths):
        raise SecateurError("which depths? give --depths, or both --rtf-budget and --rtf, or none of them for all")
    depths = arguments.depths
    if arguments.rtf:
        depths = [depth_within(arguments.rtf, arguments.rtf_budget, device, arguments.rtf_search)]
    chosen = [read_depth(file, depth) for file in arguments.layers for depth in (depths or read_depths(file))]
    for kept in dict.fromkeys(map(tuple, chosen)):
        yield listed(kept, ","), keep_layers(copy.deepcopy(model), kept)


def tokenizer(arguments: argparse.Namespace, tokens: list[str]) -> Tokenizer:
    """The tokenizer of the model; word pieces can only be spelled with their own model beside `--tokens`."""
    if arguments.tokens is None:
        if TOKENS in reads(arguments.search["type"]) and SPACE not in tokens:
            raise SecateurError(
                f"{arguments.search['type']} search over word pieces needs --tokens with the tokens.txt of the model"
            )
        return Tokenizer(tokens)
    tokenizer = Tokenizer.load(arguments.tokens)
    if tokenizer.tokens != tokens:
        raise SecateurError(
            f"{arguments.tokens}: not the token list of {arguments.model}; give the one it was trained on"
        )
    return tokenizer
