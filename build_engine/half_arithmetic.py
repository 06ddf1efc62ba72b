"""A GPU's fp16 arithmetic on the CPU: products and their sums round to fp16, not only the results that are stored.

ONNX Runtime computes fp16 graphs in fp32 on a CPU and rounds only what a layer stores. A GPU may also keep the sums of
a layer in fp16: it multiplies and adds a few channels at a time, and rounds the running sum after each step. This
module computes convolutions and matrix products in this way. All other nodes run in ONNX Runtime, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..engine.errors import ConfigError
from ..engine.runners.onnx import OnnxRunner
from ..engine.runners.sessions import Session, session_options
from .fold import element_types

# Tensor cores add this many products before the sum is rounded to fp16.
CHUNK = 16
# Values of a running sum that are computed at a time. They fit into a core's cache, and BLAS starts no threads.
BLOCK_VALUES = 16384
MAX_HALF = 65504.0
# x · SPLIT − (x · SPLIT − x) keeps the 11 most significant bits of a float32 (Dekker's splitting).
SPLIT = np.float32(2**13 + 1)

Array = NDArray[Any]


class EmulatedRunner(OnnxRunner):
    """Runs a bundle whose graphs contain fp16 (dialect "tensorrt") with the arithmetic of a GPU, on the CPU.

    Graphs without fp16 run in ONNX Runtime. It is slow (about two seconds for the encoder of `touch`), and meant for
    measuring.
    """

    def _session(self, data: bytes, threads: int, *, spin_on: bool = True) -> Session:
        model = onnx.load_model_from_string(data)
        if any(node.op_type == "Cast" and _cast_to(node) == TensorProto.FLOAT16 for node in model.graph.node):
            return HalfSession(model)
        return super()._session(data, threads, spin_on=spin_on)


class HalfSession:
    """An ONNX graph that computes its fp16 layers as a GPU may. It has the methods of a session that runners use."""

    def __init__(self, model: onnx.ModelProto) -> None:
        model = shape_inference.infer_shapes(model)
        self._types = element_types(model)
        self._constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        given = [value.name for value in model.graph.input if value.name not in self._constants]
        self._inputs = [SimpleNamespace(name=name) for name in given]
        self._outputs = [SimpleNamespace(name=value.name) for value in model.graph.output]
        self._steps = [(node, self._step(node, model)) for node in model.graph.node]
        self._last_use = {name: index for index, node in enumerate(model.graph.node) for name in node.input}

    def get_inputs(self) -> Sequence[Any]:
        return self._inputs

    def get_outputs(self) -> Sequence[Any]:
        return self._outputs

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Array], /) -> Sequence[Array]:
        """The named outputs, or all of them. input_feed: name → array."""
        wanted = list(output_names or [value.name for value in self._outputs])
        values: dict[str, Array] = dict(input_feed)
        for index, (node, step) in enumerate(self._steps):
            arguments = [self._constants[name] if name in self._constants else values.get(name) for name in node.input]
            values.update(zip(node.output, step(arguments), strict=True))
            for name in node.input:
                if self._last_use[name] == index and name not in wanted:
                    values.pop(name, None)
        return [values[name] for name in wanted]

    def _step(
        self, node: onnx.NodeProto, model: onnx.ModelProto
    ) -> Callable[[Sequence[Array | None]], Sequence[Array]]:
        """What computes the outputs of a node from its inputs."""
        emulated = EMULATED.get(node.op_type)
        if emulated is None or self._types.get(node.output[0]) != TensorProto.FLOAT16:
            return _OneNode(node, model, self._types, self._constants)
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        return lambda inputs: [emulated(inputs, attributes)]


class _OneNode:
    """A node in ONNX Runtime. In fp16, ONNX Runtime computes it in fp32 and rounds the result."""

    def __init__(
        self, node: onnx.NodeProto, model: onnx.ModelProto, types: Mapping[str, int], constants: Mapping[str, Array]
    ) -> None:
        held = [name for name in dict.fromkeys(node.input) if name in constants]
        self._names = [name for name in dict.fromkeys(node.input) if name and name not in constants]
        self._places = [list(node.input).index(name) for name in self._names]
        graph = helper.make_graph(
            [node], "one node",
            [helper.make_tensor_value_info(name, types[name], None) for name in self._names],
            [helper.make_tensor_value_info(name, types[name], None) for name in node.output],
            [numpy_helper.from_array(constants[name], name) for name in held],
        )  # fmt: skip
        one = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        options = session_options(1, spin=False)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = ort.InferenceSession(one.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: Sequence[Array | None]) -> Sequence[Array]:
        feed = {name: inputs[place] for name, place in zip(self._names, self._places, strict=True)}
        return [np.asarray(value) for value in self._session.run(None, feed)]


class _Sum:
    """A running sum float32 [rows, columns] whose values are always fp16 numbers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values = np.zeros(shape, np.float32)
        self._product, self._split = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def add_product(self, weights: Array, inputs: Array) -> None:
        """Add weights [rows, k] @ inputs [k, columns]."""
        np.matmul(weights, inputs, out=self._product)
        self._add()

    def add_scaled(self, factors: Array, inputs: Array) -> None:
        """Add factors · inputs, both broadcast to the shape of the sum."""
        np.multiply(factors, inputs, out=self._product)
        self._add()

    def _add(self) -> None:
        """values = fp16(values + product). Subnormal fp16 numbers keep bits that a GPU would drop (< 6e-8)."""
        np.add(self.values, self._product, out=self.values)
        np.multiply(self.values, SPLIT, out=self._split)
        np.subtract(self._split, self.values, out=self._product)
        np.subtract(self._split, self._product, out=self.values)


