"""The plan of a study: jobs against the DAG, steps, hours and bytes by hand."""

import importlib
import json
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from secateur.compose import study as compose
from secateur.config.complete import complete
from secateur.core.errors import SecateurError
from secateur.heads import study as heads
from secateur.layers.study import LATE
from secateur.overview import cost
from secateur.study import runs as study

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ROOT / "workflow" / "studies"
SMALL = """
study: small
seeds: [1, 2]
models:
  plain: {pretrained: null, type: ctc, training: acoustic, encoder: {type: transformer, layers: 4, dim: 96, ffn: 384}}
training:
  acoustic: {steps: 100, batch_seconds: 30}
  retrain: {steps: 7, batch_seconds: 10, average_best: 0}
pruning:
  progressive: {levels: [0.5, 0.7], training: retrain, adapt_every: 2}
dense:
  - {corpus: asterisk, model: plain, scopes: [all], searches: [greedy, beam-lm-small]}
prune:
  - model: plain
    schedule: progressive
    methods: [imp, longer]
    pathways: [{start: [[imp, 0.7]]}, {method: dynamic, start: [[imp, 0.5]]}]
layers: []
regularise: []
heads: []
ssl: []
"""


@pytest.fixture(scope="module")
def plan():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "workflow"))
        yield importlib.import_module("plan")


@pytest.fixture(scope="module")
def rules(plan):
    """Jobs by rule of two studies."""
    return {name: plan.jobs_by_rule(ROOT, STUDIES / f"{name}.yaml") for name in ("smoke", "mls-tables")}


