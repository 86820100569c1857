"""Layers of a decoder in tables, beside those of the encoder of the same model, with numbers that are known."""

import shutil

from test_layers import ERRORS, ORDERS, pruned, seconds  # noqa: F401
from timings import write_times

from secateur.core.files import read_json, write_json
from secateur.layers import study as layers
from secateur.layers.tables import rows, speeds
from secateur.overview.candidates import SHALLOWER, candidates, costs
from secateur.overview.times import Times
from secateur.reporting.results import Results

OF_DECODER = {"of": "decoder", "strategies": ["greedy"], "depths": [1], "trained": [], "rtf_budgets": [0.07]}


def test_rows_times_and_costs_of_the_decoder(pruned, tmp_path, write_heard):  # noqa: F811
    config, root, _ = pruned
    root = shutil.copytree(root, tmp_path / "tiny")
    (entry,) = config["layers"]
    models = config["models"] | {"ctc": config["models"]["ctc"] | {"decoder": {"layers": 2}}}
    config = config | {"models": models, "layers": [entry, entry | OF_DECODER]}
    run = layers.whole(entry, 0)
    order = root / layers.order_file(run, "greedy", "decoder")
    write_json(order, {"of": "decoder", "depths": {"1": {"layers": [2]}}, "layer_forwards": 7, "dev_utterances": 2})
    for decoding in layers.decodings(config):
        if isinstance(decoding, layers.DecoderDepthDecoding):
            write_heard(root, decoding, {"decoder 2": (2, 1)})
    sizes = read_json(root / "sizes.json")
    small = dict(sizes[run.folder]["sub_models"]["1"]) | {"bytes": 1500}
    sizes[run.folder]["sub_models"]["decoder 2"] = small
    write_json(root / "sizes.json", sizes)
    times = lambda run, search, part: [(0.8, 0.0, 0.0)] if part == "decoder depth 1" else seconds(run, search, part)  # noqa: E731
    write_times(root, config, times, [10.0], depths={"ctc": 3, "ctc-depth2": 2, "plain": 3})
    results = Results(config, root)

    found = [row for row in rows(results) if row["model"] == "ctc/decoder" and row["language"] == "en"]
    assert [(row["strategy"], row["depth"], row["layers_kept"], row["wer"], row["rtf"]) for row in found] == [
        ("whole", 2, "1,2", 40.0, 0.09),
        ("greedy", 1, "2", 30.0, 0.08),
    ]
    assert {row["layer_forwards"] for row in found} == {None, 7}
    timed = [row for row in speeds(results) if row["model"] == "ctc/decoder" and row["measured_model"] == "ctc/decoder"]
    assert [(row["depth"], row["rtf"], row["budgets"]) for row in timed] == [("2", 0.09, ""), ("1", 0.08, "")]

    both = {one.name: one for one in candidates(results) if one.kind == SHALLOWER}
    assert len(both) == sum(map(len, ORDERS.values())) + 1 == len(ERRORS) + 1
    one = both["ctc, 1 decoder layers by greedy"]
    assert one.sub_model == "decoder 2" and costs(results, one)["bytes"] == 1500
    assert Times(results).of(one)["rtf"] == 0.08
