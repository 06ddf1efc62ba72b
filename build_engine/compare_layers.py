"""Which layer TensorRT computes differently: every float tensor of a graph on the GPU against ONNX Runtime.

TensorRT shows a tensor only if it is an output of the network. Marking all of them at once would keep it from fusing
any layers, so that a fault of a fused layer could vanish. They are therefore marked in chunks, in the order of the
graph, and the comparison ends at the first chunk with a difference. Within a chunk, fewer layers are fused than in the
plan that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, shape_inference

from ..engine.bundle import Bundle
from ..engine.inputs import normalise_lightness, planes_input
from ..engine.runners.base import NO_GLOBAL_HINTS
from ..engine.runners.onnx import default_threads, run_graph, session_options
from ..engine.runners.tensorrt.device import Device
from ..engine.runners.tensorrt.plans import TensorRT
from ..engine.runners.tensorrt.versions import LoadedTarget
from .accuracy_report import Case
from .fold import element_types
from .limits import LAYER_LIMITS
from .plans import Graph, PlanOptions, build_plan

# Tensors marked as outputs of one plan.
CHUNK = 32
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)

Feed = Mapping[str, NDArray]


@dataclass(frozen=True)
class LayerDifference:
    """A node, one of its outputs, and that output's rms error over its standard deviation."""

    node: str
    kind: str
    tensor: str
    error: float

    def row(self) -> str:
        """A row of the table to show."""
        return f"{self.error:>10.4f}  {self.kind:<20} {self.node or self.tensor}"


@dataclass(frozen=True)
class LayerComparison:
    """compared: the rows of the last chunk that was compared, in order. tensors: how many were compared in all."""

    compared: list[LayerDifference]
    tensors: int
    limit: float

    @property
    def first(self) -> LayerDifference | None:
        """The first output beyond the limit; None if there is none."""
        return next((row for row in self.compared if not row.error <= self.limit), None)


def compare_layers(
    target: LoadedTarget,
    graph: Graph,
    options: PlanOptions,
    feeds: Sequence[Feed],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> LayerComparison:
    """Compare what the nodes of `graph` give in TensorRT with ONNX Runtime, until one is beyond the limit.

    feeds: inputs of the graph by name, one mapping for each run. tick(done, total) counts tensors. Raises NoDevice
    without a GPU, RunnerError when TensorRT cannot build or run.
    """
    Device().close()
    limit = LAYER_LIMITS[graph.precision]
    model = shape_inference.infer_shapes(onnx.load_model_from_string(graph.onnx))
    marks = _float_outputs(model)
    rows: list[LayerDifference] = []
    done = 0
    for start in range(0, len(marks), CHUNK):
        chunk = marks[start : start + CHUNK]
        marked = replace(graph, onnx=_marked(model, [tensor for _, tensor in chunk]))
        right = _in_onnxruntime(marked.onnx, feeds)
        plan, _ = build_plan(target, marked, options)
        found = _in_tensorrt(target, plan, feeds)
        rows = [_difference(node, tensor, right[tensor], found[tensor]) for node, tensor in chunk]
        done += len(chunk)
        tick(done, len(marks))
        if any(not row.error <= limit for row in rows):
            break
    return LayerComparison(rows, done, limit)


def example_feeds(bundle: Bundle, cases: Sequence[Case]) -> list[dict[str, NDArray]]:
    """The inputs of a bundle's converted stage for photographs with hints: `light` of an encoder, or `planes`."""
    settings = bundle.manifest.input
    feeds = []
    for case in cases:
        plane = normalise_lightness(case.L, settings)[None, None]
        hints = case.hints if settings.local else ()
        planes = planes_input(plane, hints, NO_GLOBAL_HINTS, settings)
        feeds.append({"light": plane} if settings.kind == "hints" else planes)
    return feeds


def _float_outputs(model: onnx.ModelProto) -> list[tuple[onnx.NodeProto, str]]:
    """Every float tensor that a node of the graph computes from its inputs, with that node, in order."""
    types = element_types(model)
    return [(node, name) for node in model.graph.node for name in node.output if types.get(name) in FLOATS]


def _marked(model: onnx.ModelProto, tensors: Sequence[str]) -> bytes:
    """The graph with these tensors as further outputs."""
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    there = {value.name for value in marked.graph.output}
    known = {value.name: value for value in marked.graph.value_info}
    marked.graph.output.extend(known[name] for name in tensors if name not in there)
    return marked.SerializeToString()


def _in_onnxruntime(data: bytes, feeds: Sequence[Feed]) -> dict[str, list[NDArray]]:
    """Output → its values in every run, by the arithmetic of the graph as it is, without optimisation."""
    options = session_options(default_threads())
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    runs = [run_graph(session, feed) for feed in feeds]
    return {name: [run[name] for run in runs] for name in runs[0]}


def _in_tensorrt(target: LoadedTarget, data: bytes, feeds: Sequence[Feed]) -> dict[str, list[NDArray]]:
    """Output → its values in every run of a plan on the GPU."""
    doing = "comparing layers"
    device = Device()
    try:
        with device.at_work(doing):
            plan = TensorRT(target.name).plan(doing, data)
            device.on_close(plan.close)
            tensors = {**plan.inputs, **plan.outputs}
            addresses = {name: device.memory(tensor.size_bytes) for name, tensor in tensors.items()}
            plan.bind(addresses, device.memory(plan.scratch_bytes), plan.scratch_bytes)
            stream = device.stream()
            found: dict[str, list[NDArray]] = {name: [] for name in plan.outputs}
            for feed in feeds:
                for name, tensor in plan.inputs.items():
                    device.upload(addresses[name], feed[name].astype(tensor.dtype))
                plan.enqueue(device, stream)
                stream.wait(doing)
                for name, tensor in plan.outputs.items():
                    values = np.empty(tensor.shape, tensor.dtype)
                    device.download(addresses[name], values)
                    found[name].append(values)
            return found
    finally:
        device.close()


def _difference(node: onnx.NodeProto, tensor: str, right: list[NDArray], found: list[NDArray]) -> LayerDifference:
    expected, got = (np.stack(values).astype(np.float64) for values in (right, found))
    spread, error = float(expected.std()), float(np.sqrt(np.square(got - expected).mean()))
    # A tensor of one value has no spread; its size takes the place.
    relative = error / (spread or float(np.abs(expected).max()) or 1.0)
    return LayerDifference(node.name, node.op_type, tensor, relative if np.isfinite(relative) else np.inf)