def convolution(inputs: Sequence[Array | None], attributes: Mapping[str, Any]) -> Array:
    """Conv in two dimensions: x [1, C, H, W], weights [N, C / groups, R, S], bias [N] or none → fp16 [1, N, H', W'].

    Raises ConfigError for other ranks and for automatic padding.
    """
    x, weights, bias = _three(inputs)
    if x.ndim != 4 or x.shape[0] != 1 or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ConfigError(f"a convolution of shape {x.shape} cannot be emulated; use pads and a batch of one")
    groups, strides = attributes.get("group", 1), attributes.get("strides", (1, 1))
    steps, pads = attributes.get("dilations", (1, 1)), attributes.get("pads", (0, 0, 0, 0))
    padded = np.pad(x[0], ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    taps = [(r, s) for r in range(weights.shape[2]) for s in range(weights.shape[3])]
    rows = (padded.shape[1] - steps[0] * (weights.shape[2] - 1) - 1) // strides[0] + 1
    columns = (padded.shape[2] - steps[1] * (weights.shape[3] - 1) - 1) // strides[1] + 1
    result = np.empty((len(weights), rows, columns), np.float32)
    per_input, per_output = weights.shape[1], len(weights) // groups
    depthwise = per_input == per_output == 1
    # A depthwise convolution is one block of all channels. Each of its taps is one multiply-add.
    for group in range(1 if depthwise else groups):
        own = slice(None) if depthwise else slice(group * per_output, (group + 1) * per_output)
        channels = padded if depthwise else padded[group * per_input : (group + 1) * per_input]
        number = max(1, BLOCK_VALUES // (len(result[own]) * columns))
        for top in range(0, rows, number):
            bottom = min(top + number, rows)
            total = _Sum((len(result[own]), (bottom - top) * columns))
            for r, s in taps:
                first = top * strides[0] + r * steps[0]
                part = channels[
                    :,
                    first : first + (bottom - top - 1) * strides[0] + 1 : strides[0],
                    s * steps[1] : s * steps[1] + (columns - 1) * strides[1] + 1 : strides[1],
                ].reshape(len(channels), -1)
                if depthwise:
                    total.add_scaled(weights[:, 0, r, s, None], part)
                    continue
                for k in range(0, per_input, CHUNK):
                    total.add_product(weights[own, k : k + CHUNK, r, s], part[k : k + CHUNK])
            result[own, top:bottom] = total.values.reshape(-1, bottom - top, columns)
    return _stored(result if bias is None else result + bias[:, None, None])[None]


def transposed_convolution(inputs: Sequence[Array | None], attributes: Mapping[str, Any]) -> Array:
    """ConvTranspose in two dimensions: x [1, C, H, W], weights [C, N, R, S], bias [N] or none → fp16 [1, N, H', W'].

    Raises ConfigError for groups, dilations and automatic padding.
    """
    x, weights, bias = _three(inputs)
    plain = attributes.get("group", 1) == 1 and set(attributes.get("dilations", (1,))) == {1}
    if x.ndim != 4 or x.shape[0] != 1 or not plain or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ConfigError(f"a transposed convolution of shape {x.shape} with these settings cannot be emulated")
    strides, pads = attributes.get("strides", (1, 1)), attributes.get("pads", (0, 0, 0, 0))
    extra = attributes.get("output_padding", (0, 0))
    _, channels, height, width = x.shape
    _, number, tall, wide = weights.shape
    full = _Sum((number, (height - 1) * strides[0] + tall + extra[0], (width - 1) * strides[1] + wide + extra[1]))
    flat = x[0].reshape(channels, -1)
    for r in range(tall):
        for s in range(wide):
            place = np.s_[:, r : r + (height - 1) * strides[0] + 1 : strides[0],
                          s : s + (width - 1) * strides[1] + 1 : strides[1]]  # fmt: skip
            total = _Sum((number, height * width))
            total.values[:] = full.values[place].reshape(number, -1)
            for k in range(0, channels, CHUNK):
                total.add_product(weights[k : k + CHUNK, :, r, s].T, flat[k : k + CHUNK])
            full.values[place] = total.values.reshape(number, height, width)
    ends = [size - pad for size, pad in zip(full.values.shape[1:], pads[2:], strict=True)]
    result = full.values[:, pads[0] : ends[0], pads[1] : ends[1]]
    return _stored(result if bias is None else result + bias[:, None, None])[None]


def matrix_product(inputs: Sequence[Array | None], attributes: Mapping[str, Any]) -> Array:
    """MatMul and Gemm: a [..., M, K] @ b [..., K, N], with Gemm's transposes, factors and bias → fp16 [..., M, N]."""
    a, b, bias = _three(inputs)
    a = (a.T if attributes.get("transA") else a) * np.float32(attributes.get("alpha", 1))
    b = b.T if attributes.get("transB") else b
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*batch, a.shape[-2], b.shape[-1])
    left = np.broadcast_to(a, (*batch, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    right = np.broadcast_to(b, (*batch, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
    result = np.empty((len(left), *shape[-2:]), np.float32)
    number = max(1, BLOCK_VALUES // shape[-1])
    for one, rows, columns in zip(result, left, right, strict=True):
        for top in range(0, len(rows), number):
            part = rows[top : top + number]
            total = _Sum((len(part), shape[-1]))
            for k in range(0, len(columns), CHUNK):
                total.add_product(part[:, k : k + CHUNK], columns[k : k + CHUNK])
            one[top : top + number] = total.values
    result = result.reshape(shape)
    return _stored(result if bias is None else result + bias * np.float32(attributes.get("beta", 1)))


EMULATED: dict[str, Callable[[Sequence[Array | None], Mapping[str, Any]], Array]] = {
    "Conv": convolution, "ConvTranspose": transposed_convolution, "MatMul": matrix_product, "Gemm": matrix_product,
}  # fmt: skip


def _three(inputs: Sequence[Array | None]) -> tuple[Array, Array, Array | None]:
    """The inputs of a layer with weights as float32: data, weights, and a bias or None."""
    data, weights, *rest = [None if value is None else value.astype(np.float32) for value in inputs]
    if data is None or weights is None:
        raise ConfigError("a layer without weights cannot be emulated")
    return data, weights, rest[0] if rest else None


def _stored(values: Array) -> NDArray[np.float16]:
    """float32 → fp16. What is too large becomes infinite, as on a GPU."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _cast_to(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
