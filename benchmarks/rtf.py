"""Real-time factor of a 24-layer Transformer CTC model at its full and at smaller depths, decoded greedily.

The model is that of the authors' published configuration for layer pruning on demand: conv2d input, 24 layers, 256
wide, 4 heads, FFN 2048, characters. Its weights are random and so is the speech: the time does not depend on them, what
it would recognise does. The published figures, on a GPU that is not named, are 0.005 for the whole model and 0.002 for
a pruned one, whose depth is not said.

All depths take turns; a real-time factor is seconds of computation per second of audio, that of a device and depth the
median over --repeats. Of a CPU it is taken with one thread and one utterance at a time, of a GPU with one utterance and
with a batch. Only ratios mean anything on a shared machine. Beside it stands where the time goes: the front end, which
is the same at every depth, the encoder's layers, and the search. --channels removes shares of the channels of the front
end's two convolutions, too, as `secateur prune-channels` does.

    python benchmarks/rtf.py --depths 24 12 8 6 --channels 0 0.5
"""

import argparse
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from secateur.decoding.recognize import Features, Recognizer, Stopwatch, prepare
from secateur.decoding.timing import PARTS, latency, measure
from secateur.heads.parts import CHANNELS, importance, removed_at
from secateur.models.build import build_model
from secateur.models.surgery.channels import remove_channels
from secateur.models.surgery.layers import keep_layers
from secateur.speech.tokens import Tokenizer

LAYERS = 24
PUBLISHED = (0.005, 0.002)
TOKENS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'", "<sos/eos>"]
CONFIG: dict[str, Any] = {
    "type": "ctc",
    "features": 80,
    "input": "conv2d",
    "encoder": {
        "type": "transformer",
        "layers": LAYERS,
        "dim": 256,
        "heads": 4,
        "ffn": 2048,
        "dropout": 0.1,
        "attention_dropout": 0.0,
    },
    "intermediate_ctc": {"layers": [6, 12], "weight": 0.66},
    "stochastic_depth": 0.3,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[24, 12, 8, 6], help="(default: 24 12 8 6)")
    parser.add_argument("--channels", type=float, nargs="+", default=[0.0], help="shares removed (default: 0)")
    parser.add_argument("--utterances", type=int, default=6, help="of 3 to 12 seconds (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="utterances in a GPU's batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="times that each is run (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU (default: %(default)s)")
    arguments = parser.parse_args()
    if any(not 1 <= depth <= LAYERS for depth in arguments.depths):
        parser.error(f"--depths are from 1 to {LAYERS}")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger().setLevel(logging.ERROR)  # ESPnet warns of what is meant to be
    torch.set_num_threads(arguments.threads)

    print(f"{LAYERS} × {CONFIG['encoder']['dim']} Transformer CTC, random weights, made-up features, greedy")
    report(torch.device("cpu"), 1, arguments.utterances, arguments)
    if torch.cuda.is_available():
        for batch in (1, arguments.batch):
            report(torch.device("cuda"), batch, max(arguments.utterances, 4 * batch), arguments)
    else:
        print("\nno GPU is visible: nothing to compare with the published figures, which are of a GPU")
    full, pruned = PUBLISHED
    print(f"\npublished, GPU: {full} → {pruned}, ratio {pruned / full:.2f}")


def report(device: torch.device, batch: int, utterances: int, arguments: argparse.Namespace) -> None:
    """Print the real-time factor of every depth on a device."""
    features = Features(made_up(utterances))
    audio = sum(features.lengths.values()) / 100
    search = {"type": "ctc_greedy", "batch": batch, "batch_frames": 10**9}
    sizes = [(depth, share) for share in arguments.channels for depth in arguments.depths]
    recognizers = {size: recognizer(*size, device) for size in sizes}
    systems = {size: timed(found, search, features) for size, found in recognizers.items()}
    found = measure(systems, sizes[0], {"all": audio}, arguments.repeats)
    factors = {size: latency(found.rows[size])["rtf"] for size in sizes}

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {arguments.threads} thread(s)"
    print(f"\n{name}, batch {batch}, {utterances} utterances, {audio:.0f} s of audio")
    widths = {"depth": 6, "channels": 10, "RTF": 10, "ratio": 14, "parameters": 14}
    widths |= {"front end": 12, "layers": 10, "search": 10}
    print("".join(f"{title:>{width}}" for title, width in widths.items()))
    for (depth, share), factor in factors.items():
        one = recognizers[depth, share]
        parameters = sum(parameter.numel() for parameter in one.model.parameters())
        shares = where(one, search, features, arguments.repeats)
        print(
            f"{depth:6}{f'-{share:.0%}':>10}{factor:10.5f}{factor / factors[sizes[0]]:14.3f}{parameters / 1e6:12.2f} M"
            f"{100 * shares[0]:10.0f} %{100 * shares[1]:8.0f} %{100 * shares[2]:8.0f} %"
        )
    ratio, low, high = found.same
    print(f"depth {sizes[0][0]} timed twice: ratio {ratio:.3f}, interval {low:.3f} to {high:.3f}")
    if found.doubt:
        print(f"not to be relied on: {found.doubt}")


def where(
    recognizer: Recognizer, search: dict[str, Any], features: Features, repeats: int
) -> tuple[float, float, float]:
    """The shares of the time that go into the front end, the encoder's layers, and the search; medians."""
    decoder, watch, found = prepare(recognizer, search), Stopwatch(recognizer.device), []
    embed = recognizer.model.encoder.embed
    hooks = [
        embed.register_forward_pre_hook(lambda *_: watch.__enter__() and None),
        embed.register_forward_hook(lambda *_: watch.__exit__()),
    ]
    with torch.inference_mode():
        for _ in range(repeats + 1):  # the first is not counted
            watch.seconds = 0.0
            results = decoder(features).values()
            encoder, rest = (sum(getattr(one, part) for one in results) for part in ("encoder_s", "search_s"))
            found.append((watch.seconds, encoder - watch.seconds, rest))
    for hook in hooks:
        hook.remove()
    front, layers, rest = np.median(found[1:], axis=0)
    total = front + layers + rest
    return front / total, layers / total, rest / total


def timed(recognizer: Recognizer, search: dict[str, Any], features: Features) -> Callable[[str], dict[str, float]]:
    """What decodes all utterances, in batches, as though they were one."""
    decoder = prepare(recognizer, search)

    @torch.inference_mode()
    def seconds(_: str) -> dict[str, float]:
        results = decoder(features).values()
        return {part: sum(getattr(result, part) for result in results) for part in PARTS}

    return seconds


def recognizer(depth: int, share: float, device: torch.device) -> Recognizer:
    """The model with layers spread evenly over it, and less front end; which ones go does not matter for the time."""
    torch.manual_seed(0)
    layers = [round((position + 1) * LAYERS / depth) for position in range(depth)]
    model = keep_layers(build_model(CONFIG, TOKENS), layers)
    remove_channels(model, removed_at(importance(model, CHANNELS, "random", [], seed=0), CHANNELS, share))
    model.to(device).eval()
    return Recognizer(model, Tokenizer(TOKENS), device)


def made_up(utterances: int) -> dict[str, np.ndarray]:
    """Random features (T, 80) of 3 to 12 seconds."""
    generator = np.random.default_rng(0)
    return {
        f"utterance{index:04d}": generator.standard_normal((int(generator.integers(300, 1200)), 80), np.float32)
        for index in range(utterances)
    }


if __name__ == "__main__":
    main()
