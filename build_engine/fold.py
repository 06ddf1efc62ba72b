"""ONNX graphs prepared for a back end: constants folded, shapes static.

ONNX GraphSurgeon folds. It keeps the names of the tensors that stay, so ranges keyed by them still hold.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_graphsurgeon
import onnxruntime
from onnx import shape_inference
from onnx_graphsurgeon.logger import G_LOGGER

from ..engine.errors import ModelFileError

# What would become a larger constant is computed at run time instead (a broadcast plane, for example).
MAX_CONSTANT_BYTES = 16_000_000
# Folding the first two would undo a quantisation: int8 weights would become floats again. Folding the others would
# make a random number constant.
NEVER_FOLDED = frozenset({"QuantizeLinear", "DequantizeLinear", "RandomNormal", "RandomUniform"})


def fold_constants(data: bytes, axes: Mapping[str, int] | None = None) -> onnx.ModelProto:
    """An ONNX file with its symbolic axes fixed to `axes` and everything constant folded.

    Casts of fp16 weights, shape arithmetic and constant nodes vanish; what is left computes. Axes not named in
    `axes` stay open. Raises ModelFileError for a file that is no ONNX graph.
    """
    try:
        model = onnx.load_model_from_string(data)
        _fix_axes(model, axes or {})
        model = _fold(model)
        del model.graph.value_info[:]
        model = shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(model)
    except Exception as error:  # onnxruntime's own errors share no base class
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelFileError(f"the ONNX graph cannot be prepared: {reason}; export the model again") from error
    return model


def _fix_axes(model: onnx.ModelProto, axes: Mapping[str, int]) -> None:
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


def _fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without the nodes that depend on constants and known shapes alone; their results are initialisers.

    Every pass may let inference reach further shapes, so there are as many as it takes.
    """
    # Both would write a line for every node that they simplify, or that stays.
    G_LOGGER.severity = G_LOGGER.ERROR
    onnxruntime.set_default_logger_severity(3)
    while True:
        graph = onnx_graphsurgeon.import_onnx(shape_inference.infer_shapes(model, data_prop=True))
        graph.fold_constants(
            error_ok=False, size_threshold=MAX_CONSTANT_BYTES, should_exclude_node=lambda node: node.op in NEVER_FOLDED
        )
        graph.cleanup()
        nodes, model = len(model.graph.node), onnx_graphsurgeon.export_onnx(graph)
        if len(model.graph.node) == nodes:
            return model


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Tensor name → ONNX element type, for every tensor that inference reached."""
    graph = model.graph
    types = {i.name: i.data_type for i in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        types[value.name] = value.type.tensor_type.elem_type
    return types
