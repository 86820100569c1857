"""What the sections `layers`, `regularise` and `exits` of a study may hold."""

import pytest
from studies import DEFAULT, PLAIN, merged, refusal

from secateur.config.complete import complete
from secateur.core.errors import SecateurError

LATE = {"model": "deep-plain", "variants": [{"name": "both", "training": "late"}]}
LAYERS = {
    "models": {
        "deep": PLAIN | {"intermediate_ctc": {"layers": [2, 4]}, "stochastic_depth": 0.2},
        "deep-plain": PLAIN,
    },
    "training": {"late": {"steps": 10, "learning_rate": 1.0e-3}},
    "dense": [
        {"corpus": "asterisk", "model": "ctc"},
        {"corpus": "asterisk", "model": "ctc-small", "scopes": ["each"]},
        {"corpus": "asterisk", "model": "deep", "searches": ["greedy"]},
        {"corpus": "asterisk", "model": "deep-plain", "searches": ["greedy"]},
    ],
    "layers": [],
    "regularise": [LATE],
}


def test_a_depth_that_is_trained_alone_is_a_model_of_its_own():
    config = complete(merged(DEFAULT, LAYERS | {"layers": [{"model": "deep", "trained": [4, 2]}]}))
    (entry,) = config["layers"]
    assert (entry["corpus"], entry["depths"]) == ("asterisk", [5, 4, 3, 2, 1])
    whole, smaller = config["models"]["deep"], config["models"]["deep-depth4"]
    assert whole["intermediate_ctc"]["layers"] == [2, 4] and whole["encoder"]["layers"] == 6
    assert (smaller["intermediate_ctc"]["layers"], smaller["stochastic_depth"]) == ([], 0.0)
    assert smaller["encoder"]["layers"] == 4
    assert {key: smaller[key] for key in ("training", "stack")} == {key: whole[key] for key in ("training", "stack")}
    # 2 and 4 of 6 layers are 4/3 and 8/3 of 4
    other = config["models"]["deep-depth4-regularised"]
    assert (other["intermediate_ctc"]["layers"], other["stochastic_depth"]) == ([1, 3], whole["stochastic_depth"])
    assert config["models"]["deep-depth2-regularised"]["intermediate_ctc"]["layers"] == [1]
    trained = [entry for entry in config["dense"] if entry["model"].startswith("deep-depth")]
    assert [(entry["model"], entry["scopes"], entry["searches"]) for entry in trained] == [
        (f"deep-depth{depth}{kind}", ["all"], ["greedy"]) for depth in (4, 2) for kind in ("", "-regularised")
    ]
    alone = {"model": "deep-plain", "trained": [1], "trained_with": "acoustic-small"}
    config = complete(merged(DEFAULT, LAYERS | {"layers": [alone]}))
    assert config["models"]["deep-plain-depth1"]["training"] == "acoustic-small"
    assert "deep-plain-depth1-regularised" not in config["models"]  # nor has the whole model any regulariser
    # With one layer, stochastic depth would skip the only one.
    one = complete(merged(DEFAULT, LAYERS | {"layers": [{"model": "deep", "trained": [1]}]}))["models"]
    assert "deep-depth1-regularised" not in one


def test_a_rival_is_chosen_on_dev_data():
    given = LAYERS | {"layers": [{"model": "deep", "trained": [4]}], "decode": {"splits": ["test"]}}
    with pytest.raises(SecateurError, match="on which a rival is chosen"):
        complete(merged(DEFAULT, given))
    given = LAYERS | {"layers": [{"model": "deep", "trained": [4], "trained_with": "acoustik"}]}
    with pytest.raises(SecateurError, match="did you mean 'acoustic'"):
        complete(merged(DEFAULT, given))


