"""What many tests start from: tiny models of every type, a training, data of two languages, scripts to call."""

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import kaldiio
import numpy as np

from secateur.speech.datadir import Utterance, write_data_dir

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "c", "<sos/eos>"]
NO_INNER_LOSS = {"layers": [], "weight": 0.0}
ENCODER = {
    "type": "transformer",
    "layers": 3,
    "dim": 16,
    "heads": 2,
    "ffn": 32,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "kernel": 5,
}
CTC = {
    "type": "ctc",
    "features": 20,
    "input": "stack",
    "stack": 3,
    "encoder": ENCODER,
    "intermediate_ctc": {"layers": [2], "weight": 0.4},
    "stochastic_depth": 0.5,
}
PLAIN = CTC | {
    "stack": 4,
    "encoder": ENCODER | {"layers": 1, "ffn": 16},
    "intermediate_ctc": NO_INNER_LOSS,
    "stochastic_depth": 0.0,
}
LM = {"type": "transformer_lm", "embedding": 8, "dim": 16, "heads": 2, "ffn": 32, "layers": 1, "dropout": 0.1}
TRAINING = {
    "steps": 2,
    "accumulate": 1,
    "batch_seconds": 1.0,
    "learning_rate": 0.001,
    "weight_decay": 0.1,
    "warmup": 0,
    "schedule": "constant",
    "clip": 100.0,
    "precision": "float32",
    "evaluate_every": 1,
    "average_best": 0,
    "checkpoint_seconds": 1000,
    "specaug": {"frequency_masks": 0, "time_masks": 0},
}
GREEDY = {"type": "ctc_greedy", "batch": 2, "batch_frames": 2000}
TEXTS = {"en": ["a b", "ab", "b b"], "fr": ["c", "ca c"]}


def with_encoder(config: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The configuration of a model with another encoder."""
    return {**config, "encoder": config["encoder"] | changes}


def hybrid(config: Mapping[str, Any], **decoder: Any) -> dict[str, Any]:
    """A model of type `ctc` as one with an attention decoder."""
    return {
        **config,
        "type": "hybrid",
        "input": "conv2d",
        "decoder": {"layers": 1, "heads": 2, "ffn": 32, "dropout": 0.1} | decoder,
        "ctc_weight": 0.3,
        "label_smoothing": 0.1,
    }


def transducer(config: Mapping[str, Any], **emformer: Any) -> dict[str, Any]:
    """A model of type `ctc` as a streaming transducer."""
    streaming = {"segment": 3, "left_context": 4, "right_context": 1, "memory": 2, "positions": True, "convolution": 3}
    return {
        **with_encoder(config, type="emformer", **streaming | emformer),
        "type": "rnnt",
        "predictor": {"embedding": 8, "dim": 8, "layers": 1, "dropout": 0.0},
        "joiner": {"dim": 8},
        "ctc_weight": 0.3,
    }


def write_features(folder: Path, frames: Mapping[str, int], bins: int = 20) -> None:
    """Random features (T, `bins`) of utterances, as `features.py` writes them."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    with kaldiio.WriteHelper(f"ark,scp:{folder}/feats.ark,{folder}/feats.scp") as writer:
        for name, length in frames.items():
            writer(name, generator.standard_normal((length, bins), np.float32))
    (folder / "utt2num_frames").write_text("".join(f"{name} {length}\n" for name, length in frames.items()))
    (folder / "cmvn.json").write_text("{}")


def write_corpus(folder: Path) -> None:
    """Data directories, features of 40 frames and tokens.txt: training and dev data with `TEXTS`."""
    for language, sentences in TEXTS.items():
        for split in ("train", "dev"):
            names = [f"{language}-{split}-{index}" for index in range(len(sentences))]
            utterances = [
                Utterance(name, f"{name}.wav", text, "s", language, 0.4)
                for name, text in zip(names, sentences, strict=True)
            ]
            write_data_dir(folder / "data" / language / split, utterances)
            write_features(folder / "features" / language / split, dict.fromkeys(names, 40))
    (folder / "tokens.txt").write_text("\n".join(TOKENS) + "\n")


def script(name: str) -> ModuleType:
    """The module of a command."""
    return importlib.import_module(f"secateur.scripts.{name}")


def run_script(name: str, *arguments: object) -> dict[str, Any]:
    """Call `run` of a script with the arguments of a command line; what it records."""
    module, parser, record = script(name), argparse.ArgumentParser(), {}
    module.add_arguments(parser)
    module.run(parser.parse_args([str(argument) for argument in arguments]), record)
    return record
