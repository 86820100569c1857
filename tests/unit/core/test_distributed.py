"""Training in several processes against training in one; run by torchrun, this file is what the processes do."""

import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from secateur.core import distributed
from secateur.models.build import build_model
from secateur.models.tensors import load_tensors, save_tensors
from secateur.models.upstream.config import EncoderConfig
from secateur.models.upstream.encoder import Encoder
from secateur.pruning.engines.adaptive import AdaptiveMask
from secateur.pruning.engines.calendar import Calendar
from secateur.pruning.engines.dynamic import DynamicPathways, Softly
from secateur.pruning.engines.fixed import FixedMask
from secateur.pruning.engines.mask import Mask
from secateur.speech.data import Batch, BatchPlan
from secateur.ssl.distillation import Distillation, PredictionHeads, SparsityTarget
from secateur.ssl.gated import EncoderGates
from secateur.ssl.options import FINE
from secateur.training.hooks import TrainingHook
from secateur.training.loop import _seed_everything, train
from secateur.training.options import TrainingOptions

STEPS, SEED = 6, 5
CASES = ("plain", "rnnt", "fixed", "adaptive", "straight", "dynamic", "gates", "gated")
TOKENS = ["<blank>", "<unk>", "a", "b", "<sos/eos>"]
OPTIONS = TrainingOptions(
    steps=STEPS,
    accumulate=1,
    learning_rate=0.01,
    weight_decay=0.01,
    warmup=0,
    schedule="constant",
    clip=5.0,
    precision="float32",
    evaluate_every=2,
    average_best=2,
    checkpoint_seconds=0,
)
MODEL = {
    "type": "ctc",
    "features": 8,
    "input": "stack",
    "stack": 2,
    "encoder": {
        "type": "transformer",
        "layers": 3,
        "dim": 16,
        "heads": 2,
        "ffn": 32,
        "dropout": 0.1,
        "attention_dropout": 0.0,
    },
    "intermediate_ctc": {"layers": [1], "weight": 0.3},
    "stochastic_depth": 0.6,
}