LAYER_MISTAKES = {
    "no such model": (
        {"layers": [{"model": "deeep"}]},
        "layers[0].model: 'deeep' is not in models (did you mean 'deep'",
    ),
    "not all languages": (
        {"layers": [{"model": "ctc-small", "corpus": "asterisk"}]},
        "layers[0].model: 'ctc-small' is not in `dense` with scope `all`; train it",
    ),
    "too deep": ({"layers": [{"model": "deep", "depths": [6]}]}, "layers[0].depths: 6; allowed: 1 to 5"),
    "trained at another depth": (
        {"layers": [{"model": "deep", "depths": [4], "trained": [3]}]},
        "layers[0].trained: 3 is not among the depths; allowed: 4",
    ),
    "twice": ({"layers": [{"model": "deep"}, {"model": "deep"}]}, "layers[1]: a second entry for model 'deep'"),
    "no such variant": (
        {"layers": [{"model": "deep-plain", "variant": "bothh"}]},
        "layers[0].variant: 'bothh' is not in regularise of 'deep-plain' (did you mean 'both'?)",
    ),
    "another search": (
        {"layers": [{"model": "deep", "searches": ["beam"]}]},
        "layers[0].searches: 'beam' is not a search of the whole model",
    ),
    "no such strategy": ({"layers": [{"model": "deep", "strategies": ["gredy"]}]}, "'gredy' (did you mean 'greedy'?)"),
    "late layer": (
        {"regularise": [LATE | {"variants": [LATE["variants"][0] | {"intermediate_ctc": {"layers": [6]}}]}]},
        "regularise[0].variants[0].intermediate_ctc.layers: 6; allowed: 1 to 5",
    ),
    "nothing rises": (
        {"regularise": [LATE | {"variants": [LATE["variants"][0] | {"rise": 3}]}]},
        "regularise[0].variants[0].rise: 3; allowed without intermediate CTC: 0",
    ),
    "name twice": (
        {"regularise": [LATE | {"variants": LATE["variants"] * 2}]},
        "regularise[0].variants[1].name: 'both' is taken",
    ),
    "no such training": (
        {"regularise": [LATE | {"variants": [{"name": "a", "training": "lat"}]}]},
        "regularise[0].variants[0].training: 'lat' is not in training (did you mean 'late'?)",
    ),
    "no scratch": (
        {"regularise": [LATE | {"scratch": "ctc-small"}]},
        "regularise[0].scratch: 'ctc-small' is not in `dense` with scope `all`; train it",
    ),
}


@pytest.mark.parametrize(("change", "message"), LAYER_MISTAKES.values(), ids=LAYER_MISTAKES)
def test_a_mistake_about_layers(change, message):
    assert message in refusal(LAYERS | change)


def test_exits_are_where_a_model_has_heads():
    assert complete(DEFAULT)["exits"][0]["at"] == [2, 4]  # what the model of the zoo was trained with

    def said(**entry):
        return refusal({"exits": [{"model": "ctc"} | entry]})

    assert "exits[0].at: 6; allowed: 1 to 5, those with a head: 2, 4" in said(at=[2, 6])
    assert "exits[0].mean_layers: 1.5; allowed: 2, the first exit, to 6" in said(mean_layers=[1.5])
    assert "exits[0].searches: 'beam' is of type beam; allowed: greedy CTC search" in said(searches=["beam"])
    assert "exits[0].model: 'ctx' is not in models (did you mean 'ctc'?)" in said(model="ctx")


def test_a_streaming_transducer_has_no_exits_and_the_reason_is_said():
    encoder = {"type": "emformer", "layers": 4, "dim": 64, "heads": 4}
    change = {
        "models": {"rnnt": {"type": "rnnt", "training": "acoustic", "encoder": encoder}},
        "searches": {"stream": {"type": "transducer_greedy", "streaming": True}},
        "dense": [*DEFAULT["dense"], {"corpus": "asterisk", "model": "rnnt", "searches": ["stream"]}],
        "exits": [{"model": "rnnt", "at": [2], "searches": ["stream"]}],
    }
    (line,) = [line for line in refusal(change).splitlines() if "exits[0]" in line]
    assert "exits[0].model: 'rnnt' is of type rnnt, whose joiner has learnt the last layer's output alone" in line
    assert "keys and memory of all frames before" in line and "allowed: ctc, hybrid" in line


def test_self_conditioning_needs_heads_and_stays():
    inner = {"layers": [], "condition": True}
    text = "models.ctc-small.intermediate_ctc.condition: true; allowed without layers, which would be heard: false"
    assert text in refusal({"models": {"ctc-small": {"intermediate_ctc": inner}}})
    late = {"name": "late", "training": "late", "intermediate_ctc": {"layers": [2], "condition": True}}
    text = "regularise[0].variants[0].intermediate_ctc.condition: true; allowed: false, as that needs weights"
    assert text in refusal({"regularise": [{"model": "plain", "variants": [late]}]})
    inner = {"layers": [2], "condition": True}
    model = {"plain": DEFAULT["models"]["ctc-small"] | {"pretrained": None, "intermediate_ctc": inner}}
    text = "regularise[0].model: 'plain' is self-conditioned, so its inner heads cannot come and go"
    assert text in refusal({"models": model})
