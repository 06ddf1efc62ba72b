"""Roofline: the work in a graph, counted from its ONNX file, against what the machine can do.

Counted are multiply-accumulates of convolutions and matrix products, and the bytes that a stage must read or write at
least: its weights once, its inputs and outputs once. A stage whose data stays in the CPU's cache between runs may
exceed the ceiling of memory. The ceilings are measured: a large copy and a large matrix product in NumPy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from ...engine.errors import ModelFileError
from ...engine.runners.base import Runner
from ...engine.runners.onnx import TOUCH_INPUTS
from ...engine.runners.sessions import default_threads, session_options
from ...engine.runners.subgraph import split_precomputed
from ..cells import short
from ..measure import Result, Rows
from ..options import Option
from .run import LatencyMeasure, Request, Run, Timed

# Peak of dense fp16 products accumulated in fp32, and of memory, roughly, from the makers' data sheets.
# name: (TFLOP/s, GB/s)
GPUS = {
    "Jetson Orin Nano 8 GB (25 W)": (17.0, 102.0),
    "Jetson AGX Orin 64 GB": (42.5, 204.8),
    "GeForce RTX 3060": (25.5, 360.0),
    "GeForce RTX 4090": (165.0, 1008.0),
}
# Share of the peak that kernels are taken to reach: a guess for wide 3 × 3 convolutions.
REACHED = 0.5
COUNTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
# A bundle's file → the stage that times it, for a number of hints; a restorer is timed with the encoder. The
# distribution is left out: it gathers at points, so the size of its inputs does not say what it reads.
STAGES_OF_FILES = {"encoder": "encode", "touch": "touch_to_ab_{}", "colour": "touch_to_ab_{}"}
COPY_BYTES, PRODUCT_SIDE, REPEATS = 1 << 27, 1536, 5


@dataclass(frozen=True)
class Work:
    """What one run of a graph costs at least: multiply-accumulates, and bytes of weights and of inputs and outputs."""

    macs: int
    weight_bytes: int
    io_bytes: int

    @property
    def bytes(self) -> int:
        return self.weight_bytes + self.io_bytes

    def __add__(self, other: Work) -> Work:
        """Both, one after the other."""
        weight_bytes, io_bytes = self.weight_bytes + other.weight_bytes, self.io_bytes + other.io_bytes
        return Work(self.macs + other.macs, weight_bytes, io_bytes)

    @property
    def flops(self) -> int:
        """Two for each multiply-accumulate."""
        return 2 * self.macs


def count(data: bytes, sizes: Mapping[str, int] | None = None) -> Work:
    """Work in an ONNX graph. `sizes` gives named open axes a length (`touch`: the number of hints).

    Raises ModelFileError when a shape that matters stays unknown.
    """
    model = onnx.load_from_string(data)
    weights = {item.name: item for item in model.graph.initializer}
    shapes = {name: list(item.dims) for name, item in weights.items()} | _run_shapes(model, weights, sizes or {})
    graph = model.graph
    macs = sum(_macs(node, shapes) for node in graph.node)
    # Weights may be stored as fp16 and widened; what the arithmetic reads is float32.
    weight_bytes = sum(4 * math.prod(item.dims) for item in weights.values() if len(item.dims) > 1)
    ends = [value.name for value in (*graph.input, *graph.output) if value.name not in weights]
    io_bytes = sum(4 * math.prod(_shape(name, shapes)) for name in ends)
    return Work(macs, weight_bytes, io_bytes)


def _run_shapes(
    model: onnx.ModelProto, weights: Mapping[str, onnx.TensorProto], sizes: Mapping[str, int]
) -> dict[str, list[int]]:
    """The shapes of everything that a counted node reads or writes, from a run on zeros.

    ONNX's own shape inference fails at slices and casts.
    """
    feeds = {}
    for value in model.graph.input:
        dims = [dim.dim_value or sizes.get(dim.dim_param, 0) for dim in value.type.tensor_type.shape.dim]
        if not all(dims):
            raise ModelFileError(f"the size of {value.name!r} in the graph is open; name the length of its open axes")
        if value.name not in weights:
            feeds[value.name] = np.zeros(dims, np.float32)
    ends = [value.name for value in model.graph.output]
    counted = [name for node in model.graph.node if node.op_type in COUNTED for name in (*node.input, *node.output)]
    wanted = [name for name in dict.fromkeys([*ends, *counted]) if name and name not in weights and name not in feeds]
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend([onnx.ValueInfoProto(name=name) for name in wanted if name not in ends])
    options = session_options(default_threads())
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answers: list[Any] = list(session.run(wanted, feeds))
    found = {name: list(np.shape(array)) for name, array in zip(wanted, answers, strict=True)}
    return found | {name: list(array.shape) for name, array in feeds.items()}


def _shape(name: str, shapes: Mapping[str, list[int]]) -> list[int]:
    if name not in shapes:
        raise ModelFileError(f"the size of {name!r} in the graph is open; name the length of its open axes")
    return shapes[name]


def _macs(node: onnx.NodeProto, shapes: Mapping[str, list[int]]) -> int:
    if node.op_type == "Conv":
        weight, out = _shape(node.input[1], shapes), _shape(node.output[0], shapes)
        return math.prod(out) * math.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        weight, given = _shape(node.input[1], shapes), _shape(node.input[0], shapes)
        return math.prod(given) * math.prod(weight[1:])
    if node.op_type == "MatMul":
        return math.prod(_shape(node.output[0], shapes)) * _shape(node.input[0], shapes)[-1]
    if node.op_type == "Gemm":
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return math.prod(_shape(node.output[0], shapes)) * _shape(node.input[0], shapes)[0 if transposed else -1]
    return 0


def open_axes(data: bytes) -> list[str]:
    """Names of the open axes of a graph's inputs, in order."""
    inputs = onnx.load_from_string(data).graph.input
    names = [dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim if dim.dim_param]
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class Ceilings:
    """What a machine can do at most, per second: 10⁹ floating-point operations, 10⁹ bytes."""

    gflops: float
    gbytes: float

    def min_ms(self, work: Work) -> float:
        """The shortest time that both ceilings allow."""
        return 1e3 * max(work.flops / (self.gflops * 1e9), work.bytes / (self.gbytes * 1e9))


