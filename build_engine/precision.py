"""fp16 in the graph itself: one strongly typed ONNX file, with half precision where it costs no accuracy.

Half precision runs from the first weighted layer to the last. What comes before (scaling L) and after (softmaxes,
scaling to ab, the squared distances in the queries) stays in fp32: it is a few element-wise operations, and fp16 would
lose visible differences there. The touch stages stay in fp32 altogether: they are small, and their exponentials reach
e³⁰, where fp16 ends at e¹¹.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from .fold import element_types

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Sums of squares and exponentials of unbounded numbers.
ALWAYS_WIDE = frozenset({"LayerNormalization", "Exp", "Pow", "ReduceSum", "ReduceMean", "Softmax", "LogSoftmax"})
# Inputs that keep their type because they are parameters, not data: roi and scales of Resize.
KEPT_INPUTS = {"Resize": (1, 2)}
MAX_HALF = 65504.0


def to_half(model: onnx.ModelProto, keep: Collection[str] = ()) -> onnx.ModelProto:
    """A copy of a folded fp32 graph with fp16 between its first and last weighted layers.

    keep: names of nodes that stay in fp32. Inputs and outputs of the graph keep their types. Casts are explicit
    nodes, as strongly typed TensorRT networks need them.
    """
    model = shape_inference.infer_shapes(model)
    floats = {n for n, kind in element_types(model).items() if kind == TensorProto.FLOAT}
    half = half_nodes(model, keep)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _HalfWriter(result, floats, half).run()
    del result.graph.value_info[:]
    return shape_inference.infer_shapes(result)


def half_nodes(model: onnx.ModelProto, keep: Collection[str] = ()) -> set[int]:
    """Indices of the nodes that run in fp16."""
    nodes = list(model.graph.node)
    before = _reached(nodes, forward=True)
    after = _reached(nodes, forward=False)
    chosen = set()
    for index, node in enumerate(nodes):
        wide = node.op_type in ALWAYS_WIDE or node.name in keep
        if not wide and (node.op_type in WEIGHTED or (index in before and index in after)):
            chosen.add(index)
    _follow_consumers(nodes, chosen)
    return chosen


def _follow_consumers(nodes: list[onnx.NodeProto], chosen: set[int]) -> None:
    """A DequantizeLinear has the precision of the layer that reads it."""
    consumers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in node.input:
            consumers.setdefault(name, []).append(index)
    for index, node in enumerate(nodes):
        if node.op_type == "DequantizeLinear":
            if any(user in chosen for user in consumers.get(node.output[0], [])):
                chosen.add(index)
            else:
                chosen.discard(index)


def _reached(nodes: list[onnx.NodeProto], forward: bool) -> set[int]:
    """Indices of the nodes after (forward) or before a weighted layer."""
    marked: set[str] = set()
    found = set()
    order = enumerate(nodes) if forward else reversed(list(enumerate(nodes)))
    for index, node in order:
        sources, targets = (node.input, node.output) if forward else (node.output, node.input)
        if any(name in marked for name in sources if name):
            found.add(index)
            marked.update(targets)
        if node.op_type in WEIGHTED:
            marked.update(targets)
    return found


class _HalfWriter:
    """Rewrites one graph in place: fp16 copies of constants, and casts between fp16 and fp32 nodes."""

    def __init__(self, model: onnx.ModelProto, floats: set[str], half_nodes: set[int]) -> None:
        self.graph, self.floats, self.half_nodes = model.graph, floats, half_nodes
        self.constants = {i.name: i for i in model.graph.initializer}
        self.casts: dict[tuple[str, int], str] = {}
        self.half_tensors: dict[str, str] = {}
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> None:
        outputs = {o.name for o in self.graph.output}
        for index, node in enumerate(list(self.graph.node)):
            half = index in self.half_nodes
            for place, name in enumerate(node.input):
                if name in self.floats and place not in KEPT_INPUTS.get(node.op_type, ()):
                    node.input[place] = self._as(name, half)
            self.nodes.append(node)
            if half:
                for place, name in enumerate(node.output):
                    if name in self.floats:
                        node.output[place] = self.half_tensors[name] = f"{name}/half"
                        if name in outputs:
                            self._cast(f"{name}/half", name, TensorProto.FLOAT)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        used = {name for node in self.graph.node for name in node.input}
        kept = [i for i in self.graph.initializer if i.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)

    def _as(self, name: str, half: bool) -> str:
        """The name of tensor `name` in fp16 or in fp32; adds a cast where it is needed."""
        if name in self.constants:
            return self._constant(name) if half else name
        is_half = name in self.half_tensors
        if is_half == half:
            return self.half_tensors.get(name, name)
        wanted = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        key = (name, wanted)
        if key not in self.casts:
            self.casts[key] = f"{name}/{'narrowed' if half else 'widened'}"
            self._cast(self.half_tensors.get(name, name), self.casts[key], wanted)
        return self.casts[key]

    def _constant(self, name: str) -> str:
        half = f"{name}/half"
        if half not in self.constants:
            values = np.clip(numpy_helper.to_array(self.constants[name]), -MAX_HALF, MAX_HALF)
            tensor = numpy_helper.from_array(values.astype(np.float16), half)
            self.constants[half] = tensor
            self.graph.initializer.append(tensor)
        return half

    def _cast(self, source: str, target: str, kind: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=kind))
