"""The memory of ONNX files, against graphs counted by hand, and beside what torch needs."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny import CTC, TOKENS

from secateur.decoding.onnx import INPUTS, export_onnx, quantise
from secateur.decoding.onnx_memory import peak, peak_memory
from secateur.models.build import build_model
from secateur.models.size import encoding_cost, ten_seconds

SIZES = {"a": 4, "b": 8, "c": 8, "d": 2}


def test_what_is_alive_by_hand():
    """a makes b; a and b make c; c makes d: a, b and c are alive together."""
    nodes = [(["x"], ["a"], False), (["a"], ["b"], False), (["a", "b"], ["c"], False), (["c"], ["d"], False)]
    assert peak(nodes, SIZES, {"d"}) == 4 + 8 + 8
    assert peak(nodes, SIZES, {"a", "d"}) == 20
    chain = [(["x"], ["a"], False), (["a"], ["b"], False), (["b"], ["c"], False), (["c"], ["d"], False)]
    assert peak(chain, SIZES, {"d"}) == 16
    assert peak(chain, SIZES, {"a", "d"}) == 20


def test_views_lie_where_their_tensor_does_and_keep_it():
    nodes = [(["x"], ["a"], False), (["a"], ["b"], True), (["x"], ["c"], False), (["b", "c"], ["d"], False)]
    assert peak(nodes, SIZES, {"d"}) == 4 + 8 + 2


def test_a_product_of_matrices(tmp_path):
    """Weights of 8 × 5 and 5 × 3, ten rows: 10 × 5 and 10 × 3 are alive together; the input does not count."""
    weights = [
        numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in (("v", (8, 5)), ("w", (5, 3)))
    ]
    nodes = [helper.make_node("MatMul", ["x", "v"], ["y"]), helper.make_node("MatMul", ["y", "w"], ["z"])]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in (("x", 8), ("z", 3))
    ]
    graph = helper.make_graph(nodes, "two", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    found = peak_memory(tmp_path / "m.onnx", {"x": np.ones((10, 8), np.float32)})
    assert found == 4 * (8 * 5 + 5 * 3 + 10 * 5 + 10 * 3)


def test_a_model_takes_about_what_it_takes_in_torch_and_less_in_int8(tmp_path):
    torch.manual_seed(1)
    model = build_model(CTC, TOKENS).eval()
    export_onnx(model, 20, tmp_path / "plain.onnx")
    quantise(tmp_path / "plain.onnx", tmp_path / "int8.onnx")
    feeds = dict(zip(INPUTS, (one.numpy() for one in ten_seconds(model, 20)), strict=True))
    plain, small = (peak_memory(tmp_path / f"{name}.onnx", feeds) for name in ("plain", "int8"))
    # The graph spells masks out, as integers of 8 bytes for each pair of frames.
    assert 0.5 * encoding_cost(model, 20)["peak_memory"] < plain < 3 * encoding_cost(model, 20)["peak_memory"]
    saved = sum(tensor.nbytes for tensor in model.parameters() if tensor.ndim == 2)
    assert small < plain + 0.2 * saved  # activations decide in so small a model; weights are a quarter
