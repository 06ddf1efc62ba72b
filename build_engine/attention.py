"""Where self-attention and the first layers are in an ONNX graph, found by the graph's structure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from .precision import WEIGHTED

# `touch`: the stem (one convolution), block 0 (two) and block 1 (three).
FIRST_CONVOLUTIONS = 6
SCALING = ("Mul", "Div", "Add", "Sub", "Where")


@dataclass(frozen=True)
class Attention:
    """The products of one self-attention: scores = q kᵀ, and values = softmax(scores) v."""

    scores: onnx.NodeProto
    softmax: onnx.NodeProto
    values: onnx.NodeProto


def attentions(model: onnx.ModelProto) -> list[Attention]:
    """Every self-attention of a folded graph, in order."""
    graph = _Graph(model)
    found = []
    for softmax in (node for node in model.graph.node if node.op_type == "Softmax"):
        scores = graph.product_before(softmax)
        values = next((n for n in graph.users_of(softmax) if graph.is_product(n)), None)
        if scores is not None and values is not None:
            found.append(Attention(scores, softmax, values))
    return found


def attention_nodes(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the nodes of every attention block: from the products that give q, k and v to the projection.

    Nodes of the same module, by the names like paths that PyTorch's exporter gives, belong to it too: the norms and the
    MLP behind the attention. Empty for a graph without attention.
    """
    graph = _Graph(model)
    names: set[str] = set()
    for attention in attentions(model):
        names |= {node.name for node in graph.reach(attention.values, graph.producers_of)}
        names |= {node.name for node in graph.reach(attention.values, graph.users_of)}
        module = attention.softmax.name.rpartition("/")[0]
        if module.count("/") > 1:  # "/encoder/attend16.1", but not "/encoder"
            names |= {node.name for node in model.graph.node if node.name.startswith(f"{module}/")}
    return frozenset(names - {""})


def first_nodes(model: onnx.ModelProto, convolutions: int = FIRST_CONVOLUTIONS) -> frozenset[str]:
    """Names of the nodes up to the sixth convolution in the graph's order, and what follows it without weights.

    Empty for graphs with no more convolutions than that.
    """
    nodes = list(model.graph.node)
    places = [index for index, node in enumerate(nodes) if node.op_type in WEIGHTED]
    if len(places) <= convolutions:
        return frozenset()
    return frozenset(node.name for node in nodes[: places[convolutions]] if node.name)


class _Graph:
    """The nodes of a graph and their neighbours."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._constants = {tensor.name for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def producers_of(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [self._producers[name] for name in node.input if name in self._producers]

    def users_of(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [user for name in node.output for user in self._users.get(name, [])]

    def is_product(self, node: onnx.NodeProto) -> bool:
        """Whether a node multiplies two computed matrices."""
        return node.op_type == "MatMul" and self._constants.isdisjoint(node.input)

    def product_before(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The product of computed matrices before a node, with scaling or masking at most in between."""
        while len(before := [n for n in self.producers_of(node) if n.op_type in (*SCALING, "MatMul")]) == 1:
            node = before[0]
            if node.op_type == "MatMul":
                return node if self.is_product(node) else None
        return None

    def reach(
        self, start: onnx.NodeProto, neighbours: Callable[[onnx.NodeProto], list[onnx.NodeProto]]
    ) -> list[onnx.NodeProto]:
        """`start` and the nodes on one side of it, up to and including the first ones with constant weights."""
        found, todo = {start.output[0]: start}, [start]
        while todo:
            for node in neighbours(todo.pop()):
                if node.output[0] not in found:
                    found[node.output[0]] = node
                    if node.op_type not in WEIGHTED or self.is_product(node):
                        todo.append(node)
        return list(found.values())
