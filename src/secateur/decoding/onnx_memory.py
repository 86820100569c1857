"""What an ONNX file needs of memory, counted as for models in torch (`secateur.models.size`), alike on every machine.

The graph is that which ONNX Runtime makes of the file on any processor. Its tensors are alive from the operator that
makes them to the last one that reads them, in the order of the graph, which is that of the operators.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
"""Operators whose output lies where their input does."""


def peak_memory(path: str | Path, feeds: Mapping[str, np.ndarray]) -> int:
    """Bytes of all weights, and the most that the tensors made of `feeds`, which do not count, took at once."""
    import onnx
    from onnx import numpy_helper

    with tempfile.TemporaryDirectory() as folder:
        model = onnx.load(_optimised(path, Path(folder) / "optimised.onnx"))
    sizes = _sizes(model, feeds)
    weights = sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)
    nodes = [
        (list(filter(None, node.input)), list(filter(None, node.output)), node.op_type in VIEWS)
        for node in model.graph.node
    ]
    return weights + peak(nodes, sizes, {output.name for output in model.graph.output})


def peak(nodes: Iterable[tuple[list[str], list[str], bool]], sizes: Mapping[str, int], kept: set[str]) -> int:
    """The highest sum of the bytes of tensors that are alive.

    Args:
        nodes: names of the tensors that each operator reads and makes, and whether it makes but a view of its first.
        sizes: bytes of what operators make.
        kept: what lives to the end.
    """
    nodes = list(nodes)
    owner: dict[str, str] = {}
    for read, made, view in nodes:
        for name in made:
            owner[name] = owner.get(read[0], read[0]) if view else name
    last = {owner.get(name, name): place for place, (read, _, _) in enumerate(nodes) for name in read}
    for name in kept:
        last[owner.get(name, name)] = len(nodes)
    alive, most = {}, 0
    for place, (_, made, view) in enumerate(nodes):
        if not view:
            alive |= {name: sizes[name] for name in made}
        most = max(most, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last.get(name, -1) > place}
    return most


def _optimised(path: str | Path, target: Path) -> str:
    """Write the graph that ONNX Runtime makes of a file for any processor, and return its name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return str(target)


def _sizes(model: "onnx.ModelProto", feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The bytes of all that the operators of a graph make of `feeds`: it is run with all of it as outputs."""
    import onnx
    import onnxruntime

    names = [name for node in model.graph.node for name in node.output if name]
    open_graph = onnx.ModelProto()
    open_graph.CopyFrom(model)
    del open_graph.graph.output[:]
    open_graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(open_graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {name: np.asarray(made).nbytes for name, made in zip(names, session.run(names, dict(feeds)), strict=True)}
