"""Speed of a training step: seconds of audio per core second, against ESPnet's own encoder and plain matrix products.

    ours      the step of `secateur.training.loop`: forward, backward, clipping, AdamW, a model of the zoo
    espnet    the same with the encoder class of ESPnet as it is, of the same sizes, and torch's own dropout
    products  nothing but the matrix products of ours, forward and backward, of its linear layers and its attention, on
              numbers that are there already: a bound that no step goes below in this precision

Made-up speech of one to six seconds, as in benchmarks/masking.py. All three take turns on a batch, and a ratio is
that of the times of one batch, by core seconds: only the ratios mean anything on a shared machine. The columns are
medians; lengths are those of the speech, without padding.

    python benchmarks/training.py                       # about a minute on one core
    python benchmarks/training.py --model hybrid --precision float32
"""

import argparse
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from espnet.nets.pytorch_backend.transformer.attention import MultiHeadedAttention
from espnet2.asr.encoder.conformer_encoder import ConformerEncoder
from espnet2.asr.encoder.transformer_encoder import TransformerEncoder
from masking import TOKENS, Speech, recipe

from secateur.core import devices
from secateur.models.build import build_model
from secateur.models.conformer import PointwiseConv
from secateur.models.dropout import Dropout
from secateur.models.specaug import specaug
from secateur.speech.data import BatchPlan
from secateur.training.optimizer import make_optimizer
from secateur.training.options import TrainingOptions

CPU = torch.device("cpu")
LEFT_OUT = 2  # first steps
Products = list[tuple[tuple[int, ...], tuple[int, ...]]]  # shapes of the factors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="ctc-multilingual", help="a model of the study pretrain, ctc or hybrid (%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=30, help="steps of each (default: %(default)s)")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)

    entry, options = recipe(arguments.model, precision=arguments.precision)
    seconds, times = measure(entry, options, arguments.steps)
    dtype = devices.autocast_dtype(CPU, arguments.precision) or torch.float32
    size = sum(parameter.numel() for parameter in build_model(entry, TOKENS).parameters())
    print(f"{arguments.model}: {size:,} parameters, batches of {options.batch_seconds:g} s, {dtype}, one core")
    report(seconds, times)


def measure(
    entry: Mapping[str, Any], options: TrainingOptions, steps: int
) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds of audio of every batch, and by name the core seconds that each took."""
    speech = Speech(entry["features"])
    plan = BatchPlan(speech.lengths, int(100 * options.batch_seconds), 1)
    model = build(entry, options)
    runs = {"ours": stepper(model, options), "espnet": stepper(as_espnet(build(entry, options), entry), options)}
    audio, times = [], {name: [] for name in (*runs, "products")}
    for step in range(steps):
        batch = speech.load(plan.step(step)).tensors
        torch.manual_seed(step)  # the same layers are skipped everywhere
        multiply = multiplications(model, batch, options.precision)
        names = deque(times)
        names.rotate(step)  # whoever is first finds nothing in the caches
        for name in names:
            torch.manual_seed(step)
            seconds = core_seconds(multiply if name == "products" else partial(runs[name], batch))
            if step >= LEFT_OUT:
                times[name].append(seconds)
        if step >= LEFT_OUT:
            audio.append(int(batch["speech_lengths"].sum()) / 100)
    return audio, times


def build(entry: Mapping[str, Any], options: TrainingOptions) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_model(entry, TOKENS).train()
    model.specaug = specaug(**vars(options.specaug))
    return model


def as_espnet(model: torch.nn.Module, entry: Mapping[str, Any]) -> torch.nn.Module:
    """The model with ESPnet's own encoder, and torch's dropout."""
    options = entry["encoder"]
    sizes = dict(
        input_size=entry["features"] * entry["stack"] if entry["input"] == "stack" else entry["features"],
        output_size=options["dim"],
        attention_heads=options["heads"],
        linear_units=options["ffn"],
        num_blocks=options["layers"],
        dropout_rate=options["dropout"],
        positional_dropout_rate=options["dropout"],
        attention_dropout_rate=options["attention_dropout"],
        input_layer="linear" if entry["input"] == "stack" else "conv2d",
        interctc_layer_idx=entry["intermediate_ctc"]["layers"],
    )
    if options["type"] == "conformer":
        sizes |= dict(macaron_style=True, rel_pos_type="latest", cnn_module_kernel=options["kernel"])
        model.encoder = ConformerEncoder(**sizes)
    else:
        model.encoder = TransformerEncoder(**sizes)
    for number, layer in enumerate(model.encoder.encoders, 1):
        layer.stochastic_depth_rate = entry["stochastic_depth"] * number / options["layers"]
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, torch.nn.Dropout(child.p))
    return model


def stepper(
    model: torch.nn.Module, options: TrainingOptions, device: torch.device = CPU
) -> Callable[[Mapping[str, torch.Tensor]], None]:
    """A function that takes one step of training, as `secateur.training.loop.train` does, on a batch on `device`."""
    optimizer, computing = make_optimizer(model, options), devices.autocast(device, options.precision)

    def step(batch: Mapping[str, torch.Tensor]) -> None:
        optimizer.zero_grad(set_to_none=True)
        with computing:
            loss, _, _ = model(**{name: tensor.clone() for name, tensor in batch.items()})
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip)
        optimizer.step()

    return step


def products(model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> Products:
    """Shapes of the factors of every matrix product of one forward pass: linear layers, convolutions of width 1, and
    attention, with positions where it has them.
    """
    found: Products = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Linear | PointwiseConv):
            width = module.weight.shape[1]
            found.append(((inputs[0].numel() // width, width), (width, len(module.weight))))
        elif isinstance(module, MultiHeadedAttention):
            (utterances, queries, _), keys = inputs[0].shape, inputs[1].shape[1]
            blocks, width = utterances * module.h, module.d_k
            found.append(((blocks, queries, width), (blocks, width, keys)))
            found.append(((blocks, queries, keys), (blocks, keys, width)))
            if hasattr(module, "linear_pos"):
                found.append(((blocks, queries, width), (blocks, width, 2 * queries - 1)))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    with torch.no_grad():
        model(**{name: tensor.clone() for name, tensor in batch.items()})
    for hook in hooks:
        hook.remove()
    return found


def multiplications(
    model: torch.nn.Module, batch: Mapping[str, torch.Tensor], precision: str, device: torch.device = CPU
) -> Callable[[], None]:
    """A function that does the products of a step, A·B forward and G·Bᵀ, Aᵀ·G backward."""
    random = partial(torch.randn, dtype=devices.autocast_dtype(device, precision) or torch.float32, device=device)
    factors = [(random(a), random(b), random(*a[:-1], b[-1])) for a, b in products(model, batch)]

    def multiply() -> None:
        for a, b, gradient in factors:
            torch.matmul(a, b)
            torch.matmul(gradient, b.transpose(-2, -1))
            torch.matmul(a.transpose(-2, -1), gradient)

    return multiply


def core_seconds(function: Callable[[], None]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def report(audio: list[float], times: Mapping[str, list[float]]) -> None:
    """Print seconds of a step, seconds of audio per core second, and the ratios to ours."""
    print(f"{'':10} {'s a step':>9} {'s of audio per core s':>22} {'time over ours':>15}")
    for name, taken in times.items():
        speed = statistics.median(length / seconds for length, seconds in zip(audio, taken, strict=True))
        ratio = statistics.median(seconds / ours for seconds, ours in zip(taken, times["ours"], strict=True))
        print(f"{name:10} {statistics.median(taken):9.3f} {speed:22.1f} {ratio:15.2f}")


if __name__ == "__main__":
    main()
