"""Decode test sets with a model, or with sub-models of it: hypotheses and their error rates.

With --languages, there is one data directory for each, and the files have a column `language`; with --splits, they have
a column `split`, too. With --layers, the model is decoded without some of its layers: at all --depths that the
files have, at once, or at the greatest depth that a real-time factor allows; with --heads, without each set of heads
that a file has; with --exits, left early as each point of a file says. The files then have a column `sub_model`: the
layers that were kept, or the name of the set or point; hypotheses of early exits, a column `layers`: where each left.
"""

import argparse
import copy
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from secateur.core import devices, progress
from secateur.core.errors import SecateurError
from secateur.core.files import identity, read_json, write_tsv
from secateur.core.jobs import json_argument, threads
from secateur.decoding.parts import LANGUAGE, SPLIT, SUB_MODEL, Parts
from secateur.decoding.recognize import Recognizer, batch_size, check, decode, read_features
from secateur.decoding.search import TOKENS, named, reads
from secateur.decoding.tuning import applied
from secateur.exits import points
from secateur.exported import systems
from secateur.heads import removals
from secateur.layers.rtf import depth_within
from secateur.models.checkpoint import weights_file
from secateur.models.load import language_model, load_model
from secateur.models.sparse import FILE as SPARSE_FILE
from secateur.models.surgery.layers import read_depth, read_depths
from secateur.models.types import ENCODER
from secateur.pruning.engines.mask import Mask, mask_for
from secateur.speech.datadir import read_data_dir, read_table
from secateur.speech.tokens import SPACE, Tokenizer

