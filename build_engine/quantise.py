"""INT8 in the graph itself: explicit QuantizeLinear/DequantizeLinear around convolutions, from measured ranges.

One set of ranges serves two dialects. TensorRT takes signed symmetric activations and floats between layers: only
the input and the weights of a convolution are quantised, and the rest of the graph becomes fp16. ONNX Runtime on x86
takes unsigned activations with a zero point; it uses its integer kernels only if outputs and biases are quantised as
well. On a CPU without instructions for sums of 8-bit products (VNNI) those kernels add pairs of products in 16 bits,
which can saturate. There, weights are scaled so that no pair of one channel can, which costs most layers one of 8 bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

from ..engine.errors import ConfigError
from .precision import to_half

# The axis of the output channels in a weight tensor.
CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1}
# Activations that ONNX Runtime fuses with the convolution before them.
FUSED_ACTIVATIONS = frozenset({"Relu", "Clip"})
# The first opset whose DequantizeLinear can output fp16, and the IR version of that opset.
HALF_OPSET, HALF_IR = 19, 9
MIN_SCALE = 2.0**-24
MAX_WEIGHT = 127

Range = tuple[float, float]


@dataclass(frozen=True)
class Layer:
    """A convolution that can be quantised. `output` is the tensor after the activation that is fused with it."""

    name: str
    kind: str
    groups: int
    input: str
    weight: str
    bias: str
    output: str


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """The convolutions of a folded graph whose weights are constant, in the order of computation.

    A layer is named after its weight tensor, because every export gives that the same name.
    """
    constants = {i.name for i in model.graph.initializer}
    users = _users(model)
    outputs = {o.name for o in model.graph.output}
    found = []
    for node in model.graph.node:
        if node.op_type not in CHANNEL_AXIS or node.input[1] not in constants:
            continue
        output = node.output[0]
        after = users.get(output, [])
        if output not in outputs and len(after) == 1 and after[0].op_type in FUSED_ACTIVATIONS:
            output = after[0].output[0]
        bias = node.input[2] if len(node.input) > 2 else ""
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        name = _layer_name(node.input[1])
        found.append(Layer(name, node.op_type, groups, node.input[0], node.input[1], bias, output))
    return found


def measured_tensors(model: onnx.ModelProto) -> list[str]:
    """The names of the activations whose ranges quantisation needs, in order, without repetitions."""
    names = [name for layer in layers_of(model) for name in (layer.input, layer.output)]
    return list(dict.fromkeys(names))


def quantise_for_tensorrt(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    keep: Collection[str] = (),
    keep_fp32: Collection[str] = (),
    half: bool = True,
) -> onnx.ModelProto:
    """Signed 8-bit Q/DQ on the input and the weights of every convolution whose layer is not in `keep`.

    keep_fp32: names of nodes that stay in fp32. Such convolutions are not quantised.

    Depthwise convolutions are not quantised: memory limits their speed, and their 8-bit kernels make plans larger
    (27 MB instead of 17 for the encoder of `touch`). Transposed convolutions are not quantised either: TensorRT gave
    wrong results for quantised ones with an activation (NVIDIA/TensorRT#4366).

    half: True makes the rest fp16 (opset 19), as strongly typed networks need it, and stores weights as int8. False is
    for TensorRT 8: the rest stays in fp32, the opset as it is, and weights stay floats with a Q/DQ pair behind them,
    because that version need not take int8 constants.
    Raises ConfigError if `ranges` are of another graph.
    """
    result = version_converter.convert_version(model, HALF_OPSET) if half else _copy(model)
    writer = _Writer(result, half, float_weights=not half)
    for layer in _chosen(result, ranges, keep):
        node = writer.producer_of_weight[layer.weight]
        if layer.groups > 1 or layer.kind != "Conv" or node.name in keep_fp32:
            continue
        low, high = ranges[layer.input]
        scale = writer.storable(max(abs(low), abs(high)) / 127)
        node.input[0] = writer.activation(layer.input, scale, np.int8(0))
        node.input[1] = writer.weights(layer)[0]
    result = writer.finish()
    if not half:
        return result
    result.ir_version = max(result.ir_version, HALF_IR)
    return to_half(shape_inference.infer_shapes(result), keep_fp32)


def quantise_for_onnxruntime(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    keep: Collection[str] = (),
    pairs_saturate: bool = False,
) -> onnx.ModelProto:
    """Unsigned 8-bit activations with zero points, int8 weights and int32 biases, as the integer kernels of x86 take.

    pairs_saturate: whether the CPU adds pairs of products in 16 bits. Raises ConfigError if `ranges` are of another
    graph.
    """
    result = _copy(model)
    writer = _Writer(result, half=False)
    chosen = _chosen(result, ranges, keep)
    affine = {name: _affine(ranges[name]) for layer in chosen for name in (layer.input, layer.output)}
    outputs = {o.name for o in result.graph.output}
    for layer in chosen:
        if layer.output in outputs:
            writer.quantise_output(layer.output, *affine[layer.output])
    for layer in chosen:
        node = writer.producer_of_weight[layer.weight]
        scale, zero = affine[layer.input]
        node.input[0] = writer.activation(layer.input, scale, zero)
        node.input[1], scales = writer.weights(layer, pairs_saturate)
        if layer.bias:
            node.input[2] = writer.bias(layer, scales * scale)
    for layer in chosen:
        if layer.output not in outputs:
            writer.replace(layer.output, writer.activation(layer.output, *affine[layer.output]))
    return writer.finish()


def _chosen(model: onnx.ModelProto, ranges: Mapping[str, Range], keep: Collection[str]) -> list[Layer]:
    layers = layers_of(model)
    missing = [layer.input for layer in layers if layer.input not in ranges or layer.output not in ranges]
    if missing:
        raise ConfigError(
            f"the ranges do not know tensor {missing[0]!r} of this graph; run `livetint calibrate` on this very model"
        )
    return [layer for layer in layers if layer.name not in keep]


def _affine(bounds: Range) -> tuple[float, np.uint8]:
    """Scale and zero point of an unsigned 8-bit range that contains 0."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = max((high - low) / 255, MIN_SCALE)
    return scale, np.uint8(np.clip(round(-low / scale), 0, 255))


class _Writer:
    """Collects the Q/DQ nodes for one graph and inserts them in the order of computation."""

    def __init__(self, model: onnx.ModelProto, half: bool, float_weights: bool = False) -> None:
        self.model, self.graph, self.half, self.float_weights = model, model.graph, half, float_weights
        self.constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        self.producer_of_weight = {n.input[1]: n for n in model.graph.node if n.op_type in CHANNEL_AXIS}
        self.after: dict[str, list[onnx.NodeProto]] = {}  # tensor → nodes to insert after it is computed
        self.first: list[onnx.NodeProto] = []  # nodes that depend on constants alone
        self.dequantised: dict[str, str] = {}  # tensor → its name after Q/DQ
        self.renamed: dict[str, str] = {}  # output of the graph → its name before Q/DQ

    def storable(self, scale: float) -> float:
        """The scale, or for fp16 graphs the next larger one that fp16 can represent."""
        scale = max(scale, MIN_SCALE)
        return float(_round_up(np.array([scale], np.float32))[0]) if self.half else scale

    def activation(self, name: str, scale: float, zero: np.generic) -> str:
        """Quantise and dequantise tensor `name`: the name of the result. There is one Q/DQ pair per tensor."""
        name = self.renamed.get(name, name)
        if name not in self.dequantised:
            base = f"{name}/q8"
            self._add(f"{base}/scale", np.float32(scale))
            self._add(f"{base}/zero", zero)
            pair = [f"{base}/scale", f"{base}/zero"]
            self.after.setdefault(name, []).extend([
                helper.make_node("QuantizeLinear", [name, *pair], [base], name=f"{base}/quantize"),
                helper.make_node("DequantizeLinear", [base, *pair], [f"{base}/back"], name=f"{base}/dequantize"),
            ])  # fmt: skip
            self.dequantised[name] = f"{base}/back"
        return self.dequantised[name]

    def quantise_output(self, name: str, scale: float, zero: np.generic) -> None:
        """Quantise and dequantise an output of the graph too; otherwise its convolution would not use integers."""
        unquantised = self.renamed[name] = f"{name}/wide"
        for node in self.graph.node:
            node.output[:] = [unquantised if output == name else output for output in node.output]
        back = self.activation(unquantised, scale, zero)
        self.replace(name, back)
        self.after[unquantised].append(helper.make_node("Identity", [back], [name], name=f"{name}/output"))

    def weights(self, layer: Layer, pairs_saturate: bool = False) -> tuple[str, NDArray[np.float32]]:
        """int8 weights with one scale per output channel: the dequantised tensor's name, and the scales."""
        axis = CHANNEL_AXIS[layer.kind]
        values = self.constants[layer.weight].astype(np.float32)
        scales = _weight_scales(np.moveaxis(values, axis, 0), pairs_saturate)
        if self.half:
            scales = _round_up(scales)
        if self.float_weights:
            return self._pair_behind(layer.weight, scales, axis), scales
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        integers = np.clip(np.rint(values / scales.reshape(shape)), -MAX_WEIGHT, MAX_WEIGHT).astype(np.int8)
        return self._dequantised(layer.weight, integers, scales, axis), scales

    def _pair_behind(self, name: str, scales: NDArray[np.float32], axis: int) -> str:
        """Quantise and dequantise a constant, which stays a float: the dequantised tensor's name."""
        base = f"{name}/q8"
        if base not in self.dequantised:
            self._add(f"{base}/scales", scales)
            self._add(f"{base}/zeros", np.zeros(scales.shape, np.int8))
            pair = [f"{base}/scales", f"{base}/zeros"]
            self.first += [
                helper.make_node("QuantizeLinear", [name, *pair], [base], f"{base}/quantize", axis=axis),
                helper.make_node("DequantizeLinear", [base, *pair], [f"{base}/back"], f"{base}/dequantize", axis=axis),
            ]
            self.dequantised[base] = f"{base}/back"
        return self.dequantised[base]

    def bias(self, layer: Layer, scales: NDArray[np.float32]) -> str:
        """An int32 bias with one scale per channel: the dequantised tensor's name."""
        limit = 2.0**31 - 1
        integers = np.clip(np.rint(self.constants[layer.bias].astype(np.float64) / scales), -limit, limit)
        return self._dequantised(f"{layer.bias}/of/{layer.weight}", integers.astype(np.int32), scales, 0)

    def _dequantised(self, name: str, integers: NDArray, scales: NDArray[np.float32], axis: int) -> str:
        base = f"{name}/q{integers.dtype.itemsize * 8}"
        if base not in self.dequantised:
            self._add(base, integers)
            self._add(f"{base}/scales", scales.astype(np.float32))
            self._add(f"{base}/zeros", np.zeros(scales.shape, integers.dtype))
            inputs = [base, f"{base}/scales", f"{base}/zeros"]
            self.first.append(
                helper.make_node("DequantizeLinear", inputs, [f"{base}/back"], name=f"{base}/dequantize", axis=axis)
            )
            self.dequantised[base] = f"{base}/back"
        return self.dequantised[base]

    def replace(self, old: str, new: str) -> None:
        """Let every node of the graph that reads `old` read `new` instead."""
        for node in self.graph.node:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new

    def finish(self) -> onnx.ModelProto:
        nodes = list(self.first)
        for value in self.graph.input:
            nodes.extend(self.after.get(value.name, []))
        for node in self.graph.node:
            nodes.append(node)
            for name in node.output:
                nodes.extend(self.after.get(name, []))
        nodes = [_clone(node) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        used = {name for node in nodes for name in node.input}
        kept = [i for i in self.graph.initializer if i.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        del self.graph.value_info[:]
        result = shape_inference.infer_shapes(self.model)
        onnx.checker.check_model(result)
        return result

    def _add(self, name: str, values: NDArray | np.generic) -> None:
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))


def _weight_scales(values: NDArray[np.float32], pairs_saturate: bool) -> NDArray[np.float32]:
    """Scales float32 [C] of weights [C, ...], one an output channel.

    pairs_saturate: limit the sum of any two weights of one sign to 127 steps (128 after rounding). With activations up
    to 255 a pair of products then stays below 2¹⁵, whichever two the kernel adds.
    """
    rows = values.reshape(len(values), -1)
    span = np.abs(rows).max(1)
    if pairs_saturate:
        for signed in (rows, -rows):
            span = np.maximum(span, np.sort(np.maximum(signed, 0), 1)[:, -2:].sum(1))
    return np.maximum(span / MAX_WEIGHT, MIN_SCALE).astype(np.float32)


def _round_up(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smallest fp16 numbers not below `scales`, as float32."""
    half = scales.astype(np.float16)
    return np.where(half.astype(np.float32) < scales, np.nextafter(half, np.float16(np.inf)), half).astype(np.float32)


def _users(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def _layer_name(weight: str) -> str:
    return weight.removesuffix("/float32").removesuffix(".weight")


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result


def _clone(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def bytes_by_type(data: bytes) -> dict[str, int]:
    """Element type → bytes of the constants in an ONNX file."""
    sizes: dict[str, int] = {}
    for initialiser in onnx.load_model_from_string(data).graph.initializer:
        kind = TensorProto.DataType.Name(initialiser.data_type).lower()
        sizes[kind] = sizes.get(kind, 0) + numpy_helper.to_array(initialiser).nbytes
    return sizes
