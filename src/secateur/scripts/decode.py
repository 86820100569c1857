"""Decode a test set with a model, or with sub-models of it: hypotheses and the seconds that each utterance took.

With --layers, the model is decoded without some of its encoder layers: at all --depths that the files have, at once, or
at the greatest depth that a real-time factor allows; with --heads, without each set of heads that a file has. The
tables then have a column `sub_model`: the layers that were kept, or the name of the set.
"""

import argparse
import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices
from secateur.core.errors import SecateurError
from secateur.core.files import write_json, write_tsv
from secateur.core.jobs import json_argument, threads
from secateur.decoding.recognize import Recognizer, batch_size, check, decode, language_model, read_features
from secateur.decoding.timing import PARTS, latency
from secateur.heads import removals
from secateur.layers.rtf import depth_within
from secateur.models.load import load_model
from secateur.models.surgery.layers import keep_layers, listed, read_depth, read_depths
from secateur.pruning.engines.mask import Mask, mask_for
from secateur.speech.datadir import read_data_dir, read_table
from secateur.speech.tokens import SPACE, Tokenizer

SUB_MODEL = "sub_model"
COLUMNS = ("utterance", "reference", "hypothesis", "duration_s", *PARTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the acoustic model")
    parser.add_argument("--data", type=Path, required=True, help="data directory to decode")
    parser.add_argument("--features", type=Path, required=True, help="folder with its feats.scp and utt2num_frames")
    parser.add_argument("--search", type=json_argument, required=True, help="JSON: an entry of `searches`, complete")
    parser.add_argument("--lm", type=Path, help="folder of the language model that the search names")
    parser.add_argument("--language", help="language of the data, for a model with a mask for each")
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
    parser.add_argument("--output", type=Path, required=True, help="folder for hypotheses.tsv and latency.json")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    device = devices.pick(arguments.device)
    loaded = load_model(arguments.model, device)
    check(arguments.search, loaded.tokens)
    if mask := arguments.mask or mask_for(arguments.model, arguments.language):
        Mask.load(mask).to(device).apply_(loaded.model)
    recognizer = Recognizer(
        model=loaded.model,
        tokenizer=tokenizer(arguments, loaded.tokens),
        device=device,
        lm=language_model(arguments.lm, loaded.tokens, device) if arguments.lm else None,
        sentences=[text for file in arguments.train_text for text in read_table(file).values()],
    )
    utterances = read_data_dir(arguments.data)
    features = read_features(arguments.features, [utterance.id for utterance in utterances])
    conditions = {"device": str(device), "batch": batch_size(arguments.search), "threads": threads()}
    rows, times = [], {}
    for name, model in sub_models(arguments, loaded.model, str(device)):
        results = decode(replace(recognizer, model=model), features, arguments.search)
        found = [
            {
                **({SUB_MODEL: name} if name else {}),
                "utterance": utterance.id,
                "reference": utterance.text,
                "duration_s": utterance.duration,
                **vars(results[utterance.id]),
            }
            for utterance in utterances
        ]
        rows += found
        times[name] = latency(found) | conditions
    pruned = arguments.layers is not None or arguments.heads is not None
    write_tsv(arguments.output / "hypotheses.tsv", (SUB_MODEL, *COLUMNS) if pruned else COLUMNS, rows)
    write_json(arguments.output / "latency.json", times if pruned else times[""])
    record |= conditions | {
        "utterances": len(utterances),
        "frames": sum(features.lengths.values()),
        "audio_s": round(sum(utterance.duration for utterance in utterances), 3),
    }


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
        if arguments.search.get("type") == "lexicon" and SPACE not in tokens:
            raise SecateurError("lexicon search over word pieces needs --tokens with the tokens.txt of the model")
        return Tokenizer(tokens)
    tokenizer = Tokenizer.load(arguments.tokens)
    if tokenizer.tokens != tokens:
        raise SecateurError(
            f"{arguments.tokens}: not the token list of {arguments.model}; give the one it was trained on"
        )
    return tokenizer
