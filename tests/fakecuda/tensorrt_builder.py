"""The builder of the stand-in TensorRT: it parses an ONNX graph into layers and makes a graph of its own as the plan.

It behaves as TensorRT 8.6 was seen to behave, or is reported to, where that version has no strong typing:

* a build fails while kernels of cuBLAS or cuDNN are allowed, as where these are not installed;
* FP16 and INT8 narrow every layer that is not held in fp32: what it computes, and its weights, pass through fp16;
* INT8 without quantised tensors is an error (it would need a calibrator), and so is an int8 constant that nothing
  quantised;
* a constraint is met, except for the layer named in the environment variable FAKECUDA_DROPPED_HOLD: OBEY then fails,
  PREFER narrows the layer.

The environment variable FAKECUDA_LOSS plants a loss of narrow arithmetic: "attend16 base 1.018" multiplies the output
`base` by 1.018 in plans where a layer whose name contains "attend16" is narrow.

In every version a Split into three returns its parts in the reverse order (NVIDIA/TensorRT#3424).
"""

from __future__ import annotations

import enum
import json
import os
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

DROPPED_HOLD = "FAKECUDA_DROPPED_HOLD"
LOSS = "FAKECUDA_LOSS"
LAYERS, PROFILE, FLAGS = "layers", "profile", "flags"  # keys of the plan's metadata
FUSED = ("Relu", "Clip", "LeakyRelu")  # with the convolution before them
INT8_MESSAGE = "Calibrator is not being used. Users must provide dynamic range for all tensors that are not Int32."


class DataType(enum.IntEnum):
    FLOAT, UINT8, INT8, INT32, INT64, BOOL, HALF, BF16 = (
        TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL,
        TensorProto.FLOAT16, TensorProto.BFLOAT16,
    )  # fmt: skip

    __str__ = enum.Enum.__str__


class TacticSource(enum.IntEnum):
    CUBLAS, CUBLAS_LT, CUDNN, EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS = range(5)


class ProfilingVerbosity(enum.Enum):
    LAYER_NAMES_ONLY, NONE, DETAILED = range(3)


class LayerInformationFormat(enum.Enum):
    ONELINE, JSON = range(2)


LayerType = enum.Enum(
    "LayerType",
    "CONVOLUTION DECONVOLUTION MATRIX_MULTIPLY ELEMENTWISE UNARY ACTIVATION SHUFFLE SOFTMAX NORMALIZATION REDUCE SLICE "
    "CONCATENATION RESIZE CONSTANT SHAPE CAST QUANTIZE DEQUANTIZE POOLING GATHER IDENTITY",
)
_TYPES = {
    "Conv": "CONVOLUTION", "ConvTranspose": "DECONVOLUTION", "MatMul": "MATRIX_MULTIPLY", "Gemm": "MATRIX_MULTIPLY",
    "Reshape": "SHUFFLE", "Transpose": "SHUFFLE", "Squeeze": "SHUFFLE", "Unsqueeze": "SHUFFLE", "Flatten": "SHUFFLE",
    "Relu": "ACTIVATION", "Clip": "ACTIVATION", "LeakyRelu": "ACTIVATION", "Tanh": "ACTIVATION",
    "Sigmoid": "ACTIVATION", "Softmax": "SOFTMAX", "LayerNormalization": "NORMALIZATION", "Concat": "CONCATENATION",
    "Split": "SLICE", "Slice": "SLICE", "Pad": "SLICE", "Expand": "SLICE", "Resize": "RESIZE", "Cast": "CAST",
    "QuantizeLinear": "QUANTIZE", "DequantizeLinear": "DEQUANTIZE", "Shape": "SHAPE", "Gather": "GATHER",
    "ReduceSum": "REDUCE", "ReduceMax": "REDUCE", "ReduceMean": "REDUCE", "MaxPool": "POOLING", "Identity": "IDENTITY",
    "Exp": "UNARY", "Log": "UNARY", "Sqrt": "UNARY", "Erf": "UNARY", "Neg": "UNARY", "Abs": "UNARY",
}  # fmt: skip
# Nodes whose constant inputs become layers of their own, with a Shuffle behind that broadcasts them.
_BROADCAST = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "MatMul", "LayerNormalization")


