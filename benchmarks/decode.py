"""Batched greedy decoding against the same model decoded one utterance at a time, in two ways.

- ESPnet, one at a time: what ESPnet's own inference does for a CTC model: encode one utterance, then search with CTC
  prefix scores (its class BatchBeamSearch), here with the smallest beam, one.
- ours, one at a time: our greedy search with batches of one. What is left of the ratio is what batching itself gains.

Only ratios mean anything on a shared machine: the three take turns, times are CPU seconds (wall-clock on a GPU), and a
ratio is that of the medians.

The two searches give the same words where the model is certain of every frame, since then the best path is the best
labelling. So the benchmark first makes a model of random weights with a sharpened CTC head, which puts out about as
many characters per second as LibriSpeech has (14.6), and made-up features; there, all hypotheses have to be equal.
With --model and --features it then decodes these as well: of a trained model, the share of hypotheses that ESPnet's
search finds, too, is what it is, but those of our batches have to be those of our single utterances.

    python benchmarks/decode.py --utterances 100 --batch 16
    python benchmarks/decode.py --model results/default/models/asterisk/ctc/all/dense/s000/seed1 \\
        --features results/default/features/asterisk/en/test results/default/features/asterisk/fr/test
"""

import argparse
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from secateur.core import devices
from secateur.decoding.recognize import Recognizer, decode, encode
from secateur.models.build import build_model
from secateur.models.load import Loaded, load_model
from secateur.speech.tokens import Tokenizer

