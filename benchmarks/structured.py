"""Speed of structurally pruned encoders against the arithmetic that is saved, and the price of gates in training.

Extraction: WavLM base and two encoders pruned to 80 % of the parameters of its Transformer's blocks, in the two shapes
that the document describes, all with random weights: time does not depend on what the weights are.

- STE: half of the attention and feed-forward blocks, the lower ones, are gone, and units of the others at random.
- without STE: every block is there, and units are gone at random: ragged heads, some of them altogether.
- STE, CNN: the first of the two with half of the channels of every convolution gone, too.

A second table has the same for each part of the encoder: where the time goes, and what each part saves.

--encoders measures checkpoints of yours as well, the first of them as their teacher. The models take turns, one
utterance at a time. For each the benchmark prints the speed-up, the ratio of multiply–accumulates (MACs), and the
speed-up over that ratio, whose aim is 0.8 at least. Published, for 26.57M and 26.37M parameters on an RTX 3090: 1.99
and 1.35.

Training: a step of distillation through gates over one without, on a small encoder as the default study has it, of the
same batch, the two taking turns; the aim is 1.15 at most.

Of a CPU it is one thread's own time, of a GPU wall-clock time. Only ratios mean anything on a shared machine.

    python benchmarks/structured.py --check
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from secateur.core import devices
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.ssl.channels import compact_front, split
from secateur.ssl.checkpoints import load_upstream
from secateur.ssl.gated import EncoderGates, compact
from secateur.ssl.options import FINE, KINDS, GatedStudent, LogAlpha
from secateur.ssl.speed import extraction as extracted
from secateur.ssl.speed import in_rounds, macs_per_second
from secateur.ssl.students import make_student
from secateur.training.optimizer import make_optimizer
from secateur.training.options import TrainingOptions

SPARSITY = 0.8
OF_MACS, OVER_PLAIN = 0.8, 1.15
PUBLISHED = {"STE": 1.99, "without STE": 1.35}
SMALL = EncoderConfig(
    hidden_size=128,
    num_hidden_layers=5,
    num_attention_heads=4,
    intermediate_size=512,
    hidden_dropout=0.05,
    activation_dropout=0.0,
    attention_dropout=0.0,
    conv_dim=(64, 64, 128, 128, 128),
    conv_kernel=(20, 8, 3, 2, 2),
    conv_stride=(10, 4, 2, 2, 2),
    num_conv_pos_embeddings=32,
    num_conv_pos_embedding_groups=8,
)
STUDENT = GatedStudent(
    distil=(2, 4),
    sparsity=0.5,
    log_alpha=LogAlpha(**dict.fromkeys((*KINDS, "conv"), 2.0)),
    lambda_rate=10.0,
)
TRAINING = TrainingOptions(steps=1, learning_rate=2e-4, weight_decay=0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 5.0], help="of the utterances (10 5)")
    parser.add_argument("--runs", type=int, default=5, help="turns of each encoder (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="turns of a training step (default: %(default)s)")
    parser.add_argument("--encoders", type=Path, nargs="*", default=[], help="folders, that of the teacher first")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--check", action="store_true", help="exit with status 1 if an aim is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = devices.pick(arguments.device)
    waves = [0.1 * torch.randn(round(16000 * length)) for length in arguments.seconds]
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, 1 thread"

    print(f"WavLM base, random weights, {sum(arguments.seconds):g} s of audio, {place}")
    encoders = shapes(EncoderConfig())
    missed = extraction(encoders, waves, arguments.runs, device)
    by_part(encoders, waves, arguments.runs, device)
    if arguments.encoders:
        print("\nas given")
        given = {str(folder): load_upstream(folder, device) for folder in arguments.encoders}
        missed += extraction(given, waves, arguments.runs, device)
    ratio = training(SMALL, arguments.steps, device)
    mark = "" if ratio <= OVER_PLAIN else f"  > {OVER_PLAIN}"
    print(f"\ntraining step with gates over one without: {ratio:.3f}{mark}")
    missed += ["training step"] if mark else []
    if arguments.check and missed:
        sys.exit(f"aims missed: {', '.join(missed)}")


def shapes(config: EncoderConfig) -> dict[str, Encoder]:
    """A dense encoder and the three pruned ones."""
    torch.manual_seed(0)
    dense = Encoder(config).eval()
    lower = config.num_hidden_layers // 2
    found = {"dense": dense}
    for name, closed in (("STE", lower), ("without STE", 0)):
        gates = EncoderGates(config, FINE, True, 9.0, 1.0)
        with torch.no_grad():
            for kind in ("qk", "vo", "int"):
                gates.log_alpha[kind].normal_()
            for kind in ("mha", "ffn"):
                gates.log_alpha[kind][:closed] = -9.0
        found[name] = compact(dense, gates.settle(SPARSITY))
    channels = torch.ones(sum(config.conv_dim))
    for part in split(channels, config):
        part[torch.randperm(len(part))[: len(part) // 2]] = 0.0
    found["STE, CNN"] = compact_front(found["STE"], channels)
    return found


def parts_of(encoder: Encoder) -> dict[str, list[torch.nn.Module]]:
    """The modules of every part of an encoder."""
    layers = encoder.encoder.layers
    return {
        "convolutions": [encoder.feature_extractor],
        "projection, positions": [encoder.feature_projection, encoder.encoder.pos_conv_embed],
        "attention": [layer.attention for layer in layers],
        "feed-forward": [layer.feed_forward for layer in layers],
    }


@torch.inference_mode()
def by_part(encoders: dict[str, Encoder], waves: list[torch.Tensor], runs: int, device: torch.device) -> None:
    """Print the time of every part of every encoder, its speed-up, and that over the ratio of MACs."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[tuple[str, str], list[float]] = {}
    macs: dict[tuple[str, str], float] = {}
    running: dict[torch.nn.Module, float] = {}

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock()

    for name, encoder in encoders.items():
        for part, modules in parts_of(encoder.to(device)).items():
            macs[name, part], seconds[name, part] = 0.0, []
            for module in modules:
                module.register_forward_pre_hook(lambda module, _: running.__setitem__(module, now()))
                module.register_forward_hook(
                    lambda module, *_, key=(name, part): seconds[key].append(now() - running.pop(module))
                )
        with FlopCounterMode(display=False) as counter:
            for wave in waves:
                encoder(wave[None].to(device), torch.tensor([len(wave)], device=device))
        names = {module: f"Encoder.{path}" for path, module in encoder.named_modules()}
        counts = counter.get_flop_counts()  # a block that is gone has none
        for part, modules in parts_of(encoder).items():
            macs[name, part] = sum(sum(counts.get(names[module], {}).values()) / 2 for module in modules)
            seconds[name, part].clear()
    for _ in range(runs):
        for wave in waves:
            for encoder in encoders.values():
                encoder(wave[None].to(device), torch.tensor([len(wave)], device=device))
    first = next(iter(encoders))
    print(f"\n{'':24}{'part':>22}{'GMACs':>10}{'seconds':>10}{'speed-up':>10}{'of MACs':>9}")
    for (name, part), taken in seconds.items():
        each = sum(taken) / runs
        speed_up = sum(seconds[first, part]) / runs / each if each else float("inf")
        share = speed_up * macs[name, part] / macs[first, part] if macs[name, part] else float("nan")
        print(f"{name:24}{part:>22}{macs[name, part] / 1e9:10.2f}{each:10.3f}{speed_up:10.2f}{share:9.2f}")