class Tensor:
    """A tensor of the network. shape: () where inference does not reach."""

    def __init__(self, name: str, dtype: DataType, shape: tuple[int, ...]) -> None:
        self.name, self.dtype, self.shape = name, dtype, shape


class Layer:
    """A layer, made from ONNX node `node` (None for constants). precision is None until it is set."""

    def __init__(self, name: str, kind: str, inputs: list[Tensor], outputs: list[Tensor], node: int | None) -> None:
        self.name, self.type, self.node = name, LayerType[kind], node
        self._inputs, self._outputs = inputs, outputs
        self.num_inputs, self.num_outputs = len(inputs), len(outputs)
        self.precision: DataType | None = None
        self.output_types: dict[int, DataType] = {}

    def get_input(self, index: int) -> Tensor:
        return self._inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self._outputs[index]

    def set_output_type(self, index: int, dtype: DataType) -> None:
        if self.get_output(index).dtype is not DataType.FLOAT:
            raise ValueError(f"{self.name}: the type of an output that is no float cannot be set")
        self.output_types[index] = dtype

    @property
    def held(self) -> bool:
        wide = self.precision is DataType.FLOAT
        return wide and all(self.output_types.get(i) is DataType.FLOAT for i in range(self.num_outputs))


class Network:
    """The layers of a parsed ONNX graph. Some nodes become several layers, and not all of those have their name."""

    def __init__(self, flags: int = 0) -> None:
        self.flags = flags
        self.model = onnx.ModelProto()
        self.layers: list[Layer] = []

    @property
    def num_inputs(self) -> int:
        return len(self.model.graph.input)

    def get_input(self, index: int) -> Tensor:
        return self._tensors[self.model.graph.input[index].name]

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]

    def fill(self, model: onnx.ModelProto) -> None:
        self.model = shape_inference.infer_shapes(model)
        self._tensors = _tensors(self.model)
        self._constants = {i.name for i in self.model.graph.initializer}
        for index, node in enumerate(self.model.graph.node):
            self._add(index, node)

    def _add(self, index: int, node: onnx.NodeProto) -> None:
        broadcast = node.op_type in _BROADCAST
        names = [name for name in node.input if name and (broadcast or name not in self._constants)]
        inputs = [self._broadcast(name) if broadcast else self._tensors[name] for name in names]
        outputs = [self._tensors[name] for name in node.output if name]
        kind = _TYPES.get(node.op_type, "ELEMENTWISE")
        if node.op_type == "LayerNormalization":
            self._append(self._unnamed("Normalization"), kind, inputs, outputs, index)
        elif node.op_type == "Softmax":
            inner = Tensor(f"{node.name}_output", outputs[0].dtype, outputs[0].shape)
            self._append(node.name, kind, inputs, [inner], index)
            self._append(self._unnamed("Shuffle"), "SHUFFLE", [inner], outputs, index)
        else:
            self._append(node.name or self._unnamed(kind.title()), kind, inputs, outputs, index)

    def _broadcast(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        if name not in self._constants:
            return tensor
        constant, wide = (Tensor(f"{name}{end}", tensor.dtype, tensor.shape) for end in ("_output", "_broadcast"))
        self._append(name, "CONSTANT", [], [constant], None)
        self._append(self._unnamed("Shuffle"), "SHUFFLE", [constant], [wide], None)
        return wide

    def _append(self, name: str, kind: str, inputs: list[Tensor], outputs: list[Tensor], node: int | None) -> None:
        self.layers.append(Layer(name, kind, inputs, outputs, node))

    def _unnamed(self, kind: str) -> str:
        return f"(Unnamed Layer* {len(self.layers)}) [{kind}]"


def _tensors(model: onnx.ModelProto) -> dict[str, Tensor]:
    graph = model.graph
    found = {i.name: Tensor(i.name, DataType(i.data_type), tuple(i.dims)) for i in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        of = value.type.tensor_type
        found[value.name] = Tensor(value.name, DataType(of.elem_type), _shape(of.shape.dim))
    return found


def _shape(axes: Any) -> tuple[int, ...]:
    """-1 for an open axis."""
    return tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in axes)


class Parser:
    """The ONNX parser. eight: as TensorRT 8 reads files."""

    def __init__(self, network: Network, eight: bool) -> None:
        self._network, self._eight, self._errors = network, eight, list[str]()

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]

    def parse(self, data: bytes) -> bool:
        model = onnx.load_model_from_string(data)
        if not model.graph.node:
            self._errors.append("the graph is empty")
        integers = {i.name for i in model.graph.initializer if i.data_type == TensorProto.INT8}
        for node in model.graph.node:
            if self._eight and node.op_type == "DequantizeLinear" and node.input[0] in integers:
                self._errors.append(f"In node {node.name} (importDequantizeLinear): INT8 weights {node.input[0]}")
        if not self._errors:
            self._network.fill(model)
        return not self._errors


