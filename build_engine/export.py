"""Export PyTorch modules as ONNX files that every back end takes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..engine.errors import ModelFileError

OPSET = 17
MAX_IR = 9
# Initialisers with at least this many values are stored as fp16 or int8; smaller ones (biases, reach) stay in fp32.
COMPACT_FROM = 256
# What follows a weight's name in that of its scales.
SCALE = "/scale"
# Operators that at least one of the supported versions of TensorRT or ONNX Runtime does not take.
FORBIDDEN = frozenset({"Einsum", "Loop", "If", "Scan", "ScatterND", "ScatterElements"})


def to_onnx(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> onnx.ModelProto:
    """Trace `module` in evaluation mode on example `arguments` into a checked ONNX model.

    Initialisers keep the names of the parameters, so that training can continue from the file. BatchNorms stay
    separate nodes: they follow a ReLU here, and folding them into the next convolution is wrong at padded borders.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of every shape that becomes a constant; that is intended
        torch.onnx.export(
            module.eval(),
            arguments,
            buffer,  # pyright: ignore[reportArgumentType] - the tracing exporter writes to streams
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_axes={name: dict(axes) for name, axes in (dynamic_axes or {}).items()},
            opset_version=OPSET,
            do_constant_folding=False,
            keep_initializers_as_inputs=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    check_portable(model)
    return model


def check_portable(model: onnx.ModelProto) -> None:
    """Raise ModelFileError for a graph that ONNX Runtime 1.23, TensorRT 8.6 to 11 or TensorRT-RTX would refuse."""
    onnx.checker.check_model(model)
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset > OPSET or model.ir_version > MAX_IR:
        raise ModelFileError(
            f"the graph uses opset {opset} and IR {model.ir_version}; at most {OPSET} and {MAX_IR} run everywhere"
        )
    forbidden = sorted({node.op_type for node in model.graph.node} & FORBIDDEN)
    if forbidden:
        raise ModelFileError(f"the graph uses {', '.join(forbidden)}, which not every back end takes; rewrite it")


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 initialisers as fp16 under the same names, with a cast to float32 where they are used.

    This halves the file. At run time it costs nothing, because every back end folds casts of constants when it loads.
    """
    nodes = []
    for initialiser in _large(model.graph):
        name, wide = initialiser.name, f"{initialiser.name}/float32"
        _read_instead(model.graph, name, wide)
        half = numpy_helper.to_array(initialiser).astype(np.float16)
        initialiser.CopyFrom(numpy_helper.from_array(half, name))
        nodes.append(helper.make_node("Cast", [name], [wide], name=f"{name}/cast", to=TensorProto.FLOAT))
    return _with_first(nodes, model)


def store_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 initialisers as int8 under the same names, with a scale for every output channel.

    A quarter of the file. Their product is a constant too, which back ends fold; computing stays in float32. Read them
    with `stored_weights`.
    """
    nodes = []
    for initialiser in _large(model.graph):
        name, wide, scale = (initialiser.name + end for end in ("", "/float32", SCALE))
        _read_instead(model.graph, name, wide)
        weight = numpy_helper.to_array(initialiser)
        step = np.abs(weight).max(tuple(range(1, weight.ndim)), keepdims=True) / np.float32(127)
        step[step == 0] = 1
        small = np.rint(weight / step).astype(np.int8)
        initialiser.CopyFrom(numpy_helper.from_array(small, name))
        model.graph.initializer.append(numpy_helper.from_array(step.astype(np.float32), scale))
        cast = f"{name}/cast"
        nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [cast, scale], [wide], name=wide))
    return _with_first(nodes, model)


def stored_weights(data: bytes) -> dict[str, NDArray[np.float32]]:
    """The initialisers of an ONNX file by name as float32, whether they are stored as float32, fp16 or int8."""
    found = {value.name: numpy_helper.to_array(value) for value in onnx.load_model_from_string(data).graph.initializer}
    return {
        name: value.astype(np.float32) * found.get(f"{name}{SCALE}", np.float32(1))
        for name, value in found.items()
        if not name.endswith(SCALE)
    }


def _large(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """The float32 initialisers with at least COMPACT_FROM values."""
    wide = [value for value in graph.initializer if value.data_type == TensorProto.FLOAT]
    return [value for value in wide if np.prod(value.dims) >= COMPACT_FROM]


def _read_instead(graph: onnx.GraphProto, name: str, other: str) -> None:
    """Every node that reads `name` reads `other`."""
    for node in graph.node:
        for index, value in enumerate(node.input):
            if value == name:
                node.input[index] = other


def _with_first(nodes: Sequence[onnx.NodeProto], model: onnx.ModelProto) -> onnx.ModelProto:
    """The checked model with these nodes before its own."""
    every = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(every)
    onnx.checker.check_model(model)
    return model