def extraction(encoders: dict[str, Encoder], waves: list[torch.Tensor], runs: int, device: torch.device) -> list[str]:
    """Print the time of every encoder against the first; returns the names of those that miss the aim."""
    encoders = {name: encoder.to(device) for name, encoder in encoders.items()}
    macs = {name: macs_per_second(encoder) for name, encoder in encoders.items()}
    measured = extracted(encoders, {str(place): wave for place, wave in enumerate(waves)}, runs, device)
    seconds = {
        name: [sum(row["encoder_s"] for row in rows) for rows in in_rounds(measured.rows[name])] for name in encoders
    }
    first = next(iter(encoders))
    print(f"{'':24}{'parameters':>12}{'MACs/s':>10}{'seconds':>10}{'speed-up':>10}{'of MACs':>9}{'published':>11}")
    missed = []
    for name, encoder in encoders.items():
        speed_up = statistics.median(one / other for one, other in zip(seconds[first], seconds[name], strict=True))
        share = speed_up / (macs[first] / macs[name])
        parameters = sum(parameter.numel() for parameter in encoder.parameters())
        mark = "" if share >= OF_MACS else f"  < {OF_MACS}"
        print(
            f"{name[-24:]:24}{parameters / 1e6:11.2f}M{macs[name] / 1e9:9.2f}G{statistics.median(seconds[name]):10.3f}"
            f"{speed_up:10.2f}{share:9.2f}{PUBLISHED.get(name, ''):>11}{mark}"
        )
        missed += [name] if mark else []
    return missed


def training(config: EncoderConfig, steps: int, device: torch.device) -> float:
    """The median over turns of the time of a step with gates over that of one without."""
    torch.manual_seed(0)
    teacher = Encoder(config).to(device)
    models = {name: make_student(teacher, STUDENT).to(device).train() for name in ("gates", "plain")}
    models["plain"].gates = None
    optimizers = {name: make_optimizer(model, TRAINING) for name, model in models.items()}
    dtype = devices.autocast_dtype(device, TRAINING.precision)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    ratios = []
    for turn in range(steps + 2):
        waveforms, lengths = 0.1 * torch.randn(6, 32000, device=device), torch.full((6,), 32000, device=device)
        taken = {}
        for name in sorted(models, reverse=bool(turn % 2)):
            started = clock()
            optimizers[name].zero_grad()
            with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
                loss, _, _ = models[name](waveforms, lengths)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(models[name].parameters(), 5.0)
            optimizers[name].step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken[name] = clock() - started
        ratios.append(taken["gates"] / taken["plain"])
    return statistics.median(ratios[2:])  # the first two warm up


if __name__ == "__main__":
    main()
