"""How long attention takes, by block and number of heads, measured on the model's own architecture.

All layers of a block get the same number of heads, 0, 1, 2, …, and the model runs as it does for one utterance: the
encoder over so many frames, an attention decoder step by step over so many tokens, for so many hypotheses. What is left
above the time with no attention at all, by the number of layers, is the time of one attention block with all that
belongs to it: norm, projections, position bias, scores, output.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from secateur.decoding.recognize import Stopwatch, encode
from secateur.decoding.timing import PARTS, Timed, measure
from secateur.models.build import build_model
from secateur.models.load import whole as whole_config
from secateur.models.size import noise
from secateur.models.surgery.heads import BLOCKS, Head, heads, remove_heads

FRAMES_PER_SECOND = 100


@torch.inference_mode()
def attention_times(
    config: Mapping[str, Any],
    tokens: Sequence[str],
    frames: int,
    steps: int,
    beam: int,
    repeats: int,
    device: torch.device,
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """Median seconds per utterance of an attention block with 0, 1, 2, … heads, by block; and how sound they are.

    Weights and speech are random: time does not depend on them. All numbers of heads are timed in random order, in
    rounds; every round gives a difference, and the median of these counts. How sound the times of a block are is told
    by `secateur.decoding.timing.Measurement.conditions`; the whole model is the one that is timed twice.

    Args:
        config, tokens: of the model, whole or smaller; its whole architecture is what is measured.
        frames: feature frames of an utterance.
        steps: tokens of an utterance, for a decoder.
        beam: hypotheses that a decoder extends together.
        repeats: rounds, after one in vain.
    """
    whole = build_model(whole_config(config), tokens).to(device).eval()
    speech = noise(whole, [frames], config["features"], torch.Generator().manual_seed(0)).to(device)
    lengths = torch.tensor([frames], device=device)
    memory, _ = encode(whole, speech, lengths)

    def run_encoder(model: torch.nn.Module) -> None:
        encode(model, speech, lengths)

    def run_decoder(model: torch.nn.Module) -> None:
        if not hasattr(model.decoder, "batch_score"):  # Whisper's, which is transformers'
            _generate(model, memory.expand(beam, -1, -1), steps)
            return
        prefixes, states = torch.full((beam, 1), model.sos, device=device), [None] * beam
        for _ in range(steps):
            scores, states = model.decoder.batch_score(prefixes, states, memory.expand(beam, -1, -1))
            prefixes = torch.cat([prefixes, scores.argmax(-1, keepdim=True)], dim=1)

    found, conditions = {}, {}
    for block in BLOCKS:
        numbers = sorted({head.head for head in heads(whole) if head.block == block})
        layers = {head.layer for head in heads(whole) if head.block == block}
        if not numbers:
            continue
        run = run_encoder if block == "encoder-self" else run_decoder
        counts = range(len(numbers) + 1)
        systems = {count: _timed(run, _with_heads(whole, block, count), device) for count in counts}
        measured = measure(systems, counts[-1], {"random speech": frames / FRAMES_PER_SECOND}, repeats)
        seconds = {count: np.array([row[PARTS[0]] for row in measured.rows[count]]) for count in counts}
        found[block] = [float(np.median(seconds[count] - seconds[0])) / len(layers) for count in counts]
        conditions[block] = measured.conditions
    return found, conditions


def _generate(model: torch.nn.Module, memory: torch.Tensor, steps: int) -> None:
    """Run a decoder of transformers' as its generation does, which keeps keys and values of the tokens so far.

    Args:
        memory: the encoder's output (B, T, D), once for each hypothesis.
    """
    tokens, kept = torch.full((len(memory), 1), model.sos, device=memory.device), None
    for _ in range(steps):
        found = model.decoder(tokens, encoder_hidden_states=memory, past_key_values=kept, use_cache=True)
        logits = torch.nn.functional.linear(found.last_hidden_state, model.decoder.embed_tokens.weight)
        tokens, kept = logits.argmax(-1), found.past_key_values


def _timed(run: Callable[[torch.nn.Module], None], model: torch.nn.Module, device: torch.device) -> Timed:
    def seconds(_: str) -> dict[str, float]:
        watch = Stopwatch(device)
        with watch:
            run(model)
        return dict.fromkeys(PARTS, 0.0) | {PARTS[0]: watch.seconds}

    return seconds


def _with_heads(whole: torch.nn.Module, block: str, count: int) -> torch.nn.Module:
    """A copy with the first `count` heads in every layer of a block; it shares all other weights with `whole`."""
    model = copy.deepcopy(whole, {id(parameter): parameter for parameter in whole.parameters()})
    removed: list[Head] = [head for head in heads(model) if head.block == block and head.head > count]
    return remove_heads(model, removed)
