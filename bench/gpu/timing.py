"""A touch on the GPU by CUDA events and by the host's clock: each step alone, groups of steps and the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.errors import DeviceLost, LivetintError
from ...engine.hints import Hint
from ...engine.runners.base import NO_GLOBAL_HINTS
from ...engine.runners.tensorrt.device import Stream, Timer
from ...engine.runners.tensorrt.runner import DeviceFeatures, TensorRTRunner
from ...engine.runners.tensorrt.stages import KERNELS, Step, run_steps
from ..percentiles import Rounds, summary

# What can answer a touch, the better one first; the kernels only where they know the model's form.
WAYS = ("kernels", "plan")
ROUNDS, WARM_UP = 4, 5
DOING = "measuring"
FINAL_COPY = "download picture"
TO_AB, TO_PICTURE, TO_PICTURE_ON_GPU = "touch → ab", "touch → picture", "touch → picture, not copied"
NETWORK, MATCH, OUTSIDE, SUM = "network", "match hints", "outside the network", "sum_of_steps"


def of_network(step: str) -> bool:
    """Whether a step of a touch is the network, or one of the kernels that compute it."""
    return step == "network" or step.startswith("touch_")


def groups(touch: Mapping[str, Step], picture: Mapping[str, Step]) -> dict[str, dict[str, Step]]:
    """What is timed as a whole → its steps by name, in order. touch: to ab. picture: to the picture."""
    not_copied = {name: step for name, step in picture.items() if name != FINAL_COPY}
    found = {
        NETWORK: {name: step for name, step in touch.items() if of_network(name)},
        MATCH: {name: step for name, step in touch.items() if name.startswith("match_")},
        OUTSIDE: {name: step for name, step in not_copied.items() if not of_network(name)},
        TO_AB: dict(touch),
        TO_PICTURE_ON_GPU: not_copied,
        TO_PICTURE: dict(picture),
    }
    return {name: steps for name, steps in found.items() if steps}


def time_way(
    runner: TensorRTRunner,
    working: NDArray[np.float32],
    L: NDArray[np.float32],
    touches: int,
    counts: Sequence[int],
    save: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Milliseconds of touches with each number of hints. working: L of working size. L: of display size.

    save: gets what is there after each number of hints.

    encoder: {"direct", "graph"}, with the upload of L. hints: count → {"steps": step → {"direct", "graph"}, medians,
    and each of `groups` → {"direct", "graph": summaries by CUDA events, "of": the names of its steps, "sum_of_steps":
    the sum of their medians, "host": what a caller waits for, by the host's clock (of whole touches)}}.
    """
    features = runner.encode(working)
    found: dict[str, Any] = {"hints": {}}
    for count in counts:
        found["hints"][str(count)] = _with_hints(runner, features, spread_hints(count), L, touches)
        save(found)
    with runner.device.at_work(DOING):
        timer = runner.device.timer()
        found["encoder"] = _both(timer, runner.stages.stream, lambda: runner.stages.encode(working), touches)
    return found


def _with_hints(
    runner: TensorRTRunner, features: DeviceFeatures, hints: list[Hint], L: NDArray[np.float32], touches: int
) -> dict[str, Any]:
    runner.colorize(features, hints)
    runner.render(features, hints, NO_GLOBAL_HINTS, L)  # the buffers now hold the hints, the photograph and L
    stages, by = runner.stages, runner.served_by
    capacity = 0 if by == KERNELS else stages.hint_capacity("touch", len(hints))
    touch = stages.touch_steps(by, capacity)
    picture = stages.picture_steps(by, capacity, L.shape, "bilinear")
    found: dict[str, Any] = {"steps": {}}
    with runner.device.at_work(DOING):
        timer, stream = runner.device.timer(), runner.stages.stream
        for name, step in (touch | picture).items():
            found["steps"][name] = _medians(_both(timer, stream, step, touches))
        for name, steps in groups(touch, picture).items():
            found[name] = _both(timer, stream, lambda steps=steps: run_steps(steps), touches)
            found[name] |= {"of": list(steps), SUM: _sum_of(found["steps"], list(steps))}
    found[TO_AB]["host"] = _host(lambda: runner.colorize(features, hints), touches)
    found[TO_PICTURE]["host"] = _host(lambda: runner.render(features, hints, NO_GLOBAL_HINTS, L), touches)
    return found


def spread_hints(count: int) -> list[Hint]:
    """Hints of all hues on a spiral over the picture."""
    turns = np.arange(count) * 2.4
    radius = 0.45 * np.sqrt((np.arange(count) + 0.5) / count)
    places = np.stack([0.5 + radius * np.cos(turns), 0.5 + radius * np.sin(turns)], 1).tolist()
    colours = np.stack([40 * np.cos(3 * turns), 40 * np.sin(3 * turns)], 1).tolist()
    return [Hint(x, y, a, b) for (x, y), (a, b) in zip(places, colours, strict=True)]


def _medians(times: Mapping[str, Any]) -> dict[str, float | None]:
    return {launched: found.get("p50") for launched, found in times.items()}


def _sum_of(steps: Mapping[str, Mapping[str, float | None]], names: Sequence[str]) -> dict[str, float | None]:
    """The sum of the medians of steps, launched directly and as graphs; None where one is missing."""
    sums: dict[str, float | None] = {}
    for launched in ("direct", "graph"):
        times = [time for name in names if (time := steps[name].get(launched)) is not None]
        sums[launched] = round(sum(times), 6) if len(times) == len(names) else None
    return sums


def _both(timer: Timer, stream: Stream, work: Callable[[], None], touches: int) -> dict[str, Any]:
    """The same work launched directly, and as a graph recorded from it."""
    found = {"direct": _time(timer, stream, work, touches)}
    try:
        graph = stream.graph(work, DOING)
        found["graph"] = _time(timer, stream, lambda: graph.launch(DOING), touches)
        graph.free()
    except DeviceLost:
        raise
    except LivetintError as error:
        found["graph"] = {"not_done": str(error)}
    return found


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


def _rounds(once: Callable[[], float], touches: int) -> Rounds:
    for _ in range(WARM_UP):
        once()
    return [np.array([once() for _ in range(-(-touches // ROUNDS))]) for _ in range(ROUNDS)]
