"""Write a topology and its weights as an ONNX file, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..engine.errors import ModelFileError
from ..engine.inputs import AB_SCALE
from .networks.topology import EPSILON, LEAK, Layer, Topology

OPSET = 17
IR_VERSION = 8
Weights = Mapping[str, NDArray[np.float32]]


def topology_model(topology: Topology, weights: Weights, size: tuple[int, int] | None = (256, 256)) -> onnx.ModelProto:
    """The network as an ONNX model. Initialisers have the state dict's keys as names; BatchNorms stay separate nodes.

    size: H and W of `planes`, multiples of 8; None leaves both open. Raises ModelFileError for missing weights and
    for other sizes.
    """
    shapes = topology.shapes()
    missing = [key for key in shapes if key not in weights]
    if missing:
        raise ModelFileError(f"the weights lack {', '.join(missing[:3])} ({len(missing)} in all)")
    if size is not None and (min(size) <= 0 or size[0] % 8 or size[1] % 8):
        raise ModelFileError(f"a graph for {size[0]} × {size[1]} pixels is not possible; both are multiples of 8")
    named = {source: name for name, source in topology.outputs.items()}
    nodes = [node for layer in topology.layers for node in _nodes(layer, named)]
    initialisers = [numpy_helper.from_array(np.asarray(weights[key], np.float32), key) for key in shapes]
    initialisers += _constants(topology)
    inputs = [_input(name, channels, size) for name, channels in topology.inputs.items()]
    outputs = [_output(topology, name, size) for name in topology.outputs]
    graph = helper.make_graph(nodes, "network", inputs, outputs, initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def random_weights(topology: Topology, seed: int = 17) -> dict[str, NDArray[np.float32]]:
    """Random weights that keep activations in range: convolutions scaled after He, BatchNorms that change nothing."""
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in topology.layers:
        for key, shape in layer.shapes().items():
            leaf = key.rsplit(".", 1)[1]
            if len(shape) > 1:
                taps = layer.kernel**2 // (4 if layer.kind == "deconv" else 1)
                value = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / (layer.first * taps)))
            else:
                neutral = layer.kind == "norm" and leaf in ("weight", "running_var")
                value = np.full(shape, float(neutral), np.float32)
            weights[key] = value
    return weights


def _input(name: str, channels: int, size: tuple[int, int] | None) -> onnx.ValueInfoProto:
    shape: list[int | str] = [1, channels]
    if name == "planes":
        shape += ["height", "width"] if size is None else list(size)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _output(topology: Topology, name: str, size: tuple[int, int] | None) -> onnx.ValueInfoProto:
    layer = next(layer for layer in topology.layers if layer.name == topology.outputs[name])
    suffix = "" if layer.stride == 1 else f"/{layer.stride}"
    plane = [f"height{suffix}", f"width{suffix}"] if size is None else [side // layer.stride for side in size]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, layer.channels, *plane])


def _constants(topology: Topology) -> list[onnx.TensorProto]:
    arrays: dict[str, NDArray] = {"ab_scale": np.array([AB_SCALE], np.float32)}
    for layer in topology.layers:
        if layer.kind == "slice":
            arrays["channel_axis"] = np.array([1], np.int64)
            arrays["as_map"] = np.array([1, -1, 1, 1], np.int64)
            arrays[f"{layer.name}.start"] = np.array([layer.first], np.int64)
            arrays[f"{layer.name}.stop"] = np.array([layer.first + layer.channels], np.int64)
    return [numpy_helper.from_array(value, name) for name, value in arrays.items()]


def _nodes(layer: Layer, named: Mapping[str, str]) -> list[onnx.NodeProto]:
    """The nodes of one layer. `named`: layer → output of the graph; such a layer's result has the output's name."""
    result = named.get(layer.name, layer.name)
    sources = [named.get(name, name) for name in layer.sources]

    def node(kind: str, inputs: list[str], **attributes: Any) -> list[onnx.NodeProto]:
        return [helper.make_node(kind, inputs, [result], name=layer.name, **attributes)]

    if layer.kind == "input":
        return []
    if layer.kind == "conv":
        padding, dilation = layer.dilation * (layer.kernel // 2), layer.dilation
        return node(
            "Conv", [*sources, *layer.shapes()], kernel_shape=[layer.kernel] * 2, pads=[padding] * 4,
            dilations=[dilation] * 2,
        )  # fmt: skip
    if layer.kind == "deconv":
        return node(
            "ConvTranspose", [*sources, *layer.shapes()], kernel_shape=[layer.kernel] * 2, strides=[2, 2],
            pads=[1] * 4,
        )  # fmt: skip
    if layer.kind == "norm":
        return node("BatchNormalization", [*sources, *layer.shapes()], epsilon=EPSILON)
    if layer.kind == "decimate":
        return node("MaxPool", sources, kernel_shape=[1, 1], strides=[2, 2])
    if layer.kind == "leaky":
        return node("LeakyRelu", sources, alpha=LEAK)
    if layer.kind == "scale":
        return node("Mul", [*sources, "ab_scale"])
    if layer.kind == "stop":
        return node("Identity", sources)
    if layer.kind == "add":
        return _sum(layer, sources, result)
    if layer.kind == "slice":
        bounds = [f"{layer.name}.start", f"{layer.name}.stop", "channel_axis"]
        part = helper.make_node("Slice", [*sources, *bounds], [f"{result}.flat"], name=f"{layer.name}.flat")
        return [part, *node("Reshape", [f"{result}.flat", "as_map"])]
    return node({"relu": "Relu", "tanh": "Tanh"}[layer.kind], sources)


def _sum(layer: Layer, sources: list[str], result: str) -> list[onnx.NodeProto]:
    """A sum as additions of two tensors each, because every back end fuses those."""
    nodes, total = [], sources[0]
    for index, source in enumerate(sources[1:]):
        last = index == len(sources) - 2
        target = result if last else f"{layer.name}.{index}"
        nodes.append(helper.make_node("Add", [total, source], [target], name=target))
        total = target
    return nodes
