"""The runner for NVIDIA GPUs: TensorRT plans and CUDA kernels, recorded as one graph a touch.

A touch writes a few hundred bytes into pinned memory, launches one graph and waits; nothing is allocated. What
belongs to a photograph stays on the GPU: the last few are kept, others are encoded again when they come back.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ...bundle import Bundle
from ...colour.global_hints import GlobalHints
from ...errors import RunnerError
from ...hints import Hint
from ...image.compose import check_method, compose
from ...match_hints import match_hints
from ..base import NO_GLOBAL_HINTS, check_hints, distribution_table
from .device import DEFAULT_DEADLINE_S, Device, Graph, Stream
from .stages import BY_KERNELS, Stages

# Photographs whose features stay on the GPU; a kiosk keeps as many open.
KEPT_PHOTOGRAPHS = 4
WARM_UP, TIMED = 2, 20


class DeviceFeatures:
    """One photograph, as the runner that encoded it knows it. light float32 [H, W]: its working L, read-only."""

    def __init__(self, owner: TensorRTRunner, L: NDArray[np.float32]) -> None:
        self.owner = weakref.ref(owner)
        self.L = np.array(L, np.float32)
        self.L.setflags(write=False)
        self.slot: int | None = None


class TensorRTRunner:
    """Runs a bundle's plans on the GPU. One at a time may call it; several threads are let in one by one.

    served_by: "plan" or "kernels", which of them answers touches (the faster one; models of other forms than the
    kernels know have the plan). lost: the reason, once an error has stuck: then every call raises DeviceLost,
    and its owner must end the process (exit code 70) and start another. device, stages: for measuring.
    """

    def __init__(
        self,
        bundle: Bundle,
        display: tuple[int, int] = (0, 0),
        touch_by: str = "auto",
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        """display: (width, height) of the largest picture that `render` makes on the GPU; 0 for none.

        touch_by: "auto", "plan" or "kernels". deadline_s: the longest a wait may take before the GPU counts as
        lost. Raises NoDevice, StalePlan (no plans for this GPU yet), DeviceFull, DeviceError, DeviceLost.
        """
        self.bundle = bundle
        self._lock = threading.RLock()
        self.device = Device(deadline_s)
        with contextlib.ExitStack() as undo:
            undo.callback(self.device.close)
            with self.device.at_work("making the GPU ready"):
                self._start(display, touch_by)
            undo.pop_all()
        # TensorRT's objects must go before the driver does, also where nobody closes the runner.
        weakref.finalize(self, self.device.close)

    @property
    def lost(self) -> str:
        return self.device.lost

    @property
    def tensorrt(self) -> str:
        """The TensorRT that runs the plans, with its version."""
        return self.stages.tensorrt

    def encode(self, L: NDArray[np.float32]) -> DeviceFeatures:
        """Working L float32 [H, W] in 0…100, of the bundle's working size → features, kept on the GPU."""
        size = tuple(self.bundle.manifest.input.working_size)
        if L.shape != size:
            raise RunnerError(f"L has shape {L.shape}; model {self.bundle.name} works at {size}")
        features = DeviceFeatures(self, L)
        with self._lock, self.device.at_work("encoding a photograph"):
            self._encode(features)
        return features

    def colorize(
        self, features: DeviceFeatures, hints: Sequence[Hint], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """ab float32 [2, H, W] in CIELAB units; the caller owns it."""
        check_hints(self.bundle, hints, global_hints)
        with self._lock, self.device.at_work("answering a touch"):
            self._touch(features, hints, global_hints)
            ab = self.stages.ab.copy()
        return self._kept(ab, hints)

    def render(
        self,
        features: DeviceFeatures,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str = "bilinear",
    ) -> NDArray[np.uint8]:
        """The coloured picture at the size of `light` (float32 [H, W] in 0…100, not changed between calls).

        sRGB uint8 [H, W, 3], the caller's. `method` is one of `compose`; an unknown one raises ConfigError. `light`
        goes to the GPU when it is another array than the last time; pictures larger than `display` are composed on
        the CPU.
        """
        check_method(method)
        if L.size > self.stages.display_pixels:
            return compose(L, self.colorize(features, hints, global_hints), method=method)
        check_hints(self.bundle, hints, global_hints)
        with self._lock, self.device.at_work("rendering a touch"):
            self._show(L)
            self._touch(features, hints, global_hints)
            self._kept(self.stages.ab, hints)
            self._compose(L.shape, method)
            return self.stages.pixels(L.shape).copy()

    def distribution(
        self,
        features: DeviceFeatures,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        points: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Probabilities float32 [P, bins] at points [P, 2] (x, y in 0…1), tempered as the bundle says."""
        check_hints(self.bundle, hints, global_hints)
        table = distribution_table(self.bundle)
        points = np.asarray(points, np.float32)
        answer = np.empty((len(points), len(table.centres)), np.float32)
        with self._lock, self.device.at_work("asking for colours"):
            self._bring(features)
            capacity = self.stages.hint_capacity("distribution", len(hints))
            self.stages.distribution.buffer.write(hints, global_hints, capacity)
            for start in range(0, len(points), self.stages.max_points):
                part = points[start : start + self.stages.max_points]
                many = self.stages.point_capacity(len(part))
                self.stages.distribution.buffer.write_points(part, many)
                self._replay(
                    self.stages.distribution.stream, ("distribution", capacity, many), "asking for colours",
                    functools.partial(self.stages.distribution_work, capacity, many),
                )  # fmt: skip
                answer[start : start + len(part)] = self.stages.probabilities[: len(part)]
        return answer

    def close(self) -> None:
        """Give everything on the GPU back; the runner cannot be used afterwards."""
        with self._lock:
            if not self.device.lost and not self.device.closed:
                with self.device.at_work("giving the GPU back"):
                    self.stages.keep_jit_caches()
            self.device.close()

    def __enter__(self) -> TensorRTRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Inside `at_work`, with the lock

    def _start(self, display: tuple[int, int], touch_by: str) -> None:
        self.stages = Stages(self.device, self.bundle, display, touch_by)
        self._graphs: dict[tuple, Graph] = {}
        self._slots = [self.device.memory(self.stages.arena.features_bytes) for _ in range(KEPT_PHOTOGRAPHS)]
        self._held: dict[int, weakref.ref[DeviceFeatures]] = {}  # slot → whose, the longest unused first
        self._current: weakref.ref[DeviceFeatures] | None = None
        self._shown: NDArray[np.float32] | None = None
        self._frame_size: tuple[int, ...] | None = None
        self.served_by = self._choose(touch_by)

    def _choose(self, touch_by: str) -> str:
        """Which answers touches. "auto" measures both, on a grey photograph with hints for the smallest plan."""
        if touch_by != "auto" or not self.stages.has_kernels:
            return BY_KERNELS if touch_by == BY_KERNELS and self.stages.has_kernels else "plan"
        grey = DeviceFeatures(self, np.full(self.bundle.manifest.input.working_size, 50, np.float32))
        self._encode(grey)
        hints = [Hint(0.1 + 0.08 * i, 0.5, 30, 10) for i in range(10)]
        times = {}
        for self.served_by in ("plan", BY_KERNELS):
            taken = []
            for _ in range(WARM_UP + TIMED):
                started = time.perf_counter()
                self._touch(grey, hints, NO_GLOBAL_HINTS)
                taken.append(time.perf_counter() - started)
            times[self.served_by] = sorted(taken[WARM_UP:])[TIMED // 2]
        return min(times, key=lambda name: times[name])

    def _touch(self, features: DeviceFeatures, hints: Sequence[Hint], global_hints: GlobalHints) -> None:
        self._bring(features)
        capacity = 0 if self.served_by == BY_KERNELS else self.stages.hint_capacity("touch", len(hints))
        lane = self.stages.touch
        lane.buffer.write(hints, global_hints, capacity)
        make = functools.partial(self.stages.touch_work, self.served_by, capacity)
        self._replay(lane.stream, ("touch", self.served_by, capacity), "answering a touch", make)

    def _kept(self, ab: NDArray[np.float32], hints: Sequence[Hint]) -> NDArray[np.float32]:
        return match_hints(ab, hints) if self.bundle.manifest.input.kind == "hints" else ab

    def _compose(self, frame: tuple[int, ...], method: str) -> None:
        make = functools.partial(self.stages.picture_work, frame, method)
        self._replay(self.stages.touch.stream, ("picture", frame, method), "rendering a touch", make)

    def _replay(self, stream: Stream, key: tuple, doing: str, make: Callable[[], Callable[[], None]]) -> None:
        """Run recorded work and wait. The first time, `make` gives the work; it runs unrecorded, as TensorRT wants
        before a capture, and is recorded then."""
        graph = self._graphs.get(key)
        if graph is not None:
            graph.launch(doing)
            stream.wait(doing)
            return
        work = make()
        work()
        stream.wait(doing)
        self._graphs[key] = stream.graph(work, doing)

    def _encode(self, features: DeviceFeatures) -> None:
        self._current = None
        self.stages.encode(features.L)
        self.stages.touch.stream.copy(
            self._slots[self._slot_for(features)], self.stages.arena.features_at, self.stages.arena.features_bytes
        )
        self.stages.touch.stream.wait("encoding a photograph")
        self._current = weakref.ref(features)

    def _bring(self, features: DeviceFeatures) -> None:
        """Make a photograph's features the ones that plans and kernels read."""
        if self._current is not None and self._current() is features:
            return
        if features.owner() is not self:
            raise RunnerError("these features are another runner's; encode the photograph with this one")
        if features.slot is None:
            self._encode(features)
            return
        self._current = None
        self._held[features.slot] = self._held.pop(features.slot)
        arena = self.stages.arena
        self.stages.touch.stream.copy(arena.features_at, self._slots[features.slot], arena.features_bytes)
        self.stages.touch.stream.wait("changing photographs")
        self._current = weakref.ref(features)

    def _slot_for(self, features: DeviceFeatures) -> int:
        """A free slot, or that of the photograph unused for the longest."""
        free = [slot for slot in range(KEPT_PHOTOGRAPHS) if slot not in self._held or self._held[slot]() is None]
        slot = free[0] if free else next(iter(self._held))
        holder = self._held.pop(slot, None)
        evicted = holder() if holder else None
        if evicted is not None:
            evicted.slot = None
        self._held[slot] = weakref.ref(features)
        features.slot = slot
        return slot

    def _show(self, L: NDArray[np.float32]) -> None:
        """Bring a photograph's L of display size to the GPU; forget graphs of another size."""
        if L is self._shown:
            return
        if L.shape != self._frame_size:
            for key in [key for key in self._graphs if key[0] == "picture"]:
                self._graphs.pop(key).free()
            self._frame_size = L.shape
        self._shown = None
        self.stages.show(L)
        self._shown = L
