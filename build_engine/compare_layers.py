"""Which layer TensorRT computes differently: tensors inside a graph on the GPU against ONNX Runtime.

TensorRT shows a tensor only if it is an output of the network, and does not fuse layers across an output. So marking a
tensor can make a fault vanish: on an H200, marking what a Split returned put right the block that it was in. Therefore
few tensors are marked at a time. The search starts at a wrong output of the graph, marks three of the tensors that it
depends on, goes on from the first wrong one, and ends at a layer that is wrong while all its inputs are right. If a
wrong tensor becomes right when tensors before it are marked, the layers between are named as a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, shape_inference

from ..engine.bundle import Bundle
from ..engine.inputs import normalise_lightness, planes_input
from ..engine.runners.base import NO_GLOBAL_HINTS
from ..engine.runners.sessions import default_threads, run_graph, session_options
from ..engine.runners.tensorrt.device import Device
from ..engine.runners.tensorrt.plans import TensorRT
from ..engine.runners.tensorrt.versions import LoadedTarget
from .accuracy_report import Case
from .fold import element_types
from .limits import LAYER_LIMITS
from .plans import Graph, PlanOptions, build_plan

# Tensors marked in one build, beside the one that is known to be wrong.
MARKS = 3
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)

Feed = Mapping[str, NDArray]


@dataclass(frozen=True)
class TensorError:
    """A tensor, the node that computes it, and its rms error over its standard deviation."""

    tensor: str
    node: str
    kind: str
    error: float


@dataclass(frozen=True)
class LayerComparison:
    """The result of a search.

    measured: every tensor that was compared, in the graph's order. wrong: the first wrong tensor, whose inputs are all
    right; None if no output of the graph is wrong. block: names of the nodes of which one is at fault; more than one
    where the fault vanishes when tensors between them are marked. builds: how many plans were built.
    """

    measured: list[TensorError]
    wrong: TensorError | None
    block: list[str]
    builds: int
    limit: float


def compare_layers(
    target: LoadedTarget,
    graph: Graph,
    options: PlanOptions,
    feeds: Sequence[Feed],
    say: Callable[[str], None] = lambda line: None,
) -> LayerComparison:
    """Search the first layer of `graph` that TensorRT computes differently from ONNX Runtime.

    feeds: inputs of the graph by name, one mapping for each run. say(line) receives a line for each build. Raises
    NoDevice without a GPU, RunnerError when TensorRT cannot build or run.
    """
    Device().close()
    search = _Search(onnx.load_model_from_string(graph.onnx), LAYER_LIMITS[graph.precision])
    timings = b""  # what one build measured, the next need not measure again

    def measure(tensors: Sequence[str]) -> dict[str, float]:
        nonlocal timings
        say(f"building {graph.title} with {len(tensors)} tensors marked")
        marked = replace(graph, onnx=_marked(search.model, tensors))
        right = _in_onnxruntime(marked.onnx, feeds)
        plan, timings = build_plan(target, marked, options, timing_cache=timings)
        found = _in_tensorrt(target, plan, feeds)
        return {name: _error(right[name], found[name]) for name in right if name in search.order}

    return search.run(measure)


@dataclass
class _Search:
    """The search in one graph. order: the float tensors that nodes compute → their places."""

    model: onnx.ModelProto
    limit: float
    order: dict[str, int] = field(init=False)
    errors: dict[str, float] = field(default_factory=dict, init=False)
    builds: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.model = shape_inference.infer_shapes(self.model)
        types = element_types(self.model)
        self.producers = {name: node for node in self.model.graph.node for name in node.output if name}
        floats = [name for name in self.producers if types.get(name) in FLOATS]
        self.order = {name: place for place, name in enumerate(floats)}

    def run(self, measure: Callable[[Sequence[str]], dict[str, float]]) -> LayerComparison:
        """measure(tensors): builds with these tensors marked and returns the errors of all outputs."""
        self.builds += 1
        self.errors.update(measure([]))
        wrong = self._first_wrong(self.errors)
        while wrong is not None:
            marks = self._next_marks(wrong)
            if not marks:
                return self._result(wrong, [self.producers[wrong].name])
            self.builds += 1
            found = measure([*marks, wrong])
            if found[wrong] <= self.limit:
                return self._result(wrong, self._between(wrong))
            self.errors.update(found)
            wrong = self._first_wrong({name: found[name] for name in marks}) or wrong
        return self._result(None, [])

    def _first_wrong(self, errors: Mapping[str, float]) -> str | None:
        return next((name for name in sorted(errors, key=self.order.__getitem__) if self._is_wrong(errors[name])), None)

    def _is_wrong(self, error: float) -> bool:
        return not error <= self.limit

    def _next_marks(self, wrong: str) -> list[str]:
        """Tensors to mark next: evenly from those between the last right one and `wrong`, or the inputs of its node.

        Empty when all inputs of the node are known to be right.
        """
        before = self._ancestors([wrong])
        last = max((self.order[n] for n in before if not self._is_wrong(self.errors.get(n, np.inf))), default=-1)
        open_ = [name for name in before if self.order[name] > last and name not in self.errors]
        inputs = self._inputs(self.producers[wrong])
        if len(open_) <= MARKS:
            return [name for name in inputs if name not in self.errors]
        return [open_[(place + 1) * len(open_) // (MARKS + 1)] for place in range(MARKS)]

    def _between(self, wrong: str) -> list[str]:
        """Names of the nodes that `wrong` depends on and no tensor that is known to be right does."""
        before = self._ancestors([wrong])
        right = [name for name in before if not self._is_wrong(self.errors.get(name, np.inf))]
        settled = {*right, *self._ancestors(right)}
        return list(dict.fromkeys(self.producers[name].name for name in (*before, wrong) if name not in settled))

    def _ancestors(self, tensors: Sequence[str]) -> list[str]:
        """The float tensors that `tensors` depend on, in order."""
        found: set[str] = set()
        todo = list(tensors)
        while todo:
            new = [name for name in self.producers[todo.pop()].input if name in self.producers and name not in found]
            found.update(new)
            todo += new
        return sorted(found & self.order.keys(), key=self.order.__getitem__)

    def _inputs(self, node: onnx.NodeProto) -> list[str]:
        return [name for name in dict.fromkeys(node.input) if name in self.order]

    def _result(self, wrong: str | None, block: list[str]) -> LayerComparison:
        measured = [self._row(name) for name in sorted(self.errors, key=self.order.__getitem__)]
        return LayerComparison(measured, self._row(wrong) if wrong else None, block, self.builds, self.limit)

    def _row(self, name: str) -> TensorError:
        node = self.producers[name]
        return TensorError(name, node.name, node.op_type, self.errors[name])


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


def _error(right: list[NDArray], found: list[NDArray]) -> float:
    """The rms error over the standard deviation of a tensor's values in all runs."""
    expected, got = (np.stack(values).astype(np.float64) for values in (right, found))
    spread, error = float(expected.std()), float(np.sqrt(np.square(got - expected).mean()))
    # A tensor of one value has no spread. Its size takes the place.
    relative = error / (spread or float(np.abs(expected).max()) or 1.0)
    return relative if np.isfinite(relative) else np.inf