def measure_ceilings(clock: Callable[[], float] = time.perf_counter) -> Ceilings:
    """This machine's ceilings in NumPy: the best of five large copies (read + write) and matrix products (fp32)."""
    source = np.ones(COPY_BYTES // 4, np.float32)
    target = np.empty_like(source)
    copy_s = _best(lambda: np.copyto(target, source), clock)
    a = np.ones((PRODUCT_SIDE, PRODUCT_SIDE), np.float32)
    product_s = _best(lambda: a @ a, clock)
    return Ceilings(2 * PRODUCT_SIDE**3 / product_s / 1e9, 2 * COPY_BYTES / copy_s / 1e9)


def _best(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    run()
    times = []
    for _ in range(REPEATS):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def row(name: str, work: Work, ceilings: Ceilings, measured_ms: float | None) -> dict[str, Any]:
    """One stage: its work, the least time that the ceilings allow, the measured time and the share reached.

    `modelled_ms` are guesses from data sheets at half of the peak in fp16, not measurements.
    """
    least = ceilings.min_ms(work)
    return {
        "stage": name,
        "gmac": round(work.macs / 1e9, 5),
        "mib": round(work.bytes / 2**20, 3),
        "least_ms": round(least, 4),
        "measured_ms": measured_ms,
        "reached": round(least / measured_ms, 4) if measured_ms else None,
        "modelled_ms": {gpu: round(modelled_ms(work, *peaks), 4) for gpu, peaks in GPUS.items()},
    }


def modelled_ms(work: Work, tflops: float, gbytes: float) -> float:
    """Modelled, not measured: half of a GPU's peak, bytes in fp16."""
    return Ceilings(1e3 * tflops * REACHED, gbytes * REACHED).min_ms(
        Work(work.macs, work.weight_bytes // 2, work.io_bytes // 2)
    )


def measure_roofline(runner: Runner, numbers: Sequence[int], stages_ms: Mapping[str, dict[str, Any]]) -> Result:
    """Work and roof of every graph of a touch, with the medians of a run's stages."""
    ceilings = measure_ceilings()
    rows = []
    for stage, timed in STAGES_OF_FILES.items():
        if not runner.bundle.has(stage):
            continue
        _, data = split_precomputed(runner.bundle.stage(stage), TOUCH_INPUTS)
        axes = open_axes(data)
        for number in numbers if axes or stage == "colour" else (0,):
            work = count(data, {axis: 1 if axis == "points" else max(number, 1) for axis in axes})
            if stage == "encoder" and runner.bundle.restorer is not None:
                work += count(runner.bundle.restorer)
            name = timed.format(number)
            rows.append(row(name, work, ceilings, stages_ms.get(name, {}).get("p50")))
    table = {"gflops": round(ceilings.gflops, 2), "gbytes": round(ceilings.gbytes, 2), "rows": rows}
    return table | {"note": "modelled_ms are modelled from data sheets, not measured"}


def as_lines(found: Result) -> str:
    """For the terminal."""
    lines = [f"ceilings: {found['gflops']:.0f} GFLOP/s, {found['gbytes']:.1f} GB/s"]
    for each in found["rows"]:
        share = "" if each["reached"] is None else f", {each['reached']:.0%} of the roof"
        lines.append(f"{each['stage']:<20} {each['gmac']:.4f} GMAC, {each['mib']:.2f} MiB{share}")
    return "\n".join(lines)


def roof_rows(found: Result) -> Rows:
    """Header and rows of the report: counted work against the measured ceilings."""
    head = f"measured ceilings: {short(found['gflops'])} GFLOP/s, {short(found['gbytes'])} GB/s"
    rows = [[head, "GMAC", "MiB", "least, ms", "measured, ms", "of the roof"]]
    for each in found["rows"]:
        reached = "–" if each["reached"] is None else f"{each['reached']:.0%}"
        numbers = [short(each[key]) for key in ("gmac", "mib", "least_ms", "measured_ms")]
        rows.append([each["stage"], *numbers, reached])
    return rows


def modelled_rows(found: Result) -> Rows:
    """Header and rows of the report: times modelled from data sheets, for GPUs that were not there; the header says
    so."""
    if not found["rows"]:
        return []
    gpus = list(found["rows"][0]["modelled_ms"])
    rows = [["MODELLED from data sheets, not measured; ms", *gpus]]
    return rows + [[each["stage"], *(short(each["modelled_ms"][gpu]) for gpu in gpus)] for each in found["rows"]]


class Roofline(LatencyMeasure):
    """Counted work against the machine's ceilings."""

    key = "roofline"
    options = (Option("--roofline", "Also count the work and say how near to the machine's roof it runs."),)

    @classmethod
    def from_options(cls, request: Request) -> Roofline | None:
        return cls() if request.options["roofline"] else None

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {self.key: measure_roofline(run.runner, run.numbers, result["stages"])}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [roof_rows(part), modelled_rows(part)]
