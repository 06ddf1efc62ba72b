"""Export PyTorch modules as ONNX files that every back end takes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import onnx
import torch
from torch import Tensor, nn

from ..engine.errors import ModelFileError

OPSET = 17
MAX_IR = 9
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