class Config:
    """A builder's configuration. eight: it has the flags and the default tactic sources of TensorRT 8."""

    def __init__(self, eight: bool = False) -> None:
        self.flags = {"TF32"}
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.profile: dict[str, list[list[int]]] = {}
        self._sources = (1 << len(TacticSource)) - 1 if eight else 0

    def set_memory_pool_limit(self, pool: str, size: int) -> None: ...

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        """False for a cache that another TensorRT or GPU wrote, or that is damaged."""
        return not cache.serialize().startswith(b"damaged")

    def add_optimization_profile(self, profile: Profile) -> int:
        """The profile's index; -1 where the three shapes of an input are not in order."""
        if any(not all(map(in_order, *shapes)) for shapes in profile.shapes.values()):
            return -1
        self.profile = profile.shapes
        return 0

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def set_tactic_sources(self, sources: int) -> bool:
        self._sources = sources
        return True

    def get_tactic_sources(self) -> int:
        return self._sources

    def create_timing_cache(self, data: bytes) -> Any:
        return TimingCache(data)


class Profile:
    """Input → its smallest, usual and largest shape."""

    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, name: str, smallest: tuple[int, ...], usual: tuple[int, ...], largest: tuple[int, ...]) -> None:
        self.shapes[name] = [list(smallest), list(usual), list(largest)]


def in_order(smallest: int, length: int, largest: int) -> bool:
    return smallest <= length <= largest


class TimingCache:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> bytes:
        return self._data + b"t"


def built_graph(network: Network, config: Config) -> tuple[bytes, str]:
    """The graph that a plan runs, and b"" with the reason where the build fails."""
    external = [s.name for s in (TacticSource.CUBLAS, TacticSource.CUBLAS_LT, TacticSource.CUDNN)
                if config.get_tactic_sources() >> s & 1]  # fmt: skip
    if external:
        return b"", f"Unable to load the library of tactic source {external[0]}"
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    if any(-1 in tensor.shape and tensor.name not in config.profile for tensor in inputs):
        return b"", "Network has dynamic or shape inputs, but no optimization profile has been defined."
    quantised = any(node.op_type == "QuantizeLinear" for node in network.model.graph.node)
    if "INT8" in config.flags and not quantised:
        return b"", INT8_MESSAGE
    narrow, problem = _narrow_layers(network, config)
    if problem:
        return b"", problem
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    detailed = config.profiling_verbosity is ProfilingVerbosity.DETAILED
    _describe(model, network, narrow, detailed)
    model.metadata_props.add(key=PROFILE, value=json.dumps(config.profile))
    model.metadata_props.add(key=FLAGS, value=json.dumps(sorted(config.flags)))
    _through_half(model, {layer.node for layer in narrow if layer.node is not None})
    for node in model.graph.node:
        if node.op_type == "Split" and len(node.output) == 3:
            node.output[:] = list(node.output)[::-1]
    _plant_loss(model, narrow)
    return model.SerializeToString(), ""


def _plant_loss(model: onnx.ModelProto, narrow: list[Layer]) -> None:
    """Change an output as FAKECUDA_LOSS says."""
    part, output, factor = os.environ.get(LOSS, "- - 1").split()
    graph = model.graph
    if not any(part in layer.name for layer in narrow) or output not in {value.name for value in graph.output}:
        return
    for node in graph.node:
        node.output[:] = [f"{name}/before the loss" if name == output else name for name in node.output]
        node.input[:] = [f"{name}/before the loss" if name == output else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array(float(factor), np.float32), "factor of the loss"))
    graph.node.append(helper.make_node("Mul", [f"{output}/before the loss", "factor of the loss"], [output]))


