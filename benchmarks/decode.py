"""Batched greedy decoding against the same model decoded one utterance at a time by ESPnet's own search.

The reference does what ESPnet's inference does for a CTC model: encode one utterance, then search with CTC prefix
scores, here with the smallest beam, one. Only the ratio of the two means anything on a shared machine: the two take
turns, times are CPU seconds (wall-clock on a GPU), and the ratio is that of the medians.

Both searches give the same words where the model is certain of every frame, since then the best path is the best
labelling. So without --model the benchmark makes a model of random weights with a sharpened CTC head, which puts out
about as many characters per second as LibriSpeech has (14.6). For a trained model the share of equal hypotheses is
what it is.

Example: python benchmarks/decode.py --utterances 100 --batch 16
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

from secateur import devices
from secateur.decoding import Recognizer, decode, encode
from secateur.models import Loaded, build_model, load_model
from secateur.tokens import Tokenizer

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
    parser.add_argument("--model", type=Path, help="folder of a trained CTC model (default: a random one)")
    parser.add_argument("--features", type=Path, help="folder with feats.scp to decode (default: made up)")
    parser.add_argument("--utterances", type=int, default=100, help="how many utterances (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="utterances per batch of ours (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="times that both are run (default: %(default)s)")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--at-least", type=float, help="exit with status 1 if the ratio is below this")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("espnet").setLevel(logging.ERROR)

    device = devices.pick(arguments.device)
    features = read(arguments.features, arguments.utterances) if arguments.features else made_up(arguments.utterances)
    if arguments.model:
        loaded = load_model(arguments.model, device)
        loaded.model.decoder = None
    else:
        loaded = random_model(features, device)
    tokenizer = Tokenizer(loaded.tokens)
    recognizer = Recognizer(loaded.model, tokenizer, device)

    # Both start warm.
    espnet(loaded.model, tokenizer, dict(list(features.items())[:2]), device)
    decode(recognizer, dict(list(features.items())[:2]), {"type": "ctc_greedy", "batch": 2})
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {"espnet": [], "ours": []}
    for _ in range(arguments.repeats):
        started = clock()
        reference = espnet(loaded.model, tokenizer, features, device)
        middle = clock()
        ours = decode(recognizer, features, {"type": "ctc_greedy", "batch": arguments.batch})
        seconds["espnet"].append(middle - started)
        seconds["ours"].append(clock() - middle)

    ratio = statistics.median(seconds["espnet"]) / statistics.median(seconds["ours"])
    equal = sum(ours[name].hypothesis == text for name, text in reference.items())
    audio = sum(map(len, features.values())) / 100
    characters = sum(map(len, reference.values()))
    print(
        f"{len(features)} utterances, {audio:.0f} s of audio, {characters / audio:.1f} characters per second, {device}"
    )
    print(f"ESPnet, one at a time   {statistics.median(seconds['espnet']):8.3f} s")
    print(f"ours, batches of {arguments.batch:<6} {statistics.median(seconds['ours']):8.3f} s")
    print(f"ratio                   {ratio:8.1f}")
    print(f"equal hypotheses        {equal:4} of {len(features)}")
    if not arguments.model and equal != len(features):
        sys.exit("the hypotheses differ")
    if arguments.at_least and ratio < arguments.at_least:
        sys.exit(f"the ratio is below {arguments.at_least}")


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
