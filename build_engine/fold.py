"""ONNX graphs made plain: constants folded, shapes static. Tensor names never change, so ranges keyed by them hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ..engine.errors import ModelFileError

# Symbolic axes of `touch`: how many hints and how many points a graph is made for.
HINTS, POINTS = "hints", "points"
# A folded constant larger than this many times its inputs stays computed (a broadcast plane, say).
MAX_CONSTANT = 4_000_000
# Folding these would undo a quantisation (int8 weights would become floats again) or freeze a dice roll.
NEVER_FOLDED = frozenset({"QuantizeLinear", "DequantizeLinear", "RandomNormal", "RandomUniform"})


def plain(data: bytes, axes: Mapping[str, int] | None = None) -> onnx.ModelProto:
    """An ONNX file with its symbolic axes fixed to `axes` and everything constant folded.

    Casts of fp16 weights, shape arithmetic and constant nodes vanish; what is left computes. Axes not named in
    `axes` stay open. Raises ModelFileError for a file that is no ONNX graph.
    """
    try:
        model = onnx.load_model_from_string(data)
        fix_axes(model, axes or {})
        model = shape_inference.infer_shapes(model, data_prop=True)
        fold(model)
        del model.graph.value_info[:]
        model = shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, shape_inference.InferenceError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"the ONNX graph cannot be prepared: {reason}; export the model again") from error
    return model


def fix_axes(model: onnx.ModelProto, axes: Mapping[str, int]) -> None:
    """Replace symbolic input axes by numbers; forget the shapes that were written down for everything else."""
    for value in model.graph.input:
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in axes:
                axis.dim_value = axes[axis.dim_param]
    for value in model.graph.output:
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.ClearField("dim_param")
    del model.graph.value_info[:]


def fold(model: onnx.ModelProto) -> None:
    """Evaluate in place every node whose inputs are constant, and every Shape whose answer is known."""
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    known = dict(constants)
    shapes = static_shapes(model)
    kept = []
    for node in graph.node:
        answer = _constant_answer(model, node, known, shapes)
        if answer is None:
            kept.append(node)
            shapes.update(_inferred(model, node, known, shapes))
        else:
            known.update(answer)
            shapes.update({name: tuple(value.shape) for name, value in answer.items()})
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input} | {o.name for o in graph.output}
    del graph.initializer[:]
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(known[name]).reshape(known[name].shape), name)
        for name in sorted(used & known.keys())
    )


def static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Tensor name → shape, for the tensors whose every axis is known."""
    shapes = {}
    graph = model.graph
    for value in [*graph.input, *graph.value_info, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = tuple(d.dim_value for d in dims)
    return shapes


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Tensor name → ONNX element type, for every tensor that inference reached."""
    graph = model.graph
    types = {i.name: i.data_type for i in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _constant_answer(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    known: Mapping[str, NDArray],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, NDArray] | None:
    if node.op_type == "Shape" and node.input[0] in shapes:
        bounds = {a.name: a.i for a in node.attribute}
        shape = shapes[node.input[0]][bounds.get("start", 0) : bounds.get("end")]
        return {node.output[0]: np.array(shape, np.int64)}
    if node.op_type in NEVER_FOLDED or any(name and name not in known for name in node.input):
        return None
    inputs = [name for name in dict.fromkeys(node.input) if name]
    values = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(known[n].dtype), None) for n in inputs]
    outputs = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in node.output]
    alone = helper.make_model(
        helper.make_graph([node], "constant", values, outputs),
        opset_imports=list(model.opset_import), ir_version=model.ir_version,
    )  # fmt: skip
    answers = ReferenceEvaluator(alone).run(None, {name: known[name] for name in inputs})
    found = {name: np.asarray(value) for name, value in zip(node.output, answers, strict=True)}
    return None if sum(v.size for v in found.values()) > MAX_CONSTANT else found


def _inferred(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    known: Mapping[str, NDArray],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, tuple[int, ...]]:
    """Output shapes of one node once the shapes and constants before it are known.

    Whole-graph inference gives up behind a Reshape whose target is computed; one node at a time it does not.
    """
    missing = [name for name in node.output if name and name not in shapes]
    if not missing or any(n and n not in known and n not in shapes for n in node.input):
        return {}
    names = [name for name in dict.fromkeys(node.input) if name]
    initialisers = [numpy_helper.from_array(known[n], n) for n in names if n in known and known[n].size < 4096]
    carried = {i.name for i in initialisers}
    values = [
        helper.make_tensor_value_info(
            n, helper.np_dtype_to_tensor_dtype(known[n].dtype) if n in known else _guess(model, n),
            known[n].shape if n in known else shapes[n],
        )
        for n in names if n not in carried
    ]  # fmt: skip
    outputs = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in node.output if n]
    alone = helper.make_model(
        helper.make_graph([node], "one", values, outputs, initialisers),
        opset_imports=list(model.opset_import), ir_version=model.ir_version,
    )  # fmt: skip
    try:
        found = static_shapes(shape_inference.infer_shapes(alone, data_prop=True))
    except shape_inference.InferenceError:
        return {}
    return {name: shape for name, shape in found.items() if name in missing}


def _guess(model: onnx.ModelProto, name: str) -> int:
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        if value.name == name and value.type.tensor_type.elem_type:
            return value.type.tensor_type.elem_type
    return TensorProto.FLOAT