BLANKS = 0.45  # share of the model's 25 frames per second
SOUND = 5  # frames of features that are alike
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'", "<sos/eos>"]
CONFIG: dict[str, Any] = {
    "type": "ctc",
    "features": 80,
    "input": "stack",
    "stack": 4,
    "encoder": {
        "type": "conformer",
        "layers": 4,
        "dim": 144,
        "heads": 4,
        "ffn": 576,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "kernel": 9,
    },
    "intermediate_ctc": {"layers": [], "weight": 0.0},
    "stochastic_depth": 0.0,
    "label_smoothing": 0.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a trained CTC model to decode as well")
    parser.add_argument("--features", type=Path, nargs="+", help="folders with feats.scp to decode with it")
    parser.add_argument("--utterances", type=int, default=100, help="utterances of each (default: %(default)s)")
    parser.add_argument(
        "--batch", type=int, default=16, help="most utterances in a batch of ours (default: %(default)s)"
    )
    parser.add_argument("--batch-frames", type=int, default=2000, help="most frames in it (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="times that each is run (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--at-least", type=float, help="exit with status 1 if the first ratio is below")
    arguments = parser.parse_args()
    if bool(arguments.model) != bool(arguments.features):
        parser.error("--model and --features need each other")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("espnet").setLevel(logging.ERROR)

    device = devices.pick(arguments.device)
    features = made_up(arguments.utterances)
    print("A model that is certain of every frame, made-up features")
    ratio, equal = compare(random_model(features, device), features, device, arguments)
    if equal != len(features):
        sys.exit("the hypotheses differ")
    if arguments.at_least and ratio < arguments.at_least:
        sys.exit(f"the ratio is below {arguments.at_least}")
    if arguments.model:
        loaded = load_model(arguments.model, device)
        loaded.model.decoder = None
        for folder in arguments.features:
            print(f"\n{arguments.model}, {folder}")
            compare(loaded, read(folder, arguments.utterances), device, arguments)


def compare(
    loaded: Loaded, features: dict[str, np.ndarray], device: torch.device, arguments: argparse.Namespace
) -> tuple[float, int]:
    """Decode the features in all ways and print the times; (ESPnet over our batches, equal hypotheses of the two)."""
    tokenizer = Tokenizer(loaded.tokens)
    recognizer = Recognizer(loaded.model, tokenizer, device)
    together = {"type": "ctc_greedy", "batch": arguments.batch, "batch_frames": arguments.batch_frames}

    def ours(search: dict[str, Any]) -> dict[str, str]:
        return {name: result.hypothesis for name, result in decode(recognizer, features, search).items()}

    ways = {
        "ESPnet, one at a time": lambda: espnet(loaded.model, tokenizer, features, device),
        "ours, one at a time": lambda: ours(together | {"batch": 1}),
        f"ours, up to {arguments.batch} and {arguments.batch_frames} frames": lambda: ours(together),
    }
    espnet(loaded.model, tokenizer, dict(list(features.items())[:2]), device)  # ours warms up by itself, and is timed
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts = {}
    for _ in range(arguments.repeats):
        for name, way in ways.items():
            started = clock()
            texts[name] = way()
            seconds[name].append(clock() - started)

    times = [statistics.median(seconds[name]) for name in ways]
    reference, alone, batched = (texts[name] for name in ways)
    equal = sum(batched[name] == text for name, text in reference.items())
    audio = sum(map(len, features.values())) / 100
    characters = sum(map(len, batched.values())) / audio
    print(f"{len(features)} utterances, {audio:.0f} s of audio, {characters:.1f} characters per second, {device}")
    for name, value in zip(ways, times, strict=True):
        print(f"  {name:32} {value:8.3f} s    ratio {value / times[-1]:6.2f}")
    print(f"  {'hypotheses as by ESPnet':32} {equal:4} of {len(features)}")
    if batched != alone:
        sys.exit("the hypotheses depend on the batch")
    return times[0] / times[-1], equal


@torch.inference_mode()
def espnet(
    model: torch.nn.Module, tokenizer: Tokenizer, features: dict[str, np.ndarray], device: torch.device
) -> dict[str, str]:
    """Texts of the utterances by ESPnet's search."""
    from espnet.nets.batch_beam_search import BatchBeamSearch
    from espnet.nets.scorers.ctc import CTCPrefixScorer

    search = BatchBeamSearch(
        scorers={"ctc": CTCPrefixScorer(model.ctc, model.eos)},
        weights={"ctc": 1.0},
        beam_size=1,
        vocab_size=len(tokenizer.tokens),
        sos=model.sos,
        eos=model.eos,
    ).to(device)
    texts = {}
    for utterance, matrix in features.items():
        speech = torch.from_numpy(np.array(matrix))[None].to(device)
        encoder_out, _ = model.encode(speech, torch.tensor([len(matrix)], device=device))
        encoder_out = encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out
        texts[utterance] = tokenizer.decode(search(encoder_out[0])[0].yseq.tolist())
    return texts


def read(folder: Path, utterances: int) -> dict[str, np.ndarray]:
    """The first utterances of a features folder."""
    import kaldiio

    archive = kaldiio.load_scp(str(folder / "feats.scp"))
    return {name: np.array(archive[name]) for name in list(archive)[:utterances]}


def made_up(utterances: int) -> dict[str, np.ndarray]:
    """Features (T, 80) of one to six seconds: random sounds, with a little noise."""
    generator = np.random.default_rng(0)
    features = {}
    for index in range(utterances):
        frames = int(generator.integers(100, 600))
        sounds = generator.standard_normal((frames // SOUND + 1, 80))
        matrix = sounds.repeat(SOUND, axis=0)[:frames] + 0.1 * generator.standard_normal((frames, 80))
        features[f"utterance{index:04d}"] = matrix.astype(np.float32)
    return features


@torch.inference_mode()
def random_model(features: dict[str, np.ndarray], device: torch.device) -> Loaded:
    """A model of random weights that puts out blank for `BLANKS` of the frames and is certain of every frame."""
    torch.manual_seed(0)
    model = build_model(CONFIG, TOKENS).to(device).eval()
    head = model.ctc.ctc_lo
    torch.nn.init.normal_(head.weight, std=1e6)
    torch.nn.init.zeros_(head.bias)
    head.bias[model.eos] = -1e9  # CTC never learns to put it out, and ESPnet's search cannot
    margins = []
    for matrix in list(features.values())[:20]:
        encoder_out, _ = encode(
            model, torch.from_numpy(matrix)[None].to(device), torch.tensor([len(matrix)]).to(device)
        )
        logits = head(encoder_out)[0]
        margins.append(logits[:, 1:].amax(dim=1) - logits[:, 0])
    head.bias[0] = torch.quantile(torch.cat(margins), BLANKS)
    return Loaded(model, CONFIG, TOKENS)


if __name__ == "__main__":
    main()