SCORING = "secateur.scripts.score"
COLUMNS = ("utterance", "reference", "hypothesis", "duration_s")
LEFT_AT = "layers"
"""The column with the layer that an utterance left at."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="folder of the acoustic model")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data directories to decode")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="folder of the features of each")
    parser.add_argument("--languages", nargs="+", help="language of each; of one directory it may be left out")
    parser.add_argument("--splits", nargs="+", help="split of each, where a model is decoded on several")
    parser.add_argument("--search", type=json_argument, required=True, help="JSON: an entry of `searches`, complete")
    parser.add_argument("--tuned", type=Path, help="JSON file of tune-lms: take LM weight and length bonus from it")
    parser.add_argument("--tuned-as", help="name of the search there")
    parser.add_argument("--lm", type=Path, help="folder of the language model that the search names")
    parser.add_argument("--mask", type=Path, help="mask to decode the model with (the one that the model lists)")
    parser.add_argument("--layers", type=Path, nargs="+", help="JSON files of layer-search: decode sub-models")
    parser.add_argument("--depths", type=int, nargs="+", help="numbers of layers to keep (all that --layers have)")
    parser.add_argument("--rtf-budget", type=float, help="instead of --depths: the greatest that is as fast as this")
    parser.add_argument("--rtf", type=Path, help="timing.tsv of timing, for --rtf-budget")
    parser.add_argument("--rtf-search", help="name of the search there (its first)")
    parser.add_argument("--heads", type=Path, help="JSON file of head-removals: decode the model without its sets")
    parser.add_argument("--exits", type=Path, help="JSON file of decode-exits: decode the model left as its points say")
    parser.add_argument("--onnx", type=Path, help="JSON file of decode-onnx: decode the ONNX files beside it")
    parser.add_argument("--train-text", type=Path, nargs="*", default=[], help="Kaldi text files, for lexicon search")
    parser.add_argument("--tokens", type=Path, help="tokens.txt, for lexicon search over word pieces")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="where to decode")
    parser.add_argument("--keep", help="fingerprint of what decodes: keep finished languages for the next time")
    parser.add_argument("--output", type=Path, required=True, help="folder for hypotheses and error rates")


def run(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    sets = test_sets(arguments)
    device = devices.pick(arguments.device)
    if arguments.tuned:
        arguments.search = applied(arguments.search, read_json(arguments.tuned), arguments.tuned_as)
    loaded = load_model(arguments.model, device, sets[0].language or None)
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
    rows, seconds, frames = [], 0.0, 0
    for number, one in enumerate(sets):
        progress.JOB.part(number, len(sets))
        found, took = parts.get(one.name, test_files(one), partial(decoded, arguments, recognizer, one))
        rows, seconds = rows + found, seconds + took
        lengths = read_table(one.features / "utt2num_frames")
        frames += sum(int(lengths[name]) for name in {row["utterance"] for row in found})
    pruned = any(given is not None for given in parts_of(arguments))
    given = {SPLIT: arguments.splits, LANGUAGE: arguments.languages, SUB_MODEL: pruned}
    keys = [key for key, value in given.items() if value]
    columns = COLUMNS if arguments.exits is None else (*COLUMNS, LEFT_AT)
    write_tsv(arguments.output / "hypotheses.tsv", (*keys, *columns), rows)
    # By name, so that an edit of how errors are counted decodes nothing again (see `Parts`).
    utterances = importlib.import_module(SCORING).write(rows, arguments.output)
    record |= conditions | {
        "utterances": utterances,
        "frames": frames,
        "audio_s": round(
            sum({(*map(row.get, (SPLIT, LANGUAGE)), row["utterance"]): row["duration_s"] for row in rows}.values()), 3
        ),
        "decoding_seconds": round(seconds, 3),
    }
    parts.forget_others()


@dataclass(frozen=True)
class DataSet:
    """Data to decode: its split and language, "" where they have no name, and its folders."""

    split: str
    language: str
    data: Path
    features: Path

    @property
    def name(self) -> str:
        """Both names in one."""
        return "-".join(filter(None, (self.split, self.language)))


def test_sets(arguments: argparse.Namespace) -> list[DataSet]:
    """Every test set; without --languages there is one, of no name."""
    languages = arguments.languages or [""]
    splits = arguments.splits or [""] * len(languages)
    if not len(splits) == len(languages) == len(arguments.data) == len(arguments.features):
        raise SecateurError(
            f"--data has {len(arguments.data)} folders, --features {len(arguments.features)}, --languages "
            f"{len(arguments.languages or ())}, --splits {len(arguments.splits or ())}; give one of each for every set"
        )
    return list(map(DataSet, splits, languages, arguments.data, arguments.features))


def test_files(found: DataSet) -> list[Path]:
    """The small files that decide what a test set is."""
    names = (found.data / "text", found.data / "utt2dur", found.features / "utt2num_frames")
    checksums = found.features / "feats.crc32"
    return [*names, checksums if checksums.exists() else found.features / "feats.scp"]


def whole_identity(arguments: argparse.Namespace, conditions: dict[str, Any]) -> str:
    """A hash of all that decides hypotheses beside the test set."""
    folders = [arguments.model, *filter(None, [arguments.lm])]
    files = [file for folder in folders for file in (folder / "model.json", weights_file(folder))]
    files += sorted((arguments.model / "masks").glob("*"))
    given = [arguments.mask, *(arguments.layers or ()), arguments.rtf, arguments.heads, arguments.exits, arguments.onnx]
    given += arguments.train_text
    options = [arguments.keep, arguments.search, arguments.depths, arguments.rtf_budget, arguments.rtf_search]
    return identity([*options, conditions], [*files, *filter(None, [*given, arguments.tokens])])


def decoded(arguments: argparse.Namespace, recognizer: Recognizer, found: DataSet) -> list[dict[str, Any]]:
    """The rows of one test set, of all sub-models."""
    rows = []
    utterances = read_data_dir(found.data)
    languages = {utterance.id: utterance.language for utterance in utterances}
    features = read_features(found.features, list(languages), languages)
    written = named(arguments.search["type"]).written or (lambda text, _: text)
    model = masked(arguments, recognizer, found.language)
    for name, smaller in sub_models(arguments, model, str(recognizer.device)):
        results = decode(recognizer.running(smaller), features, arguments.search)
        axes = {SPLIT: found.split, LANGUAGE: found.language, SUB_MODEL: name}
        rows += [
            {
                **{key: value for key, value in axes.items() if value},
                "utterance": utterance.id,
                "reference": written(utterance.text, utterance.language),
                "duration_s": utterance.duration,
                "hypothesis": written(results[utterance.id].hypothesis, utterance.language),
                **({LEFT_AT: layer} if (layer := results[utterance.id].layers) else {}),
            }
            for utterance in utterances
        ]
    return rows


def masked(arguments: argparse.Namespace, recognizer: Recognizer, language: str) -> torch.nn.Module:
    """The model under the mask of a language, or the one for all; a dense one as it is."""
    if weights_file(arguments.model).name == SPARSE_FILE:
        if arguments.mask:
            raise SecateurError(f"--mask: {arguments.model} is a sparse file, which holds its masks; leave --mask out")
        return load_model(arguments.model, recognizer.device, language or None).model
    if not (mask := arguments.mask or mask_for(arguments.model, language or None)):
        return recognizer.model
    model = copy.deepcopy(recognizer.model)
    Mask.load(mask).to(recognizer.device).apply_(model)
    return model


def parts_of(arguments: argparse.Namespace) -> tuple[Any, ...]:
    """The files that say which parts of a model to decode."""
    return arguments.layers, arguments.heads, arguments.exits, arguments.onnx


def sub_models(
    arguments: argparse.Namespace, model: torch.nn.Module, device: str
) -> Iterator[tuple[str, torch.nn.Module]]:
    """The models to decode, each once, by the name of their layers or heads; the whole model alone has none."""
    if sum(given is not None for given in parts_of(arguments)) > 1:
        raise SecateurError(
            "give one of --layers, --heads, --exits and --onnx; a model without heads and layers is a checkpoint of "
            "its own"
        )
    for file, found in (
        (arguments.exits, points.sub_models),
        (arguments.heads, removals.sub_models),
        (arguments.onnx, systems.sub_models),
    ):
        if file:
            yield from found(model, file)
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
    if arguments.rtf and any(kept.of != ENCODER for kept in chosen):
        raise SecateurError("--rtf-budget is for layers of the encoder; name --depths of the decoder")
    for kept in dict.fromkeys(chosen):
        yield kept.name, kept.apply_(copy.deepcopy(model))


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