@pytest.fixture
def small(plan, tmp_path):
    """The configuration of a small study, as the plan loads it."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return plan.load(ROOT, file)


def test_configurations_are_merged_as_snakemake_does(plan):
    for file in [ROOT / "config.yaml", *sorted(STUDIES.glob("*.yaml"))]:
        expected = yaml.safe_load((ROOT / "config.yaml").read_text())
        update_config(expected, yaml.safe_load(file.read_text()))
        assert plan.load(ROOT, file) == complete(expected), file


@pytest.mark.parametrize("name", ["smoke", "mls-tables"])
def test_the_jobs_that_train_are_those_of_the_dag(plan, rules, name):
    config = plan.load(ROOT, STUDIES / f"{name}.yaml")
    jobs = cost.training_jobs(config)
    kinds = Counter(job.kind for job in jobs)
    language_models, dense = kinds.pop("language model", 0), kinds.pop("dense")
    assert (
        rules[name]["train"] == dense
        and sum(rules[name].get(f"{verb}_lm", 0) for verb in ("train", "prune")) == language_models
    )
    adaptive = [kind for kind in kinds if kind.endswith("-adaptive") or kind == "dynamic"]
    assert rules[name]["prune_adaptive"] == sum(kinds.pop(kind) for kind in adaptive) > 0
    assert rules[name]["prune_control"] == sum(kinds.pop(kind, 0) for kind in ("finetune", "longer")) > 0
    late = [kind for kind in kinds if kind.startswith(LATE)]
    assert rules[name].get("regularise", 0) == sum(kinds.pop(kind) for kind in late)
    recovered = [kind for kind in kinds if kind.endswith(heads.RECOVERED)]
    assert rules[name].get("recover", 0) == sum(kinds.pop(kind) for kind in recovered)
    composed = [kind for kind in kinds if compose.KIND.owns(kind)]
    steps = sum(count for rule, count in rules[name].items() if rule.startswith("compose_"))
    untrained = {run.folder for run in compose.bare_runs(config)} - {job.folder for job in jobs}
    assert steps == sum(kinds.pop(kind) for kind in composed) + len(untrained)
    assert rules[name]["prune"] == kinds.total()
    decodings = [*study.decodings(config), *heads.combined_decodings(config), *compose.bare_decodings(config)]
    assert rules[name]["decode"] == len({one.folder for one in decodings})
    assert rules[name]["total"] == sum(count for rule, count in rules[name].items() if rule != "total")


def test_steps_by_kind_of_job_by_hand(plan, small):
    jobs = cost.training_jobs(small)
    steps, batches, masks = Counter(), {}, Counter()
    for job in jobs:
        steps[job.kind] += job.steps
        batches[job.kind] = job.batch
        masks[job.kind] += job.masks
    # Two seeds; two languages; two levels of 7 steps; `longer` takes the steps of fine-tuning and of both levels.
    # Pathways have 7 steps of each language at both levels, and fixed ones as many.
    assert steps == {
        "dense": 2 * 100, "finetune": 2 * 2 * 7, "imp": 2 * 2 * 2 * 7, "longer": 2 * 2 * 3 * 7,
        "pathways": 2 * 2 * 2 * 7, "dynamic": 2 * 2 * 2 * 7,
        "language model": 2 * small["training"]["text-small"]["steps"],
    }  # fmt: skip
    assert batches["dense"] == 30 and batches["imp"] == 10
    assert batches["language model"] == small["training"]["text-small"]["batch_tokens"]
    assert masks["imp"] == 8 and masks["pathways"] == 4 and masks["dense"] == 0
    # dense → finetune → imp 50 % → imp 70 % → pathways, an hour each
    hourly = [replace(job, seconds=3600 / job.steps) for job in jobs]
    assert cost.longest_chain(hourly) == pytest.approx(5)


def job(plan, **changes):
    return replace(cost.Job("a", "mls", "big", "rnnt", "dense", 10, 20.0, parameters=1000), **changes)


def measured(
    plan, kind="rnnt", device="1 CPU thread(s)", parameters=1000, batch=20.0, steps=500, seconds=100.0, **more
):
    unit = more.get("unit", cost.AUDIO)
    return cost.Measured(kind, unit, device, parameters, batch, steps, seconds, [Path("results/x")])


def seconds(plan, jobs, groups, speed=None):
    return [timed.seconds for timed in cost.timed(jobs, groups, speed)[0]]


def test_hours_of_what_was_measured_and_of_what_is_scaled(plan):
    big, lm = job(plan), job(plan, model="lm", kind="language model", type="transformer_lm", batch=1500)
    twice = job(plan, model="bigger", parameters=2000, batch=60.0)
    # The same model, though the token list made it a little larger: 0.2 s. Twice the parameters, three times the audio.
    assert seconds(plan, [big, twice], [measured(plan, parameters=1004)]) == pytest.approx([0.2, 0.2 * 6 * 1000 / 1004])
    # The same type goes before a nearer size, and another type before nothing.
    groups = [measured(plan, "ctc", parameters=2000, seconds=1.0), measured(plan, parameters=500)]
    assert seconds(plan, [twice], groups) == pytest.approx([0.2 * 4 * 3])
    assert seconds(plan, [twice], groups[:1]) == pytest.approx([1 / 500 * 3])
    # A short run is not scaled, but good enough for the model itself; the runs of a language model are no measure.
    brief = [measured(plan, steps=50, seconds=10.0)]
    assert seconds(plan, [big, twice], brief) == pytest.approx([0.2, float("nan")], nan_ok=True)
    assert seconds(plan, [big], [measured(plan, unit=cost.TOKENS)]) == pytest.approx([float("nan")], nan_ok=True)
    # What a GPU did goes before what a CPU did.
    groups = [measured(plan), measured(plan, device="a GPU", parameters=4000, seconds=4.0)]
    assert seconds(plan, [big], groups) == pytest.approx([4 / 500 / 4])
    # One number: steps per second of the largest dense model.
    timed, reasons = cost.timed([big, twice, lm], [measured(plan)], speed=0.5)
    assert [one.seconds for one in timed] == pytest.approx([2 / 6, 2, float("nan")], nan_ok=True)
    assert timed[1].hours == pytest.approx(20 / 3600)
    assert "scaled from --speed, which is that of bigger" in reasons[0] and "train one" in reasons[2]


def test_speed_is_of_the_largest_model_where_none_is_dense(plan):
    pruned, larger = job(plan, kind="imp"), job(plan, kind="imp", model="bigger", parameters=3000)
    lm = job(plan, model="lm", kind="language model", type="transformer_lm", parameters=9000)
    timed, reasons = cost.timed([pruned, larger, lm], [], speed=0.5)
    assert [one.seconds for one in timed] == pytest.approx([2 / 3, 2, float("nan")], nan_ok=True)
    assert "by --speed" in reasons[1]
    assert "--speed is not used" in cost.timed([lm], [], speed=0.5)[1][0]
    assert not any("--speed" in reason for reason in cost.timed([], [], speed=None)[1])


def test_a_study_that_trains_encoders_alone_is_planned(plan, monkeypatch, capsys):
    monkeypatch.setattr(plan, "jobs_by_rule", lambda directory, file: {"ssl_prune": 6, "total": 6})
    assert plan.main(["--study", "evidence-structured", "--speed", "6"]) == 0
    lines = said(capsys)
    assert "Training: of no acoustic or language model" in lines and "Disk" not in lines
    assert "- --speed is not used: the study trains no acoustic model" in lines
    assert any("self-supervised encoders: 48,000 training steps" in line for line in lines)


def test_what_was_trained_here_is_found(plan, tmp_path):
    def trained(folder, device="cpu", **record):
        folder = tmp_path / "results" / folder
        folder.mkdir(parents=True)
        arguments = {"training": {"batch_seconds": 20, "batch_tokens": 1500}}
        record = {"device": device, "threads": 1, "steps": 40, "seconds": 8.0, "arguments": arguments} | record
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "model.json").write_text(json.dumps({"config": {"type": "ctc"}}))
        header = json.dumps({"__metadata__": {}, "a": {"shape": [3, 5]}, "b": {"shape": []}}).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
        return folder

    trained("one/models/c/ctc/all/dense/s000/seed1")
    trained("two/models/c/ctc/en/imp/s700/seed3", steps=60, seconds=10.0)
    trained("two/models/c/ctc/fr/imp/s700/seed3", "cuda:0")
    trained("two/lm/c/char/seed1")
    (trained("broken/models/c/ctc/all/dense/s000/seed1") / "model.safetensors").write_bytes(b"short")
    trained("old/models/c/ctc/all/dense/s000/seed1", arguments={})
    trained("zoo/models/c/ctc/all/dense/s000/seed1", steps=0, arguments={"training": None})
    found = {(group.unit, group.device): group for group in cost.measurements(tmp_path)}
    together = found[cost.AUDIO, "1 CPU thread(s)"]
    assert (together.type, together.parameters, together.batch) == ("ctc", 16, 20)
    assert (together.steps, together.seconds) == (100, 18.0)
    assert found[cost.AUDIO, "a GPU"].steps == 40 and found[cost.TOKENS, "1 CPU thread(s)"].batch == 1500
    assert len(found) == 3


def test_disk_by_hand(plan, small, capsys):
    one = job(plan, corpus="asterisk", parameters=2_000_000, masks=3)
    small["features"] |= {"mel_bins": 40, "speeds": [1.0, 0.5]}
    plan.show_disk(small, [one, one], {"asterisk": (2.0, 1.0, "")})
    sizes = {
        what.strip(): f"{count} {unit}" for what, count, unit in (line.rsplit(maxsplit=2) for line in said(capsys)[3:])
    }
    # 2 h for training at speeds 1 and 0.5 are 6 h; 7 h · 3600 s · 100 frames · 40 numbers · 4 bytes
    assert sizes == {"checkpoints": "16 MB", "masks": "1.5 MB", "features of asterisk": "403 MB"}


def said(capsys):
    return capsys.readouterr().out.splitlines()


def test_hours_of_speech(plan, small, tmp_path):
    assert plan.speech_hours(tmp_path, small, []) == {}
    assert plan.speech_hours(tmp_path, small, ["asterisk=1.5"])["asterisk"][:2] == (1.5, 0.0)
    table = tmp_path / "results" / "small" / "validation" / "asterisk.tsv"
    table.parent.mkdir(parents=True)
    table.write_text("split\thours\ntrain\t0.5\ndev\t0.25\ntest\t0.125\ntrain\t1\n")
    assert plan.speech_hours(tmp_path, small, [])["asterisk"][:2] == (1.5, 0.375)
    for word in ("asterisk", "asterisk=much", "asterisk=-1", "other=1"):
        with pytest.raises(SecateurError, match=rf"--hours: '{word}'; wanted CORPUS=HOURS.*corpora: asterisk"):
            plan.speech_hours(tmp_path, small, [word])
    mls = plan.load(ROOT, STUDIES / "mls-tables.yaml")
    assert plan.speech_hours(tmp_path, mls, [])["mls"][0] == 44660 + 1077 + 247 + 1554
    mls["corpora"]["mls"]["subset"] = "10h"
    assert plan.speech_hours(tmp_path, mls, [])["mls"][0] == 40


def test_the_plan_of_the_cluster_study(plan, rules, monkeypatch, capsys):
    monkeypatch.setattr(plan, "jobs_by_rule", lambda directory, file: rules["mls-tables"])
    assert plan.main(["--study", "mls-tables", "--speed", "0.5", "--hours", "mls=1000"]) == 0
    lines = [line.split() for line in said(capsys)]
    assert ["Jobs:", str(rules["mls-tables"]["total"])] in lines
    shares = [
        float(line[-1]) for line in lines if line[:2] == ["mls", "rnnt-187m"] and len(line) == 7 and "." in line[-1]
    ]
    assert len(shares) == 3 and all(share <= plan.AIM for share in shares)
    config = plan.load(ROOT, STUDIES / "mls-tables.yaml")
    (dense,) = (line for line in lines if line[:3] == ["mls", "rnnt-187m", "dense"])
    steps = len(config["seeds"]) * config["training"]["dense-mls"]["steps"]
    assert dense[3:6] == [str(len(config["seeds"])), dense[4], f"{steps:,}"]
    assert float(dense[6].replace(",", "")) == pytest.approx(steps / 0.5 / 3600, rel=0.01)
    assert 180 < float(dense[4].rstrip("M")) < 195
    assert "unknown" not in str(lines) and any(line[:3] == ["features", "of", "mls"] for line in lines)


def test_errors_are_one_message(plan, tmp_path, capsys):
    assert plan.main(["--study", "smok"]) == 1
    assert "'smok'" in capsys.readouterr().err
    (tmp_path / "mine.yaml").write_text("study: mine\nsedes: [1]\n")
    assert plan.main(["--study", str(tmp_path / "mine.yaml")]) == 1
    assert (
        "mine.yaml: the configuration is not valid:\nsedes: unknown key (did you mean 'seeds'?)"
        in capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        plan.main(["--speed", "0"])
    with pytest.raises(SecateurError, match=r"(?s)^\S*nowhere\.yaml: Snakemake's dry run failed.*No such file"):
        plan.jobs_by_rule(ROOT, tmp_path / "nowhere.yaml")


def test_the_full_study_of_encoders_dry_runs_and_is_planned(plan, tmp_path):
    """On an imitation of the teacher's folder; the official corpora are read by jobs, not by the dry run."""
    teacher = tmp_path / "wavlm base"
    teacher.mkdir()
    teacher.joinpath("config.json").write_text('{"model_type": "wavlm"}')
    teacher.joinpath("model.safetensors").touch()
    file = tmp_path / "wavlm-superb.yaml"
    text = (STUDIES / "wavlm-superb.yaml").read_text()
    assert "folder: /models/wavlm-base" in text
    file.write_text(text.replace("folder: /models/wavlm-base", f'folder: "{teacher}"'))
    rules = plan.jobs_by_rule(ROOT, file)
    assert {"superb": 11, "ssl_prune": 5, "ssl_distill": 2, "ssl_speed": 1}.items() <= rules.items()
    assert not {"ssl_pretrain", "ssl_targets", "train", "decode"} & rules.keys()
    (note,) = cost.encoder_notes(plan.load(ROOT, file))
    assert "1,400,000 training steps on 124,444 hours" in note  # seven students, 200 000 steps of 320 s
    teacher.joinpath("config.json").unlink()
    with pytest.raises(SecateurError, match=r"wavlm base/config\.json"):
        plan.jobs_by_rule(ROOT, file)
