"""Iterative greedy with recovery between removals, beside one-shot greedy, for every type of model whose layers go.

Each step is run by the command that a chain of `compose` runs it by. Models of ESPnet's and Hugging Face's, Whisper
among them, go the same way: `test_pruning_espnet.py`, `test_pruning_hugging_face.py`; students of self-supervised
encoders by a way of their own: `test_ssl_scripts.py`.
"""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from one_by_one import remove_layers
from studies import refusal
from tiny import CTC, TOKENS, hybrid, transducer, with_encoder, write_corpus

from secateur.compose import commands, study
from secateur.config.complete import complete
from secateur.layers import commands as layer_commands
from secateur.models.build import build_model
from secateur.models.checkpoint import save_model
from secateur.models.load import load_model
from secateur.models.surgery.layers import layer_numbers
from secateur.study.paths import Paths
from secateur.study.runs import ModelRun

BASE = yaml.safe_load((Path(__file__).resolve().parents[3] / "config.yaml").read_text())
PLAIN = with_encoder(CTC, layers=4, dropout=0.0) | {"stochastic_depth": 0.0}
SHALLOW = with_encoder(PLAIN, layers=2) | {"intermediate_ctc": {"layers": [1], "weight": 0.3}}
MODELS = {
    "ctc": (PLAIN, "encoder"),
    "hybrid encoder": (hybrid(PLAIN), "encoder"),
    "hybrid decoder": (hybrid(SHALLOW, layers=4), "decoder"),
    "transducer": (transducer(PLAIN), "encoder"),
}
TRAINING = {"steps": 15, "batch_seconds": 2.0, "learning_rate": 5e-3, "average_best": 0, "evaluate_every": 15}
TRAINING |= {"warmup": 1, "schedule": "constant", "specaug": {"frequency_masks": 0, "time_masks": 0}}


@pytest.mark.parametrize("config, of", MODELS.values(), ids=MODELS)
def test_the_next_layer_is_chosen_by_what_the_model_became(tmp_path, config, of):
    torch.manual_seed(0)
    save_model(tmp_path / "whole", build_model(config, TOKENS), config, TOKENS)
    write_corpus(tmp_path)
    removals = remove_layers(tmp_path, tmp_path / "whole", ("en", "fr"), TRAINING, tmp_path, of)
    at_once, then = removals
    assert (at_once.depth, then.depth, then.found["of"]) == (4, 3, of)
    left = at_once.kept(3)
    assert then.kept(3) == left
    assert then.loss(3) < at_once.loss(3), "recovery helps what the search reads"
    assert all(one.after < one.before for one in removals)
    model = load_model(then.model).model
    assert layer_numbers(model, of) == then.kept(2)
    assert set(layer_numbers(model, of)) < set(left)
    if of == "decoder":
        assert layer_numbers(model) == [1, 2]


def at(run, **wildcards):
    axes = {"corpus": run.corpus, "model": run.model, "scope": run.scope, "level": "s000", "seed": run.seed}
    return SimpleNamespace(**axes, method=run.method, **wildcards)


def composed(*chain, model="hybrid", searches=("beam",)):
    entry = {"model": model, "chains": [list(chain)], "searches": list(searches)}
    return copy.deepcopy(BASE) | {"compose": [entry]}


OF_DECODER = {"layers": 2, "of": "decoder"}


def test_layers_of_a_decoder_go_by_steps_of_their_own():
    config = complete(composed(OF_DECODER, {"recover": "late"}, OF_DECODER | {"layers": 1}, {"layers": 5}))
    (run,) = study.bare_runs(config)
    first = "compose--layers-decoder-greedy-2--recover-late"
    assert run.method == f"{first}--layers-decoder-greedy-1--layers-greedy-5"
    assert study.said(config, run) == "2 decoder layers, then trained on, then 1 decoder layers, then 5 layers"
    before = study.before(config, run)
    start = f"results/default/models/asterisk/hybrid/all/{first}/s000/seed1"
    command = commands.keep_layers(Paths(config), at(before))
    assert command.options == {"model": start, "layers": f"{start}/layers/decoder-greedy.json", "depth": 1}
    recovered = ModelRun("asterisk", "hybrid", "all", 1, first)
    search = layer_commands.search(Paths(config), at(recovered, strategy="decoder-greedy"))
    assert (search.options["model"], search.options["of"], search.options["strategy"]) == (start, "decoder", "greedy")
    last = commands.keep_layers(Paths(config), at(run))
    assert last.options["layers"].endswith("layers-decoder-greedy-1/s000/seed1/layers/greedy.json")


@pytest.mark.parametrize(
    "chain, others, said",
    [
        ([OF_DECODER], {"searches": ["greedy"]}, "[0].of: decoder; allowed with a search that runs it, which none of"),
        ([OF_DECODER | {"layers": 3}], {}, "[0].layers: 3; allowed: 1 to 2, as 3 are left at this step"),
        ([OF_DECODER, OF_DECODER], {}, "[1].layers: 2; allowed: 1 to 1, as 2 are left at this step"),
        ([OF_DECODER | {"strategy": "svcca"}], {}, "[0].strategy: 'svcca'; allowed for a decoder: those that need no"),
        ([{"heads": 0.5, "of": "decoder"}], {}, "[0].of: decoder; allowed with layers, whose they are, alone"),
        ([OF_DECODER], {"model": "ctc"}, "[0].of: decoder; allowed: encoder, as 'ctc' has no attention decoder"),
    ],
)
def test_steps_of_a_decoder_that_make_no_sense_are_refused(chain, others, said):
    assert f"compose[0].chains[0]{said}" in refusal({"compose": composed(*chain, **others)["compose"]})
