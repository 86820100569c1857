"""What a study runs of layers of a decoder, beside those of the encoder of the same model."""

import copy
from types import SimpleNamespace

import pytest
from studies import DEFAULT, merged, refusal

from secateur.config.complete import complete
from secateur.layers import commands, study
from secateur.layers.rtf import depth_name_of
from secateur.models.surgery.layers import Kept
from secateur.study.paths import Paths
from secateur.study.runs import ModelRun
from secateur.study.timing import families

RUN = ModelRun("asterisk", "hybrid", "all", 1)
FOLDER = "results/default/models/asterisk/hybrid/all/dense/s000/seed1"
OF_DECODER = {"model": "hybrid", "of": "decoder", "strategies": ["greedy", "truncate"]}


def config(*entries):
    return complete(merged(copy.deepcopy(DEFAULT), {"layers": list(entries)}))


BOTH = config({"model": "hybrid", "depths": [5], "searches": ["greedy"]}, OF_DECODER | {"objective": "wer"})


def at(**wildcards):
    axes = {"corpus": RUN.corpus, "model": RUN.model, "scope": "all", "method": "dense", "level": "s000", "seed": 1}
    return SimpleNamespace(**axes, **wildcards)


def test_the_decoder_has_depths_files_and_a_search_of_its_own():
    entry, size = BOTH["layers"][1], BOTH["models"]["hybrid"]["decoder"]["layers"]
    assert entry["depths"] == list(range(size - 1, 0, -1)) and size > 1
    assert entry["searches"] == ["beam"]  # greedy search does not run the decoder
    assert list(study.order_files(entry, RUN).values()) == [
        f"{RUN.folder}/layers/decoder-{strategy}.json" for strategy in ("greedy", "truncate")
    ]
    folders = {one.folder for one in study.decodings(BOTH) if one.run == RUN}
    assert folders == {f"{RUN.folder}/depths/greedy", f"{RUN.folder}/decoder-depths/beam"}
    assert len(study.orders(BOTH)[RUN.folder]) == 5 + 2
    assert study.name(RUN, "decoder") == "hybrid/decoder" and study.of_name("hybrid/decoder") == "hybrid"
    assert study.sub_model(entry, "1,2") == Kept((1, 2), "decoder").name
    assert depth_name_of("decoder 1,2") == "decoder depth 2" and depth_name_of("1,2,5") == "depth 3"


def test_commands_say_whose_layers_go():
    paths = Paths(BOTH)
    search = commands.search(paths, at(strategy="decoder-truncate"))
    assert (search.options["of"], search.options["strategy"], search.options["objective"]) == (
        "decoder",
        "truncate",
        "wer",
    )
    encoder = commands.search(paths, at(strategy="every-other"))
    assert (encoder.options["of"], encoder.options["strategy"], encoder.options["objective"]) == (
        None,
        "every-other",
        "loss",
    )
    decode = commands.decode_depths(paths, at(depths="decoder-depths", search="beam"))
    assert decode.options["layers"] == [f"{FOLDER}/layers/decoder-{name}.json" for name in ("greedy", "truncate")]
    assert decode.options["depths"] == BOTH["layers"][1]["depths"]
    decode = commands.decode_depths(paths, at(depths="depths", search="greedy"))
    assert decode.options["depths"] == [5] and f"{FOLDER}/layers/greedy.json" in decode.inputs


def test_both_are_timed_with_the_whole_model_and_the_decoder_is_not_compared_by_frames():
    members = next(found for family, found in families(BOTH).items() if family.model == "hybrid")
    found = {one.search: one for one in members if one.run == RUN}
    assert (found["greedy"].depths, found["greedy"].decoder_depths) == ((5,), ())
    assert found["beam"].decoder_layers == f"{RUN.folder}/layers/decoder-greedy.json"
    assert found["beam"].decoder_depths == tuple(BOTH["layers"][1]["depths"])
    only = config(OF_DECODER)
    assert all("hybrid" not in study.compared(only, *one) for one in study.comparisons(only))


@pytest.mark.parametrize(
    "entry, said",
    [
        (
            {"searches": ["greedy"]},
            "searches: 'greedy' does not run the decoder of 'hybrid', so its layers make no dif",
        ),
        ({"strategies": ["svcca"]}, "strategies: 'svcca'; allowed for a decoder: those that need no similarity"),
        ({"model": "ctc"}, "of: decoder; allowed: encoder, as 'ctc' has no attention decoder"),
        ({"depths": [9]}, "depths: 9; allowed: 1 to "),
        ({"depths": [1], "trained": [1]}, "trained: [1]; allowed with of: decoder: none"),
    ],
)
def test_a_mistake_about_a_decoder(entry, said):
    assert f"layers[0].{said}" in refusal({"layers": [OF_DECODER | entry]})
