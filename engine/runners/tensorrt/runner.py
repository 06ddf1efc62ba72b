"""The runner for NVIDIA GPUs: TensorRT plans and CUDA kernels, recorded as one graph per touch.

A touch writes a few hundred bytes into pinned memory, launches one graph and waits. Nothing is allocated. The features
of the last few photographs stay on the GPU. Older ones are encoded again when they are used.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...bundle import Bundle
from ...colour.global_hints import GlobalHints
from ...errors import DeviceLost
from ...hints import Hint
from ...image.compose import apply_strength
from ..base import INFLUENCE_CELLS, Features, Runner, distribution_table
from ..restorer import load_restorer
from ..sessions import Session, default_threads, make_session, run_graph
from ..share import share_graph, share_inputs, share_map
from .device import DEFAULT_DEADLINE_S, Device, Graph
from .hint_stages import HintStages
from .plane_stages import PlaneStages
from .stages import KERNELS, PLAN

# The number of photographs whose features stay on the GPU; a kiosk keeps as many open.
KEPT_PHOTOGRAPHS = 4


class DeviceFeatures(Features):
    """One photograph on the GPU.

    restored: the L that the encoder gets, float32 [H, W]. slot: the slot that has its features; None after it was
    evicted.
    """

    def __init__(
        self, runner: TensorRTRunner, L: NDArray[np.float32], restored: NDArray[np.float32], vivid: float = 1.0
    ) -> None:
        super().__init__(runner, L, vivid)
        self.restored = restored
        self.slot: int | None = None


class TensorRTRunner(Runner[DeviceFeatures]):
    """Runs a bundle's plans on the GPU. Calls from several threads are served one at a time.

    served_by: "plan" or "kernels", what answers touches: the kernels where they can serve the bundle's touch stage.
    lost: the reason for a permanent error, else "". After one, every call raises DeviceLost; the owner must end the
    process (exit code 70) and start another. device, stages: for benches.
    """

    runs_on = "GPU"

    def __init__(
        self,
        bundle: Bundle,
        display: tuple[int, int] = (0, 0),
        touch_by: str = "auto",
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        """display: (width, height) of the largest picture that `render` composes on the GPU; (0, 0) for none.

        touch_by: "auto", "plan" or "kernels"; "auto" takes the kernels where they can serve the bundle. deadline_s:
        the longest wait before the GPU counts as lost. Raises NoDevice, StalePlan (no plans for this GPU yet, or none
        of the touch stage for "plan"), ModelFileError ("kernels" where they cannot serve), DeviceFull, DeviceError,
        DeviceLost.
        """
        super().__init__(bundle)
        self._restore = load_restorer(bundle, default_threads(), spin=False)
        self._lock = threading.RLock()
        self.device = Device(deadline_s)
        with contextlib.ExitStack() as undo:
            undo.callback(self.device.close)
            with self.device.at_work("preparing the GPU"):
                self._start(display, touch_by)
            undo.pop_all()
        # TensorRT's objects must be freed before the driver is, also if the runner is never closed.
        weakref.finalize(self, self.device.close)

    @property
    def lost(self) -> str:
        return self.device.lost

    @property
    def tensorrt(self) -> str:
        """Name and version of the TensorRT that runs the plans."""
        return self.stages.tensorrt

    def _check_open(self) -> None:
        if self.device.lost:
            raise DeviceLost(self.device.lost)
        super()._check_open()

    def _encode(self, L: NDArray[np.float32], vivid: float) -> DeviceFeatures:
        return self._encode_restored(L, self._restore(L), vivid)

    def _encode_restored(self, L: NDArray[np.float32], restored: NDArray[np.float32], vivid: float) -> DeviceFeatures:
        features = DeviceFeatures(self, L, restored, vivid)
        with self._lock, self.device.at_work("encoding a photograph"):
            self._encode_into_slot(features)
        return features

    def _with_vivid(self, features: DeviceFeatures, vivid: float) -> DeviceFeatures:
        return self._encode_restored(features.L, features.restored, vivid)

    def _colorize(
        self, features: DeviceFeatures, hints: Sequence[Hint], global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        with self._lock, self.device.at_work("answering a touch"):
            self._touch(features, hints, global_hints)
            return self.stages.ab.copy()

    def _render(
        self,
        features: DeviceFeatures,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        L: NDArray[np.float32],
        method: str,
        ab: NDArray[np.float32] | None,
        strength: float,
    ) -> NDArray[np.uint8]:
        """`L` is uploaded if it is another array than in the last call. Pictures larger than `display` are composed on
        the CPU."""
        if L.size > self.stages.display_pixels:
            return super()._render(features, hints, global_hints, L, method, ab, strength)
        if strength != 1:
            ab = self._colorize(features, hints, global_hints) if ab is None else ab
            return self._compose(apply_strength(ab, strength), L, method)
        with self._lock, self.device.at_work("rendering a touch"):
            self._upload_lightness(L)
            by, capacity = self._write_hints(features, hints, global_hints)
            work = functools.partial(self.stages.picture_work, by, capacity)
            return self._picture(("picture", by, capacity), "rendering a touch", work, L, method)

    def _compose(self, ab: NDArray[np.float32], L: NDArray[np.float32], method: str) -> NDArray[np.uint8]:
        """Compose ab of the host with L. A recorded touch has no place for a factor that changes with a slider."""
        doing = "composing a picture"
        with self._lock, self.device.at_work(doing):
            self._upload_lightness(L)
            self.stages.ab[:] = ab
            return self._picture(("picture", "from host"), doing, self.stages.compose_work, L, method)

    def _distribution(
        self,
        features: DeviceFeatures,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        points: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        doing = "computing a distribution"
        probabilities = np.empty((len(points), len(distribution_table(self.bundle).centres)), np.float32)
        buffer, max_points = self.stages.buffer, self.stages.max_points
        with self._lock, self.device.at_work(doing):
            self._load_features(features)
            capacity = self.stages.hint_capacity("distribution", len(hints))
            buffer.write(hints, global_hints, capacity)
            for start in range(0, len(points), max_points):
                part = points[start : start + max_points]
                size = self.stages.point_capacity(len(part))
                buffer.write_points(part, size)
                make = functools.partial(self.stages.distribution_work, capacity, size)
                self._replay(("distribution", capacity, size), doing, make)
                probabilities[start : start + len(part)] = self.stages.probabilities[: len(part)]
        return probabilities

    def _feature_maps(self, features: DeviceFeatures) -> dict[str, NDArray[np.float32]]:
        if not isinstance(self.stages, HintStages):
            return {}
        with self._lock, self.device.at_work("reading a photograph's features"):
            self._load_features(features)
            return self.stages.maps()

    def _influence(
        self, features: DeviceFeatures, hints: Sequence[Hint], indices: Sequence[int], global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        """The shares are computed on the CPU, from the encoder's maps on the GPU: they are needed when the finger is
        lifted, not at every move."""
        if not isinstance(self.stages, HintStages) or self._shares is None:
            return super()._influence(features, hints, indices, global_hints)
        maps = self._feature_maps(features)
        shares = run_graph(self._shares, share_inputs(maps, hints, global_hints, INFLUENCE_CELLS))
        return share_map(next(iter(shares.values())), indices, INFLUENCE_CELLS)

    @cached_property
    def _shares(self) -> Session | None:
        """The graph of shares, cut at the first question; None for bundles without shares."""
        graph = share_graph(self.bundle)
        return make_session(graph, default_threads(), spin=False) if graph else None

    def _close(self) -> None:
        with self._lock:
            try:
                if not self.device.lost and not self.device.closed:
                    with self.device.at_work("closing the GPU"):
                        self.stages.keep_jit_caches()
            finally:
                self.device.close()

    # Helpers, called inside `at_work` with the lock

    def _start(self, display: tuple[int, int], touch_by: str) -> None:
        kind = HintStages if self.bundle.manifest.input.kind == "hints" else PlaneStages
        self.stages = kind(self.device, self.bundle, display, touch_by)
        self._graphs: dict[tuple, Graph] = {}
        self._slots = [self.device.memory(self.stages.arena.features_bytes) for _ in range(KEPT_PHOTOGRAPHS)]
        self._owners: dict[int, weakref.ref[DeviceFeatures]] = {}  # slot → its features, least recently used first
        self._current: weakref.ref[DeviceFeatures] | None = None
        self._uploaded: weakref.ref[NDArray[np.float32]] | None = None
        self._frame_size: tuple[int, ...] | None = None
        self.served_by = KERNELS if self.stages.has_kernels else PLAN

    def _touch(self, features: DeviceFeatures, hints: Sequence[Hint], global_hints: GlobalHints) -> None:
        by, capacity = self._write_hints(features, hints, global_hints)
        make = functools.partial(self.stages.touch_work, by, capacity)
        self._replay(("touch", by, capacity), "answering a touch", make)

    def _write_hints(
        self, features: DeviceFeatures, hints: Sequence[Hint], global_hints: GlobalHints
    ) -> tuple[str, int]:
        """Load a photograph's features and write the hints where the GPU reads them. Returns what answers the touch
        (PLAN or KERNELS), and how many hints the plan takes."""
        self._load_features(features)
        capacity = 0 if self.served_by == KERNELS else self.stages.hint_capacity("touch", len(hints))
        self.stages.buffer.write(hints, global_hints, capacity)
        return self.served_by, capacity

    def _picture(
        self, key: tuple, doing: str, work: Callable[..., Callable[[], None]], L: NDArray[np.float32], method: str
    ) -> NDArray[np.uint8]:
        """The picture that work(frame, method, block) composes with L, in memory that belongs to the caller."""
        pictures, frame = self.stages.pictures, (L.shape[0], L.shape[1])
        block = pictures.free_block()
        self._replay((*key, frame, method, block), doing, functools.partial(work, frame, method, block))
        return pictures.hand_out(block, frame)

    def _replay(self, key: tuple, doing: str, make: Callable[[], Callable[[], None]]) -> None:
        """Launch the graph of `key` and wait. The first time, `make` gives the work. It runs once without a graph, as
        TensorRT requires before a capture, and is then recorded."""
        stream, graph = self.stages.stream, self._graphs.get(key)
        if graph is not None:
            graph.launch(doing)
            stream.wait(doing)
            return
        work = make()
        work()
        stream.wait(doing)
        self._graphs[key] = stream.graph(work, doing)

    # Photographs and their slots

    def _encode_into_slot(self, features: DeviceFeatures) -> None:
        """Encode a photograph and copy its features into a slot. It owns the slot once the copy has ended. After an
        error the slot has no owner, and the photograph is encoded again when it is used."""
        self._current = None
        slot = self._free_slot()
        arena, stream = self.stages.arena, self.stages.stream
        self.stages.encode(features.restored, features.vivid)
        stream.copy(self._slots[slot], arena.features_address, arena.features_bytes)
        stream.wait("encoding a photograph")
        self._owners[slot] = weakref.ref(features)
        features.slot = slot
        self._current = weakref.ref(features)

    def _load_features(self, features: DeviceFeatures) -> None:
        """Load a photograph's features to where plans and kernels read them."""
        if self._current is not None and self._current() is features:
            return
        if features.slot is None:
            self._encode_into_slot(features)
            return
        self._current = None
        arena, stream = self.stages.arena, self.stages.stream
        stream.copy(arena.features_address, self._slots[features.slot], arena.features_bytes)
        stream.wait("switching photographs")
        self._owners[features.slot] = self._owners.pop(features.slot)
        self._current = weakref.ref(features)

    def _free_slot(self) -> int:
        """A slot without an owner, or else that of the least recently used photograph, which is evicted."""
        for slot in range(KEPT_PHOTOGRAPHS):
            owner = self._owners.get(slot)
            if owner is None or owner() is None:
                self._owners.pop(slot, None)
                return slot
        slot = next(iter(self._owners))
        evicted = self._owners.pop(slot)()
        if evicted is not None:
            evicted.slot = None
        return slot

    def _upload_lightness(self, L: NDArray[np.float32]) -> None:
        """Upload L of display size, unless it is there. Graphs for another size are freed."""
        if self._uploaded is not None and self._uploaded() is L:
            return
        if L.shape != self._frame_size:
            for key in [key for key in self._graphs if key[0] == "picture"]:
                self._graphs.pop(key).free()
            self._frame_size = L.shape
        self._uploaded = None
        self.stages.upload_lightness(L)
        self._uploaded = weakref.ref(L)