RNNT = {
    "type": "rnnt",
    "features": 8,
    "input": "stack",
    "stack": 2,
    "encoder": {
        **{"type": "emformer", "layers": 2, "dim": 16, "heads": 2, "ffn": 32, "dropout": 0.1},
        **{"attention_dropout": 0.0, "kernel": 5, "segment": 4, "left_context": 6, "right_context": 2},
        **{"memory": 1, "positions": True, "convolution": 3},
    },
    "stochastic_depth": 0.0,
    "predictor": {"embedding": 6, "dim": 10, "layers": 1, "dropout": 0.1},
    "joiner": {"dim": 12},
    "ctc_weight": 0.3,
}
ENCODER = EncoderConfig(
    **{"hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 20},
    **{"hidden_dropout": 0.1, "activation_dropout": 0.0, "attention_dropout": 0.1, "num_conv_pos_embeddings": 5},
    **{"conv_dim": (6, 8), "conv_stride": (16, 10), "conv_kernel": (20, 10), "num_conv_pos_embedding_groups": 2},
    **{"num_buckets": 8, "max_bucket_distance": 10},
)


class Speech:
    """Twelve utterances of noise, in two languages."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.lengths = {f"{language}{number}": 20 + 2 * number for language in ("en", "fr") for number in range(6)}
        self.languages = {name: name[:2] for name in self.lengths}
        self.speech = {name: torch.randn(length, 8, generator=generator) for name, length in self.lengths.items()}

    def load(self, keys):
        speech = [self.speech[key] for key in keys]
        tensors = {
            "speech": torch.nn.utils.rnn.pad_sequence(speech, batch_first=True),
            "speech_lengths": torch.tensor([len(matrix) for matrix in speech]),
            "text": torch.tensor([[2, 3, 2]] * len(keys)),
            "text_lengths": torch.tensor([3] * len(keys)),
        }
        return Batch(list(keys), [self.languages[key] for key in keys], tensors)


class Waves(Speech):
    """The same as waveforms, of 160 samples for each frame."""

    def load(self, keys):
        waves = [self.speech[key].repeat(1, 20).reshape(-1) for key in keys]
        tensors = {
            "waveforms": torch.nn.utils.rnn.pad_sequence(waves, batch_first=True),
            "lengths": torch.tensor([len(wave) for wave in waves]),
        }
        return Batch(list(keys), [self.languages[key] for key in keys], tensors)


def distillation():
    """An encoder with gates and a teacher, which predict layers: pairs of layers would go by each process' part."""
    teacher, student = Encoder(ENCODER), Encoder(ENCODER)
    gates = EncoderGates(ENCODER, FINE, True, 1.0, 10.0)
    return Distillation(student, teacher, PredictionHeads([1, 3], ENCODER, ENCODER), gates, True, 5.0, (0.0, 10.0))


class AsRanks(TrainingHook):
    """In one process: micro-batch r draws what process r would, and methods after it what they would."""

    def __init__(self):
        self.rank = 0

    def before_forward(self, step, batch):
        _seed_everything(SEED, step, self.rank)
        self.rank += 1

    def after_backward(self, step, batch):
        _seed_everything(SEED, step)
        self.rank = 0


class Gates(TrainingHook):
    """Gates on the last layer's output weights, drawn for every forward pass; and a draw after the update."""

    def start(self, model, optimizer):
        self.weight = model.encoder.encoders[-1].feed_forward.w_2.weight
        self.whole = None

    def before_forward(self, step, batch):
        self.whole = self.weight.detach().clone() if self.whole is None else self.whole
        with torch.no_grad():
            self.weight.copy_(self.whole * torch.rand(len(self.whole), 1).round())

    def after_backward(self, step, batch):
        with torch.no_grad():
            self.weight.copy_(self.whole)
        self.whole = None

    def after_update(self, step, batch):
        with torch.no_grad():
            self.weight.add_(1e-3 * torch.rand(1))


def methods(case, model):
    if case in ("plain", "few", "rnnt"):
        return []
    if case == "gated":
        return [SparsityTarget(0.5, 3, STEPS, 2)]
    if case == "gates":
        return [Gates()]
    masks = {language: Mask.random(model, 0.5, seed) for seed, language in enumerate(("en", "fr"))}
    return [
        {
            "fixed": lambda: FixedMask(masks["en"]),
            "adaptive": lambda: AdaptiveMask(masks["en"], Calendar([0.5], STEPS, 2)),
            "straight": lambda: AdaptiveMask(masks["en"], Calendar([0.5], STEPS, 2), how=Softly("straight_through")),
            "dynamic": lambda: DynamicPathways(masks, Calendar([0.5, 0.7], STEPS // 2 * 2, 1)),
        }[case]()
    ]


def batches(case, step):
    """The utterances of a step: four of a language, or (few) one or two."""
    names = [name for name in Speech().lengths if name.startswith(("en", "fr")[step % 2])]
    if case == "few":
        return names[step % 6 : step % 6 + 1 + step % 2]
    return names[step % 3 : step % 3 + 4]


def training(case, folder, ranks=1, more=()):
    """Train, and save what came of it; `ranks` above 1 imitates so many processes in one."""
    torch.manual_seed(3)
    config = RNNT if case == "rnnt" else MODEL
    if case == "few":  # nothing that is drawn: the imitation has no utterances to borrow
        config = MODEL | {"encoder": MODEL["encoder"] | {"dropout": 0.0}, "stochastic_depth": 0.0}
    if case == "gated":
        model, speech = distillation(), Waves()
    else:
        model, speech = build_model(config, TOKENS), Speech()

    def plan(step):
        keys = batches(case, step)
        return [key for rank in range(ranks) for key in keys[rank::ranks]]

    dev = (speech, BatchPlan(speech.lengths, 60, 0, speech.languages).epoch(0))
    best = 2 if case in ("plain", "few") else 0
    options = replace(OPTIONS, accumulate=1 if case == "few" else ranks, average_best=best)
    chosen = [*([AsRanks()] if ranks > 1 and case != "few" else []), *methods(case, model), *more]
    state = folder / "state"
    history = train(model, speech, plan, dev, options, SEED, torch.device("cpu"), state, "same", chosen)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        save_tensors(folder / "model.safetensors", model.state_dict())
        for method in chosen:
            if isinstance(method, FixedMask | AdaptiveMask):
                method.mask.save(folder / "mask.safetensors")
    return model, history


class Break(TrainingHook):
    """Ends one process, or changes its weights, at a step."""

    def __init__(self, kind, rank, step):
        self.kind, self.rank, self.step = kind, rank, step

    def start(self, model, optimizer):
        self.weight = next(model.parameters())

    def after_update(self, step, batch):
        if step == self.step and torch.distributed.get_rank() == self.rank:
            if self.kind == "end":
                raise SystemExit(9)
            with torch.no_grad():
                self.weight.add_(1.0)


def in_processes(count, folder, cases, *more):
    """Train some cases in so many processes, each in a folder of its own below `folder`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command += [__file__, str(folder), ",".join(cases), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The folder in which every case has been trained in two processes, `few` in three."""
    folder = tmp_path_factory.mktemp("many")
    for count, cases in ((2, CASES), (3, ["few"])):
        answer = in_processes(count, folder, cases)
        assert answer.returncode == 0, answer.stderr
    return folder


@pytest.mark.parametrize("case", [*CASES, "few"])
def test_several_processes_train_as_one(case, many, tmp_path):
    """With layers skipped, dropout, gates and masks: the same weights, losses and masks, to float tolerance."""
    model, history = training(case, tmp_path, 1 if case == "few" else 2)
    noise = ("linear_k.bias", "k_proj.bias")  # their gradient is zero but for rounding; Adam makes whole steps of it
    found = load_tensors(many / case / "model.safetensors")
    for name, value in model.state_dict().items():
        if not name.endswith(noise):
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    rows = json.loads((many / case / "history.json").read_text())
    assert [row["step"] for row in rows] == [row["step"] for row in history] == [2, 4, 6]
    for row, wanted in zip(rows, history, strict=True):
        assert row["utterances"] == wanted["utterances"]
        for column in ("train_loss", "dev_loss", "grad_norm"):
            assert row[column] == pytest.approx(wanted[column], rel=1e-4)
    if (tmp_path / "mask.safetensors").exists():
        masks = [Mask.load(folder / "mask.safetensors") for folder in (many / case, tmp_path)]
        assert masks[0].iou(masks[1]) > 0.99
        masks[0].check(found)


def test_a_run_that_lost_a_process_goes_on_and_ends_with_the_same_bytes(many, tmp_path):
    answer = in_processes(2, tmp_path, ["plain"], "end", "1", "4")
    assert answer.returncode != 0 and (tmp_path / "plain" / "state" / "state.safetensors").exists()
    assert not (tmp_path / "plain" / "model.safetensors").exists()
    answer = in_processes(2, tmp_path, ["plain"])
    assert answer.returncode == 0 and re.search("resumed at step [45]", answer.stderr)
    first, second = (load_tensors(folder / "plain" / "model.safetensors") for folder in (many, tmp_path))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_processes_whose_weights_differ_stop(tmp_path):
    answer = in_processes(2, tmp_path, ["plain"], "change", "1", "0")
    assert answer.returncode != 0 and "the model differs between the processes" in answer.stderr


def main():
    folder, cases, *more = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    if not more:  # several trainings one after the other, in the same processes
        distributed.Group.leave = lambda self: torch.distributed.barrier()
    for case in cases.split(","):
        below = Path(folder, case)
        below.mkdir(parents=True, exist_ok=True)
        _, rows = training(case, below, more=[Break(more[0], *map(int, more[1:]))] if more else [])
        if torch.distributed.get_rank() == 0:
            (below / "history.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
