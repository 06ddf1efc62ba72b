"""Stages of a touch on the GPU, timed by CUDA events: each alone and all together, with and without a graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.hints import Hint
from ...engine.runners.base import NO_GLOBAL_HINTS
from ...engine.runners.tensorrt.device import Graph, Stream, Timer
from ...engine.runners.tensorrt.runner import TensorRTRunner
from ...engine.runners.tensorrt.stages import KERNELS, run_steps
from ..percentiles import summary

ROUNDS, WARM_UP = 4, 5
DOING = "measuring"
# The network itself and the final copy.
NOT_OUTSIDE = ("network", "download picture")


def time_touch(
    runner: TensorRTRunner, working: NDArray[np.float32], L: NDArray[np.float32], touches: int, count: int
) -> dict[str, Any]:
    """Summaries of milliseconds. working: L of working size. L: of display size. count: number of hints.

    events: stage → {"direct", "graph"} for every step of a touch, for all but the network and the final copy ("outside
    the network"), and for the whole. host: what a caller waits for, by the CPU's clock.
    """
    hints = spread_hints(count)
    features = runner.encode(working)
    runner.render(features, hints, NO_GLOBAL_HINTS, L)  # allocates everything
    events: dict[str, Any] = {}
    with runner.device.at_work(DOING):
        capacity = 0 if runner.served_by == KERNELS else runner.stages.hint_capacity("touch", count)
        colours = runner.stages.touch_steps(runner.served_by, capacity)
        steps = runner.stages.picture_steps(runner.served_by, capacity, L.shape, "bilinear")
        outside = {name: step for name, step in steps.items() if name not in NOT_OUTSIDE}
        timer, stream = runner.device.timer(), runner.stages.stream
        for name, step in (colours | steps).items():
            events[name] = _both(timer, stream, step, touches)
        events["outside the network"] = _both(timer, stream, lambda: run_steps(outside), touches)
        events["touch → picture"] = _both(timer, stream, lambda: run_steps(steps), touches)
        events["touch → ab"] = _both(timer, stream, lambda: run_steps(colours), touches)
        events["encoder"] = {"direct": _time(timer, stream, lambda: runner.stages.encode(working), touches)}
    host = {
        "touch → ab": _host(lambda: runner.colorize(features, hints), touches),
        "touch → picture": _host(lambda: runner.render(features, hints, NO_GLOBAL_HINTS, L), touches),
    }
    return {"events": events, "host": host}


def spread_hints(count: int) -> list[Hint]:
    """Hints of all hues on a spiral over the picture."""
    turns = np.arange(count) * 2.4
    radius = 0.45 * np.sqrt((np.arange(count) + 0.5) / count)
    places = np.stack([0.5 + radius * np.cos(turns), 0.5 + radius * np.sin(turns)], 1).tolist()
    colours = np.stack([40 * np.cos(3 * turns), 40 * np.sin(3 * turns)], 1).tolist()
    return [Hint(x, y, a, b) for (x, y), (a, b) in zip(places, colours, strict=True)]


def _both(timer: Timer, stream: Stream, work: Callable[[], None], touches: int) -> dict[str, Any]:
    """The same work launched directly, and as a graph recorded from it."""
    direct = _time(timer, stream, work, touches)
    graph: Graph = stream.graph(work, DOING)
    return {"direct": direct, "graph": _time(timer, stream, lambda: graph.launch(DOING), touches)}


def _time(timer: Timer, stream: Stream, work: Callable[[], None], touches: int) -> dict[str, Any]:
    def once() -> float:
        timer.start(stream)
        work()
        timer.stop(stream)
        stream.wait(DOING)
        return timer.ms()

    return summary(_rounds(once, touches))


def _host(work: Callable[[], object], touches: int) -> dict[str, Any]:
    def once() -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) * 1000

    return summary(_rounds(once, touches))


def _rounds(once: Callable[[], float], touches: int) -> list[NDArray[np.float64]]:
    for _ in range(WARM_UP):
        once()
    return [np.array([once() for _ in range(-(-touches // ROUNDS))]) for _ in range(ROUNDS)]
