"""The scripts around encoders, on a tiny model and made-up speech: targets, pretraining, distillation, resuming."""

import copy
import importlib.util
import json
from argparse import Namespace
from dataclasses import replace

import pytest
import torch
from gated_student import GATED, LAYERS, MAGNITUDE, starting_at
from safetensors.torch import load_file
from tiny import CTC, TOKENS

from secateur.core.errors import SecateurError
from secateur.core.files import read_json, read_tsv, write_json
from secateur.core.jobs import plain
from secateur.models import zoo as zoo_module
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.upstream.encoder import Encoder
from secateur.speech.datadir import read_data_dir, write_data_dir
from secateur.ssl import command_line, fitting
from secateur.ssl.checkpoints import load_upstream, save_encoder
from secateur.ssl.clusters import read_targets
from secateur.ssl.distillation import SparsityTarget
from secateur.ssl.layer_choice import chosen
from secateur.ssl.options import PredictionOptions
from secateur.ssl.pretraining import MaskedPrediction
from secateur.ssl.students import make_student, save_student
from secateur.training import command_line as training_line
from secateur.training.hooks import TrainingHook
from secateur.training.options import TrainingOptions

TRAINING = TrainingOptions(
    steps=8,
    accumulate=1,
    batch_seconds=2.0,
    learning_rate=1e-3,
    weight_decay=0.01,
    warmup=2,
    schedule="linear",
    clip=5.0,
    precision="float32",
    evaluate_every=4,
    average_best=0,
    checkpoint_seconds=0,
)
HEAD = PredictionOptions(
    clusters=5, codeword=6, temperature=0.1, mask_probability=0.1, mask_length=4, masked_weight=0.5
)
GATES = replace(GATED, log_alpha=starting_at(1.0), gate_rate=300.0, sparsity_warmup=0.25, distil=(1, 3))


def run(name, **arguments):
    record = {}
    importlib.import_module(f"secateur.scripts.{name}").run(Namespace(**arguments), record)
    return record


def common(speech, output, **changes):
    values = {
        "training": TRAINING,
        "crop_seconds": 0.6,
        "train": [speech / "train", speech / "segmented"],
        "dev": [speech / "dev"],
        "seed": 1,
        "device": "cpu",
        "output": speech / output,
        "run_json": None,
        "code": "",
        "second": None,
    }
    return values | changes


def targets(speech, output, **changes):
    values = {"encoder": None, "guide": None, "layer": None, "hop": 320, "clusters": 5, "frames": 150}
    chosen = {name: common(speech, output)[name] for name in ("train", "dev", "seed", "device", "output")}
    return run("ssl_targets", **(values | chosen | changes))


