"""Part of an ONNX graph: only what is needed for some of its outputs.

A bundle may keep one file for two stages that share a trunk; each stage then loads its part alone, so that a
swatch does not pay for the colour decoder and a colour does not pay for the distribution head.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from .errors import ModelFileError


def extract_outputs(data: bytes, outputs: Sequence[str]) -> bytes:
    """The ONNX model in `data`, reduced to the nodes, inputs and initialisers that `outputs` depend on."""
    model = onnx.load_model_from_string(data)
    graph = model.graph
    offered = {value.name for value in graph.output}
    missing = [name for name in outputs if name not in offered]
    if missing:
        raise ModelFileError(f"the graph has no output {', '.join(missing)}; it offers {', '.join(sorted(offered))}")
    needed, nodes = set(outputs), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    reduced = onnx.ModelProto()
    reduced.CopyFrom(model)
    for field, kept in (
        ("node", nodes[::-1]),
        ("output", [v for v in graph.output if v.name in outputs]),
        ("input", [v for v in graph.input if v.name in needed]),
        ("initializer", [v for v in graph.initializer if v.name in needed]),
    ):
        target = getattr(reduced.graph, field)
        del target[:]
        target.extend(kept)
    return reduced.SerializeToString()