def _narrow_layers(network: Network, config: Config) -> tuple[list[Layer], str]:
    """The layers that the flags narrow, and a reason why there can be no plan."""
    if not {"FP16", "INT8"} & config.flags:
        return [], ""
    constrained = {"PREFER_PRECISION_CONSTRAINTS", "OBEY_PRECISION_CONSTRAINTS"} & config.flags
    dropped = os.environ.get(DROPPED_HOLD)
    narrow = []
    for layer in network.layers:
        held = bool(constrained) and layer.held and layer.name != dropped
        if layer.held and not held and "OBEY_PRECISION_CONSTRAINTS" in config.flags:
            return [], f"Could not find any implementation for node {layer.name}"
        floats = any(layer.get_output(i).dtype is DataType.FLOAT for i in range(layer.num_outputs))
        if floats and not held and layer.type not in (LayerType.CONSTANT, LayerType.QUANTIZE):
            narrow.append(layer)
    return narrow, ""


def _through_half(model: onnx.ModelProto, narrow: set[int]) -> None:
    """Let the weights and the results of some nodes pass through fp16."""
    graph = model.graph
    floats = {i.name: i for i in graph.initializer if i.data_type == TensorProto.FLOAT}
    types = {name: tensor.dtype for name, tensor in _tensors(model).items()}
    nodes = []
    for index, node in enumerate(graph.node):
        nodes.append(node)
        if index not in narrow:
            continue
        scales = 1 if node.op_type == "DequantizeLinear" else 0
        for place, name in enumerate(node.input[: 1 if scales else None]):
            if name in floats and not (node.op_type == "Resize" and place):
                node.input[place] = _rounded(graph, floats[name])
        for place, name in enumerate(node.output):
            if types.get(name) is DataType.FLOAT:
                node.output[place] = f"{name}/exact"
                nodes += [
                    helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], to=TensorProto.FLOAT16),
                    helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT),
                ]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    del graph.value_info[:]


def _rounded(graph: onnx.GraphProto, constant: onnx.TensorProto) -> str:
    name = f"{constant.name}/half"
    if name not in {i.name for i in graph.initializer}:
        with np.errstate(over="ignore"):
            values = numpy_helper.to_array(constant).astype(np.float16).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _describe(model: onnx.ModelProto, network: Network, narrow: list[Layer], detailed: bool) -> None:
    """Store what the engine inspector says: layers without constants; an activation is fused with its convolution."""
    halves = {id(layer) for layer in narrow}
    entries: list[dict[str, Any]] = []
    for layer in network.layers:
        if not layer.num_inputs or layer.node is None:
            continue
        fused = network.model.graph.node[layer.node].op_type in FUSED and entries
        same = fused and entries[-1]["half"] == (id(layer) in halves)
        entry = {"name": layer.name, "kind": layer.type.name.title(), "half": id(layer) in halves}
        entry["inputs"] = [_tensor_entry(layer.get_input(i), entry["half"]) for i in range(layer.num_inputs)]
        entry["outputs"] = [_tensor_entry(layer.get_output(i), entry["half"]) for i in range(layer.num_outputs)]
        before = entries[-1]["outputs"][0]["Name"] if entries else ""
        if same and entries[-1]["kind"] == "Convolution" and before == layer.get_input(0).name:
            entries[-1].update(name=f"{entries[-1]['name']} + {layer.name}", outputs=entry["outputs"])
        else:
            entries.append(entry)
    layers: list[Any] = [
        {"Name": e["name"], "LayerType": e["kind"], "Inputs": e["inputs"], "Outputs": e["outputs"]} for e in entries
    ]
    described = layers if detailed else [entry["Name"] for entry in layers]
    model.metadata_props.add(key=LAYERS, value=json.dumps({"Layers": described, "Bindings": []}))


def _tensor_entry(tensor: Tensor, half: bool) -> dict[str, Any]:
    names = {DataType.FLOAT: "Row major linear FP32", DataType.INT8: "Row major Int8 format"}
    words = names.get(tensor.dtype, f"Row major linear {tensor.dtype.name}")
    if half and tensor.dtype is DataType.FLOAT:
        words = "Channel major FP16 format where channel % 8 == 0"
    return {"Name": tensor.name, "Location": "Device", "Dimensions": list(tensor.shape), "Format/Datatype": words}
