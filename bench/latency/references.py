"""References: work that never changes with Livetint, which stages are timed relative to.

A stage is timed between runs of the reference of its kind, so that what slows both (a lower clock, another program on
the same memory) does not count as a slower build. Small products and exponentials stand for a touch, convolutions for
the encoder, stripes of Lab converted to sRGB by OpenCV for composing, and small NumPy calls for making tensors of
hints. If one of them or its name changes, older result files cannot be compared with newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ...engine.runners.sessions import session_options
from .workloads import SEED, Workload

# The names of all references begin with this.
REFERENCE = "reference"
SMALL, CONVOLUTIONS = f"{REFERENCE}_small", f"{REFERENCE}_convolutions"
STRIPES, CALLS = f"{REFERENCE}_stripes", f"{REFERENCE}_calls"
# The beginning of a stage's name → the reference of its kind.
SHAPES = {
    "touch_to_ab_": SMALL,
    "distribution_": SMALL,
    "encode": CONVOLUTIONS,
    "open_": CONVOLUTIONS,
    "compose_": STRIPES,
    "touch_to_pixels_": STRIPES,
    "hints_to_input_": CALLS,
    "match_hints_": CALLS,
}
# As in a touch with 16 hints: heads, rows, channels and pixels of its two products, and how often they are repeated.
HEADS, ROWS, CHANNELS, PIXELS, REPEATS = 4, 16, 36, 4096, 3
CONVOLVED = (1, 64, 128, 128)
# Rows and columns of a stripe, and stripes in a run.
STRIPE_PX, STRIPES_OF_A_RUN = (68, 1920), 4
NUMBERS = 80


def reference_of(stage: str) -> str | None:
    """The name of a stage's reference; None for a stage without one."""
    return next((name for start, name in SHAPES.items() if stage.startswith(start)), None)


def references(threads: int) -> dict[str, Workload]:
    """All references by name. ONNX Runtime runs on `threads` threads, OpenCV on those that it is set to."""
    runs = {SMALL: _small(threads), CONVOLUTIONS: _convolutions(threads), STRIPES: _stripes(), CALLS: _calls()}
    return {name: Workload(name, run) for name, run in runs.items()}


def _small(threads: int) -> Callable[[], object]:
    rng = np.random.default_rng(SEED)
    nodes: list[NodeProto] = []
    weights: dict[str, NDArray[np.floating]] = {}
    last = "x"
    for i in range(REPEATS):
        weights[f"in{i}"] = rng.standard_normal((1, HEADS, ROWS, CHANNELS), np.float32) / CHANNELS
        weights[f"out{i}"] = rng.standard_normal((1, HEADS, CHANNELS, ROWS), np.float32) / ROWS
        nodes += [
            helper.make_node("MatMul", [f"in{i}", last], [f"logits{i}"]),
            helper.make_node("Exp", [f"logits{i}"], [f"powers{i}"]),
            helper.make_node("MatMul", [f"out{i}", f"powers{i}"], [f"sums{i}"]),
            helper.make_node("Mul", [f"sums{i}", "gate"], [f"gated{i}"]),
            helper.make_node("Add", [f"gated{i}", "gate"], [f"y{i}"]),
        ]
        last = f"y{i}"
    shape = (1, HEADS, CHANNELS, PIXELS)
    inputs = {name: rng.standard_normal(shape, np.float32) / 8 for name in ("x", "gate")}
    return _session(nodes, weights, inputs, last, threads)


def _convolutions(threads: int) -> Callable[[], object]:
    rng = np.random.default_rng(SEED)
    channels = CONVOLVED[1]
    weights = {f"w{i}": rng.standard_normal((channels, channels, 3, 3), np.float32) / 24 for i in range(2)}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["y"], pads=[1] * 4),
        helper.make_node("Conv", ["y", "w1"], ["z"], pads=[1] * 4),
    ]
    return _session(nodes, weights, {"x": rng.standard_normal(CONVOLVED, np.float32)}, "z", threads)


def _session(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, NDArray[np.floating]],
    inputs: Mapping[str, NDArray[np.floating]],
    output: str,
    threads: int,
) -> Callable[[], object]:
    """Runs a graph whose output is shaped like its first input."""
    shapes = [(name, value.shape) for name, value in inputs.items()]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, shapes[0][1])
    tensors = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(list(nodes), REFERENCE, values, [result], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = session_options(threads)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
    return lambda: session.run(None, feed)


def _stripes() -> Callable[[], object]:
    rng = np.random.default_rng(SEED)
    height, width = STRIPE_PX
    L_planes = [100 * rng.random(STRIPE_PX, np.float32) for _ in range(STRIPES_OF_A_RUN)]
    a, b = (100 * rng.random((height, width // 8), np.float32) - 50 for _ in range(2))

    def run() -> object:
        rgb = np.empty((STRIPES_OF_A_RUN, height, width, 3), np.uint8)
        for L, out in zip(L_planes, rgb, strict=True):
            ab = [cv2.resize(plane, (width, height)) for plane in (a, b)]
            cv2.convertScaleAbs(cv2.cvtColor(cv2.merge((L, *ab)), cv2.COLOR_Lab2RGB), out, alpha=255)
        return rgb

    return run


def _calls() -> Callable[[], object]:
    rows = [(0.1 * i, 0.2 * i, 0.3 * i, 0.4 * i, 5) for i in range(NUMBERS)]

    def run() -> object:
        table = np.array(rows, np.float32)[None]
        return np.ascontiguousarray(table[..., :2]), np.ones(table.shape[:2], np.float32)

    return run
