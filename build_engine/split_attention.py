"""Self-attention whose q, k and v come from one packed product, written as three products.

TensorRT 8.6 appears to return q and v exchanged from the Split behind a packed product (NVIDIA/TensorRT#3424). Three
products need no Split. The rewriting is exact: each product uses its own columns of the packed weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

# [batch, tokens, 3, heads, channels] → [3, batch, heads, tokens, channels], and the same for one of the three.
PACKED_PERM, PERM = [2, 0, 3, 1, 4], [0, 2, 1, 3]
PARTS = ("q", "k", "v")


@dataclass(frozen=True)
class _Packed:
    """The nodes MatMul, Add (None without a bias), Reshape, Transpose, Split and three Squeeze of one attention."""

    product: onnx.NodeProto
    add: onnx.NodeProto | None
    reshape: onnx.NodeProto
    transpose: onnx.NodeProto
    split: onnx.NodeProto
    squeezes: list[onnx.NodeProto]

    def nodes(self) -> list[onnx.NodeProto]:
        some = [self.product, self.add, self.reshape, self.transpose, self.split, *self.squeezes]
        return [node for node in some if node is not None]


def three_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """A folded graph in which every packed qkv is three times MatMul, Add, Reshape and Transpose.

    The new nodes are named after the packed MatMul: NAME/q/MatMul and so on. All other names stay, those of the three
    resulting tensors too. Returns `model` itself if it has no packed qkv.
    """
    found = _Finder(model.graph).all()
    if not found:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    replaced = {name for packed in found for node in packed.nodes() for name in node.output}
    products = {packed.product.output[0]: packed for packed in found}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] in products:
            new, tensors = _parts(products[node.output[0]], constants)
            nodes += new
            graph.initializer.extend(tensors)
        elif node.output[0] not in replaced:
            nodes.append(_copy(node))
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    result = shape_inference.infer_shapes(result)
    onnx.checker.check_model(result)
    return result


def _parts(packed: _Packed, constants: dict[str, NDArray]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and the constants that replace one packed qkv."""
    source, weight = packed.product.input
    weights = np.split(constants[weight], 3, axis=1)
    bias = _constant_input(packed.add, constants) if packed.add is not None else ""
    biases = np.split(constants[bias], 3) if bias else [None] * 3
    batch, tokens, _, heads, channels = constants[packed.reshape.input[1]].tolist()
    nodes, tensors = [], []
    for part, columns, row, squeeze in zip(PARTS, weights, biases, packed.squeezes, strict=True):
        base = f"{packed.product.name or packed.product.output[0]}/{part}"
        tensors.append(_tensor(columns, f"{weight}/{part}"))
        nodes.append(helper.make_node("MatMul", [source, f"{weight}/{part}"], [f"{base}/product"], f"{base}/MatMul"))
        if row is not None:
            tensors.append(_tensor(row, f"{bias}/{part}"))
            inputs = [f"{base}/product", f"{bias}/{part}"]
            nodes.append(helper.make_node("Add", inputs, [f"{base}/sum"], f"{base}/Add"))
        tensors.append(_tensor(np.array([batch, tokens, heads, channels], np.int64), f"{base}/shape"))
        inputs = [nodes[-1].output[0], f"{base}/shape"]
        nodes.append(helper.make_node("Reshape", inputs, [f"{base}/heads"], f"{base}/Reshape"))
        nodes.append(
            helper.make_node("Transpose", [f"{base}/heads"], [squeeze.output[0]], f"{base}/Transpose", perm=PERM)
        )
    return nodes, tensors


class _Finder:
    """Finds every packed qkv of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.producers = {name: node for node in graph.node for name in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = {o.name: [] for o in graph.output}
        self.outputs = set(self.users)
        for node in graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def all(self) -> list[_Packed]:
        found = [self._behind(node) for node in self.graph.node if node.op_type == "Split" and len(node.output) == 3]
        return [packed for packed in found if packed is not None]

    def _behind(self, split: onnx.NodeProto) -> _Packed | None:
        """The packed qkv that ends in `split`; None if the nodes around it have another form."""
        transpose = self._producer(split.input[0], "Transpose")
        reshape = self._producer(transpose.input[0], "Reshape") if transpose is not None else None
        if transpose is None or reshape is None:
            return None
        add = self._producer(reshape.input[0], "Add")
        product = self._producer(self._computed_input(add) if add is not None else reshape.input[0], "MatMul")
        squeezes = [self._squeeze(name) for name in split.output]
        if product is None or None in squeezes:
            return None
        packed = _Packed(product, add, reshape, transpose, split, [s for s in squeezes if s is not None])
        return packed if self._fits(packed) else None

    def _producer(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The node that computes `name`, if it is of this kind and nothing else reads `name`."""
        node = self.producers.get(name)
        alone = name not in self.outputs and len(self.users.get(name, [])) == 1
        return node if node is not None and node.op_type == kind and alone else None

    def _squeeze(self, name: str) -> onnx.NodeProto | None:
        """The Squeeze that takes axis 0 from one output of the Split, if nothing else reads that output."""
        users = self.users.get(name, [])
        if name in self.outputs or len(users) != 1 or users[0].op_type != "Squeeze":
            return None
        return users[0] if self._integers(users[0], "axes") == [0] else None

    def _computed_input(self, add: onnx.NodeProto) -> str:
        return next((name for name in add.input if name not in self.constants), "")

    def _integers(self, node: onnx.NodeProto, attribute: str) -> list[int]:
        """The integers that a node has as its second input or, in older opsets, as an attribute; [] for neither."""
        if len(node.input) > 1 and node.input[1] in self.constants:
            return self.constants[node.input[1]].tolist()
        return _integers_of(node, attribute)

    def _fits(self, packed: _Packed) -> bool:
        weights = self.constants.get(packed.product.input[1])
        shape = self.constants.get(packed.reshape.input[1])
        if weights is None or weights.ndim != 2 or shape is None or len(shape) != 5 or shape[2] != 3:
            return False
        bias = _constant_input(packed.add, self.constants) if packed.add is not None else ""
        if packed.add is not None and (not bias or self.constants[bias].shape != weights.shape[1:]):
            return False
        return (
            not any(_integers_of(packed.split, "axis"))
            and self._integers(packed.split, "split") in ([], [1, 1, 1])
            and _integers_of(packed.transpose, "perm") == PACKED_PERM
        )


def _constant_input(add: onnx.NodeProto, constants: dict[str, NDArray]) -> str:
    return next((name for name in add.input if name in constants), "")


def _integers_of(node: onnx.NodeProto, name: str) -> list[int]:
    """The value of an attribute of one or more integers; [] if the node does not have it."""
    attribute = next((a for a in node.attribute if a.name == name), None)
    if attribute is None:
        return []
    return list(attribute.ints) if attribute.type == onnx.AttributeProto.INTS else [attribute.i]


def _tensor(values: NDArray, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(values), name)


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