def weights(folder):
    return {path.name: load_file(path) for path in sorted(folder.glob("*.safetensors"))}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def test_targets_of_a_guide(speech):
    save_model(speech / "guide", build_model(CTC, TOKENS), CTC, TOKENS)
    assert targets(speech, "guided", guide=speech / "guide")["layer"] == 2
    assert read_targets(speech / "guided")["train-2"].shape == ((round(0.76 * 16000) - 400) // 320 + 1,)


def test_two_iterations_of_pretraining_and_a_pruned_student_of_their_encoder(speech, tiny):
    """From data directories to an upstream, through every script."""
    encoder = tiny.to_dict() | {"layers": None}
    record = targets(speech, "targets1")
    assert 1 < record["perplexity"] <= 5 and record["frames"] > 300
    found = read_targets(speech / "targets1")
    assert set(found) == {f"{split}-{index}" for split in ("train", "dev") for index in range(6)} | {
        f"seg-{index}" for index in range(3)
    }
    assert found["train-2"].shape == ((round(0.76 * 16000) - 400) // 320 + 1,)
    first = run(
        "ssl_pretrain", encoder=encoder, head=HEAD, targets=speech / "targets1", start=None, **common(speech, "1")
    )
    assert first["steps"] == 8
    assert targets(speech, "targets2", encoder=speech / "1", hop=None)["layer"] == 2
    second = speech / "2"
    run(
        "ssl_pretrain",
        encoder=encoder,
        head=HEAD,
        targets=speech / "targets2",
        start=speech / "1",
        **common(speech, "2"),
    )
    assert [row["step"] for row in read_tsv(second / "history.tsv")] == ["4", "8"]
    upstream = load_upstream(second)
    assert upstream.config == tiny

    record = run("ssl_distill", teacher=second, student=GATES, log_every=3, **common(speech, "gated"))
    assert record["sparsity"] == pytest.approx(0.5, abs=0.01)
    rows = read_tsv(speech / "gated" / "gates.tsv")
    assert [row["step"] for row in rows] == ["3", "6", "8"] and float(rows[-1]["target"]) == 0.5
    assert 0 < float(rows[-1]["z_ffn"]) < 1
    pruned = load_upstream(speech / "gated")
    assert sum(p.numel() for p in pruned.parameters()) == record["parameters"]
    whole = sum(p.numel() for p in upstream.encoder.layers.parameters())
    left = sum(p.numel() for p in pruned.encoder.layers.parameters())
    assert 1 - (left - 144) / (whole - 144) == pytest.approx(record["sparsity"], abs=1e-4)  # 144: the norms
    for part in ("feature_extractor", "encoder.rel_attn_embed"):
        frozen = part == "feature_extractor"
        assert same(upstream.get_submodule(part).state_dict(), pruned.get_submodule(part).state_dict()) == frozen

    options = replace(GATES, conv_sparsity=0.4)
    record = run("ssl_distill", teacher=second, student=options, log_every=3, **common(speech, "channels"))
    assert record["conv_sparsity"] == pytest.approx(0.4, abs=0.05) and record["sparsity"] == pytest.approx(
        0.5, abs=0.01
    )
    assert sum(load_upstream(speech / "channels").config.conv_dim) < sum(tiny.conv_dim)
    record = run("ssl_distill", teacher=second, student=MAGNITUDE, log_every=3, **common(speech, "magnitude"))
    assert not (speech / "magnitude" / "gates.tsv").exists()
    assert sum(p.numel() for p in load_upstream(speech / "magnitude").parameters()) == record["parameters"]
    options = replace(LAYERS, layers=1, strategy="greedy")
    record = run("ssl_distill", teacher=second, student=options, log_every=3, **common(speech, "layers"))
    waveforms, lengths = torch.randn(2, 5000), torch.tensor([5000, 2500])
    assert len(load_upstream(speech / "layers")(waveforms, lengths)[0]) == 2
    assert [(depth, len(layers)) for depth, layers in record["depths"].items()] == [("1", 1)]

    run("ssl_export_onnx", encoder=speech / "gated", format="float32", output=speech / "pruned.onnx")
    assert (speech / "pruned.onnx").stat().st_size > 4 * left
    record = run("ssl_export_onnx", encoder=speech / "gated", format="int8", output=speech / "int8.onnx")
    assert record["bytes"] == (speech / "int8.onnx").stat().st_size != (speech / "pruned.onnx").stat().st_size


@pytest.mark.parametrize("rate", [1e-3, 30.0])
def test_a_second_distillation_never_raises_the_dev_distance(speech, tiny, rate):
    """At a rate that breaks the student, what there was before it is kept; else, all of it goes on from there."""
    torch.manual_seed(0)
    save_encoder(speech / "teacher", Encoder(tiny))
    arguments = {"teacher": speech / "teacher", "student": replace(GATES, train_extractor=True), "log_every": 3}
    once = run("ssl_distill", **arguments, **common(speech, "once"))
    second = replace(TRAINING, steps=4, learning_rate=rate, clip=1e6)
    record = run("ssl_distill", **arguments, **common(speech, "twice", second=second))
    assert record["steps"] == 12 and record["sparsity"] == once["sparsity"]
    assert [row["step"] for row in read_tsv(speech / "twice" / "history.tsv")] == ["4", "8", "12"]
    found = record["second"]
    assert found["kept"] == (found["after"] <= found["before"]) == (rate < 1)
    first, last = weights(speech / "once"), weights(speech / "twice")
    assert same(first["gates.safetensors"], last["gates.safetensors"])
    assert same(first["model.safetensors"], last["model.safetensors"]) == (rate > 1)
    assert read_json(speech / "once" / "config.json") == read_json(speech / "twice" / "config.json")


class Killed(Exception):
    pass


class KillAt(TrainingHook):
    def __init__(self, step):
        self.step = step

    def after_update(self, step, batch):
        if step == self.step:
            raise Killed


@pytest.mark.parametrize("kill", [1, 5])
def test_killed_and_resumed_distillation_ends_with_the_same_bytes(speech, tiny, kill):
    """Gates, λ, layer maps, their moments and the log of gates survive."""
    torch.manual_seed(0)
    teacher = Encoder(tiny).eval()

    def distil(output, *more):
        torch.manual_seed(1)
        arguments = Namespace(**common(speech, output))
        model = make_student(teacher, replace(GATES, conv_sparsity=0.3))
        target = SparsityTarget(0.5, 2, 8, every=1, channels=0.3)
        fitting.fit(training_line.task(arguments), {}, command_line.waves(arguments), model, tiny, [target, *more])
        save_student(arguments.output, {}, model, target)
        return model.state_dict(), target.log()

    whole, log = distil("whole")
    with pytest.raises(Killed):
        distil("cut", KillAt(kill))
    resumed, again = distil("cut")
    assert same(resumed, whole) and again == log
    assert [row["step"] for row in log] == list(range(1, 9))
    for one, other in zip(weights(speech / "whole").values(), weights(speech / "cut").values(), strict=True):
        assert same(one, other)
    assert read_json(speech / "whole" / "config.json") == read_json(speech / "cut" / "config.json")


def distilled_by_layers(speech, strategy, output, **changes):
    """The record of a student that loses one layer of three, and, once it is trained, another."""
    options = replace(LAYERS, layers=1, depths=(2,), strategy=strategy)
    arguments = common(speech, output, **changes) | {"teacher": speech / "teacher", "log_every": 3}
    return run("ssl_distill", student=options, **arguments)


@pytest.mark.parametrize("strategy", [None, "greedy"])
def test_the_next_layer_goes_by_what_the_student_became(speech, tiny, strategy, monkeypatch):
    """Each training starts with what the one before left, layers and prediction heads, and has batches of its own."""
    torch.manual_seed(0)
    save_encoder(speech / "teacher", Encoder(tiny))
    seen, train = [], fitting.train

    def watched(model, *rest):
        before = copy.deepcopy(model.state_dict())
        rows = train(model, *rest)
        seen.append((before, copy.deepcopy(model), rest[-1]))
        return rows

    monkeypatch.setattr(fitting, "train", watched)
    record = distilled_by_layers(speech, strategy, "steps")
    assert [row["step"] for row in read_tsv(speech / "steps" / "history.tsv")] == ["4", "8", "12", "16"]
    assert record["steps"] == 16 and [steps for _, _, steps in seen] == [0, 8]
    two, one = record["depths"]["2"], record["depths"]["1"]
    assert len(two) == 2 and len(one) == 1 and set(one) < set(two)
    (start, half, _), (then, last, _) = seen
    student, place, inner = half.student.eval(), two.index(one[0]), "student.encoder.layers"
    arguments = Namespace(**common(speech, "steps"))
    batches = fitting.Trainings(training_line.task(arguments), command_line.waves(arguments), tiny).dev_batches()
    assert [place + 1] == (chosen(student, strategy, 1, batches) if strategy else [1])
    found = half.state_dict()
    assert any(not torch.equal(value, found[name]) for name, value in start.items() if name.startswith(inner))
    for name, value in then.items():
        assert torch.equal(value, found[name.replace(f"{inner}.0.", f"{inner}.{place}.")]), name
    assert same(load_upstream(speech / "steps").state_dict(), last.student.state_dict())


@pytest.mark.parametrize("kill", [5, 13, 20])
def test_killed_and_resumed_distillation_by_layers_ends_with_the_same_bytes(speech, tiny, kill, monkeypatch):
    """Before the second removal, after it, and in the second distillation, by the same options as the first."""
    torch.manual_seed(0)
    save_encoder(speech / "teacher", Encoder(tiny))
    train, again = fitting.train, {"second": TRAINING}
    whole = distilled_by_layers(speech, "greedy", "whole", **again)

    def dying(model, *rest):
        *rest, hooks, before = rest
        return train(model, *rest, [*hooks, KillAt(kill - before)], before)

    monkeypatch.setattr(fitting, "train", dying)
    with pytest.raises(Killed):
        distilled_by_layers(speech, "greedy", "cut", **again)
    monkeypatch.undo()
    resumed = distilled_by_layers(speech, "greedy", "cut", **again)
    assert resumed["depths"] == whole["depths"] and resumed["second"] == whole["second"] and resumed["steps"] == 24
    rows = [[{**row, "seconds": 0} for row in read_tsv(speech / name / "history.tsv")] for name in ("whole", "cut")]
    assert rows[0] == rows[1] and len(rows[0]) == 6
    assert same(*(weights(speech / name)["model.safetensors"] for name in ("whole", "cut")))


def test_killed_and_resumed_pretraining_ends_with_the_same_bytes(speech, tiny):
    targets(speech, "targets")
    found = read_targets(speech / "targets")

    def pretrain(output, *more):
        torch.manual_seed(1)
        model = MaskedPrediction(Encoder(tiny), HEAD)
        arguments = Namespace(**common(speech, output))
        fitting.fit(training_line.task(arguments), {}, command_line.waves(arguments), model, tiny, more, targets=found)
        return model.state_dict()

    whole = pretrain("whole")
    with pytest.raises(Killed):
        pretrain("cut", KillAt(4))
    assert same(pretrain("cut"), whole)
    torch.manual_seed(1)
    start = MaskedPrediction(Encoder(tiny), HEAD).state_dict()
    changed = {name for name, value in whole.items() if not torch.equal(value, start[name])}
    assert changed == whole.keys()


def test_crops_that_no_batch_can_hold_are_refused(speech, tiny):
    model = MaskedPrediction(Encoder(tiny), HEAD)
    for seconds in (2.5, 0.01):
        with pytest.raises(SecateurError, match="a crop must hold a frame and fit into a batch"):
            arguments = Namespace(**common(speech, "x", crop_seconds=seconds))
            fitting.fit(training_line.task(arguments), {}, command_line.waves(arguments), model, tiny)


def test_an_encoder_becomes_an_entry_of_the_zoo_with_a_card(speech, tiny, monkeypatch):
    """It loads as it was trained; the card says what it is, how it scores, and whose speech it heard."""
    mel = replace(tiny, front_end="mel", mel_bins=20)
    data = speech / "results" / "zoo" / "data" / "voices" / "en"
    data.mkdir(parents=True)
    write_json(data / "source.json", {"name": "Noise", "description": "Made up", "licence": "CC0", "credits": "nobody"})
    write_json(data / "run.json", {"utterances": {"train": 9, "dev": 6}})
    for split in ("train", "dev"):
        write_data_dir(data / split, read_data_dir(speech / split))
    found = {"train": [data / "train"], "dev": [data / "dev"]}
    run("ssl_targets", **found, encoder=None, guide=None, layer=None, hop=320, clusters=5, frames=150, seed=1,
        device="cpu", output=speech / "targets")  # fmt: skip
    entry = speech / "results" / "zoo" / "upstreams" / "tiny"
    output = entry / "iteration2" / "seed1"
    encoder = {key: value for key, value in mel.to_dict().items() if key != "layers"}
    arguments = common(speech, output) | found | {"encoder": encoder, "head": HEAD, "targets": speech / "targets"}
    record = run("ssl_pretrain", start=None, **arguments)
    written = {
        "arguments": json.loads(json.dumps({name: plain(value) for name, value in arguments.items()})),
        "threads": 1,
        "processor": "a processor",
        "git": "abc123",
        "versions": {},
    }
    facts = {key: value for key, value in record.items() if isinstance(value, str | int | float)}
    write_json(output / "run.json", facts | written)
    metrics = {"acc": {"value": 61.0, "low": 55.0, "high": 67.0}}
    made = entry / "targets2" / "seed1" / "run.json"
    write_json(made, {"arguments": {"guide": None}})
    write_json(entry / "teacher/seed1/superb/scores.json", {"tasks": {"ks": {"metrics": metrics, "notes": "9 test"}}})
    zoo = speech / "pretrained" / "tiny"
    run("ssl_export_pretrained", encoder=output, output=zoo)
    loaded = load_upstream(zoo)
    assert loaded.config == mel and same(loaded.state_dict(), load_upstream(output).state_dict())
    assert read_json(zoo / "run.json")["export"]["encoder"] == str(output)
    card = (zoo / "README.md").read_text()
    for fact in (
        "# tiny", "front_end: mel", "| teacher | 61.0 (55.0–67.0) |", "- ks: 9 test", "8 steps", "clusters: 5",
        "The last of 2 iterations", "| en | Noise |", "nobody", 'load_upstream("pretrained/tiny")',
    ):  # fmt: skip
        assert fact in card, fact
    assert "on speech in en without transcripts" in card
    write_json(made, {"arguments": {"guide": "pretrained/guide"}, "layer": 5})
    run("ssl_export_pretrained", encoder=output, output=speech / "pretrained" / "guided")
    card = (speech / "pretrained" / "guided" / "README.md").read_text()
    assert (
        "on speech in en by targets that know its transcripts" in card
        and "clusters of layer 5 of `pretrained/guide`" in card
    )
    monkeypatch.setattr(zoo_module, "LARGEST", 100)
    with pytest.raises(SecateurError, match="train a smaller model"):
        run("ssl_export_pretrained", encoder=output, output=speech / "other")
    assert not (speech / "other").exists()
    with pytest.raises(SecateurError, match="expected a folder below results/STUDY/upstreams"):
        run("ssl_export_pretrained", encoder=speech / "encoder", output=zoo)
