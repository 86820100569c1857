"""Compositions: which models there are, which chains make no sense, and what a chain computes."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from small_models import CONFORMER, make_batch, make_model
from snakemake.utils import update_config
from tiny import TOKENS, run_script, with_encoder, write_corpus

from secateur.compose import commands, study
from secateur.compose.options import Step
from secateur.config import complete as configuration
from secateur.core.errors import SecateurError
from secateur.core.files import write_json, write_tsv
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.heads import Head, heads, remove_heads
from secateur.models.surgery.layers import keep_layers, layer_numbers
from secateur.pruning.engines.mask import Mask
from secateur.study import runs
from secateur.study.paths import Paths
from secateur.study.runs import ModelRun

ROOT = Path(__file__).resolve().parents[3]
BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
CHAIN = [{"layers": 4}, {"heads": 0.5}, {"mask": "lth", "sparsity": 0.5}]


def complete(*chains):
    base = copy.deepcopy(BASE) | {"compose": [{"model": "ctc", "chains": copy.deepcopy(list(chains))}]}
    return configuration.complete(base)


def at(run):
    return SimpleNamespace(
        corpus=run.corpus, model=run.model, scope=run.scope, method=run.method, level="s000", seed=run.seed
    )


def test_a_chain_without_steps_is_the_dense_model():
    config = complete([])
    assert list(study.chains(config)) == [] and list(study.bare_runs(config)) == []
    assert study.run_of(config["compose"][0], [], 1) == ModelRun("asterisk", "ctc", "all", 1)


def test_every_prefix_is_a_model_that_chains_share():
    config = complete(CHAIN, [*CHAIN[:1], {"recover": "late"}], CHAIN[:2])
    names = [run.method for _, _, run in study.chains(config)]
    two = "compose--layers-greedy-4--headless-global-500"
    assert names == [f"{two}--mask-lth-500", "compose--layers-greedy-4--recover-late", two]
    (masked, recovered), (bare,) = study.KIND.runs(config), study.bare_runs(config)
    assert [run.method for run in (masked, recovered, bare)] == names
    first = "compose--layers-greedy-4"
    chain = [runs.parents(config, run).start.method for run in (masked, bare, recovered)]
    assert chain == [two, first, first]
    assert runs.parents(config, study.before(config, bare)).start.method == "dense"
    steps = {run.method: runs.steps(config, run) for run in (masked, recovered, bare)}
    level = config["training"]["retrain"]["steps"]  # of each language
    assert steps == {names[0]: 2 * level, names[1]: 50, names[2]: 0}
    assert study.said(config, masked) == "4 layers, then 50 % of the heads removed, then LTH 50 %"


def test_each_step_begins_with_the_model_before_it():
    config = complete([*CHAIN[:2], {"recover": "late"}, CHAIN[2]])
    paths, method = Paths(config), "compose"
    makes = (commands.keep_layers, commands.remove_heads, commands.recover, commands.mask)
    keys, before = ("model", "model", "start", "start"), "dense"
    for make, key, step in zip(makes, keys, config["compose"][0]["chains"][0], strict=True):
        method += f"--{study.step_name(Step(**step))}"
        command = make(paths, at(ModelRun("asterisk", "ctc", "all", 1, method)))
        start = f"results/default/models/asterisk/ctc/all/{before}/s000/seed1"
        assert command.options[key] == start and f"{start}/model.safetensors" in command.inputs
        before = method
    assert command.options["ranked"] == start and command.options["sparsity"] == 0.5
    assert command.options["before"] == config["models"]["ctc"]["own"]["steps"] + 50
    assert command.options["training"]["steps"] == 2 * config["training"]["retrain"]["steps"]


def test_layers_go_one_at_a_time_by_what_the_model_became():
    """Greedy with recovery between: the second search is of the model that was trained on, not of the dense one."""
    config = complete([{"layers": 5}, {"recover": "late"}, {"layers": 4}, {"recover": "late"}])
    first = "compose--layers-greedy-5--recover-late"
    second = ModelRun("asterisk", "ctc", "all", 1, f"{first}--layers-greedy-4")
    command = commands.keep_layers(Paths(config), at(second))
    start = f"results/default/models/asterisk/ctc/all/{first}/s000/seed1"
    assert command.options == {"model": start, "layers": f"{start}/layers/greedy.json", "depth": 4}
    assert f"{start}/layers/greedy.json" in command.inputs


def test_a_transducer_loses_layers_by_its_own_loss():
    encoder = {"type": "emformer", "layers": 4, "dim": 64, "heads": 4}
    models = BASE["models"] | {"rnnt": {"type": "rnnt", "training": "acoustic", "encoder": encoder}}
    searches = BASE["searches"] | {"stream": {"type": "transducer_greedy", "streaming": True}}
    dense = [*BASE["dense"], {"corpus": "asterisk", "model": "rnnt", "searches": ["stream"]}]
    given = copy.deepcopy(BASE) | {"models": models, "searches": searches, "dense": dense}
    given["compose"] = [{"model": "rnnt", "chains": [[{"layers": 3}, {"heads": 0.5}]]}]
    given["layers"] = [{"model": "rnnt", "strategies": ["greedy"], "depths": [2]}]
    config = configuration.complete(copy.deepcopy(given))
    assert config["layers"][0]["searches"] == config["compose"][0]["searches"] == ["stream"]
    (run,) = study.bare_runs(config)
    assert run.method == "compose--layers-greedy-3--headless-global-500"


def test_channels_of_the_front_end_go_by_the_command_of_its_own():
    given = copy.deepcopy(BASE)
    update_config(given, yaml.safe_load((ROOT / "workflow/studies/smoke.yaml").read_text()))
    config = configuration.complete(given)
    (run,) = [run for _, chain, run in study.chains(config) if "channels" in run.method]
    assert run.method == "compose--channels-500--recover-retrain"
    assert study.said(config, run) == "50 % of the front end's channels removed, then trained on"
    before = study.before(config, run)
    command = commands.remove_channels(Paths(config), at(before))
    whole = "results/smoke/models/espeak/hybrid/all/dense/s000/seed1"
    assert command.name == "prune_channels" and command.options["share"] == 0.5
    assert command.options["model"] == whole and command.options["utterances"] == 4


@pytest.mark.parametrize(
    "chain, said",
    [
        ([CHAIN[2], CHAIN[0]], r"\[1\]: layers after a mask: a mask is of matrices as they are, and fits no smaller"),
        ([CHAIN[2], CHAIN[2]], r"\[1\]: mask after a mask: a second mask would be ranked among weights that are zero"),
        ([CHAIN[2], {"recover": "late"}], r"\[1\]: recover after a mask: training on would let removed weights grow"),
        ([{"recover": "late"}], r"\[0\]: recover where nothing is gone since the last training"),
        ([{"layers": 4}, {"layers": 4}], r"\[1\]\.layers: 4; allowed: 1 to 3, as 4 are left at this step"),
        ([{"layers": 4, "heads": 0.5}], r"\[0\]: layers, heads in one step; allowed: one of layers, heads, chan"),
        ([{"channels": 0.5}], r"\[0\]: channels of 'ctc', which has no convolutions in front .`input: conv2d`"),
        ([{}], r"\[0\]: nothing in one step; allowed: one of"),
        ([{"mask": "lth"}], r"\[0\]\.sparsity: None; allowed with a mask, which needs it, alone"),
        ([{"mask": "dynamic", "sparsity": 0.5}], r"\[0\]\.mask: 'dynamic'; allowed: imp, lth, lap"),
        ([{"recover": "lat"}], r"\[0\]\.recover: 'lat' is not in training \(did you mean 'late'\?\)"),
    ],
)
def test_chains_that_make_no_sense_are_refused_with_the_reason(chain, said):
    with pytest.raises(SecateurError, match=rf"compose\[0\]\.chains\[0\]{said}"):
        complete(chain)
    with pytest.raises(SecateurError, match=r"chains\[1\]: the same as chain 0; allowed: once"):
        complete(CHAIN, CHAIN)


def test_a_chain_computes_what_its_steps_do_one_after_another(tmp_path):
    """By the very commands of the steps: layers, heads, and a mask without training."""
    config = with_encoder(CONFORMER, layers=4, dropout=0.0) | {"stochastic_depth": 0.0}
    whole = make_model(config)
    save_model(tmp_path / "whole", whole, config, TOKENS)
    write_corpus(tmp_path)
    write_json(tmp_path / "order.json", {"depths": {"2": {"layers": [1, 3]}}})
    run_script(
        *("export_depth", "--model", tmp_path / "whole", "--layers", tmp_path / "order.json", "--depth", 2),
        *("--output", tmp_path / "shallow"),
    )
    shallow = load_model(tmp_path / "shallow").model
    rows = [dict(zip(("block", "layer", "head"), head, strict=True)) for head in heads(shallow)]
    rows = [row | {"importance": "gradient", "value": place, "normalised": place} for place, row in enumerate(rows)]
    write_tsv(tmp_path / "importance.tsv", rows[0], rows)
    run_script(
        *("prune_heads", "--model", tmp_path / "shallow", "--importances", tmp_path / "importance.tsv"),
        *("--share", 0.5, "--output", tmp_path / "headless"),
    )
    data = ["--data", tmp_path / "data", "--features", tmp_path / "features", "--tokens", tmp_path / "tokens.txt"]
    training = tmp_path / "training.json"
    write_json(training, {"steps": 1, "batch_seconds": 1.0, "learning_rate": 0.1, "average_best": 0})
    run_script(
        *("prune", "--method", "wanda", "--start", tmp_path / "headless", "--ranked", tmp_path / "headless"),
        *("--sparsity", 0.5, "--training", f"@{training}", *data, "--languages", "en", "fr", "--speeds", 1.0),
        *("--seed", 1, "--device", "cpu", "--output", tmp_path / "masked"),
    )
    masked = load_model(tmp_path / "masked").model
    assert layer_numbers(masked) == [1, 3]
    gone = [Head("encoder-self", 1, number) for number in (1, 2, 3)]
    assert set(heads(masked)) == set(heads(shallow)) - set(gone)
    expected = remove_heads(keep_layers(make_model(config), [1, 3]), gone)
    mask = Mask.load(tmp_path / "masked" / "masks" / "all.safetensors")
    assert mask.sparsity == pytest.approx(0.5, abs=0.02)
    mask.apply_(expected)
    batch = make_batch().tensors
    outputs = [model.encode(batch["speech"], batch["speech_lengths"])[0] for model in (masked, expected.eval())]
    outputs = [output[0] if isinstance(output, tuple) else output for output in outputs]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-5)
