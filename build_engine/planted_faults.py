"""Faults planted into a network, to see what they change: `python -m livetint.build_engine.planted_faults [MODEL]`.

The limits of INT8 are half of what the smallest of these faults shows (limits.py). TensorRT 8.6 made the first one on
an H200, very likely.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from ..engine.bundle import Bundle
from ..engine.files import sha256_of
from ..engine.models import find_model
from ..engine.runners.onnx import OnnxRunner
from .accuracy_report import StrictRunner, answers, compare, example_cases, reference_answers
from .apply_precision import apply_precision, folded_stages, ranges_of
from .attention import attentions
from .half_arithmetic import EmulatedRunner


def exchange_q_and_v(model: onnx.ModelProto) -> None:
    """Give every attention v for q, and q for v."""
    for attention in attentions(model):
        query, value = attention.scores.input[0], attention.values.input[1]
        attention.scores.input[0], attention.values.input[1] = value, query


def zero_attention(model: onnx.ModelProto) -> None:
    """Make what every attention gives zero. The biases of the projections stay."""
    zero = numpy_helper.from_array(np.zeros((), np.float32), "zero")
    model.graph.initializer.append(zero)
    nodes = []
    places = {attention.values.name for attention in attentions(model)}
    for node in model.graph.node:
        nodes.append(node)
        if node.name in places:
            output = node.output[0]
            node.output[0] = f"{output}/whole"
            nodes.append(onnx.helper.make_node("Mul", [node.output[0], "zero"], [output], f"{node.name}/zero"))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


FAULTS: dict[str, Callable[[onnx.ModelProto], None]] = {
    "q and v exchanged": exchange_q_and_v, "attention at zero": zero_attention,
}  # fmt: skip


def with_fault(bundle: Bundle, fault: str) -> Bundle:
    """The bundle with a fault of FAULTS in the stages that a precision converts, in memory."""
    files = dict(bundle.files)
    for stage, model in folded_stages(bundle).items():
        FAULTS[fault](model)
        files[bundle.manifest.stages[stage]] = model.SerializeToString()
    digests = {name: sha256_of(data) for name, data in files.items()}
    return Bundle(bundle.folder, msgspec.structs.replace(bundle.manifest, files=digests), files)


def report(bundle: Bundle) -> list[str]:
    """A line for each fault and for each precision of a bundle, on the example photographs."""
    cases, ranges = example_cases(), ranges_of(bundle)
    reference = reference_answers(bundle, cases)

    def line(title: str, precision: str, converted: Bundle, kind: type[OnnxRunner], arithmetic: str = "") -> str:
        with kind(converted) as runner:
            return f"{title}: {compare(precision, cases, reference, answers(runner, cases), arithmetic).sentence()}"

    lines = [line(fault, "fp32", with_fault(bundle, fault), OnnxRunner) for fault in FAULTS]
    half = apply_precision(bundle, "fp16", "tensorrt")
    lines.append(line("stored", "fp16", half, StrictRunner))
    lines.append(line("emulated", "fp16", half, EmulatedRunner, "emulated"))
    if ranges is None:
        return lines
    for dialect, kind in (("tensorrt", StrictRunner), ("onnxruntime", OnnxRunner)):
        arithmetic = dialect if dialect == "onnxruntime" else ""
        for title, one in [(f"for {dialect}", bundle)] + [
            (f"for {dialect}, {f}", with_fault(bundle, f)) for f in FAULTS
        ]:
            converted = apply_precision(one, "int8", dialect, ranges, ranges.choice)
            lines.append(line(title, "int8", converted, kind, arithmetic))
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(report(find_model(sys.argv[1] if len(sys.argv) > 1 else "touch"))) + "\n")
