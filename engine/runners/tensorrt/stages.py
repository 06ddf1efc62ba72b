"""What both kinds of bundle share on the GPU: plans, memory, lanes, the display; pieces of work for a stream.

`hint_stages.py` has bundles that take hints as tensors (`touch`), `plane_stages.py` those that take them as planes.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...bundle import Bundle
from ...errors import NoDevice
from ...image.compose import resize_lightness
from ...kernels import load_fatbin
from .arena import HintBuffer, TensorArena, all_addresses
from .device import Device, PinnedBuffer, Stream
from .plan_folder import PlanManifest, StalePlan, find_plans, verified_plan
from .plans import LoadedPlan, TensorRT, keep_jit_cache, read_jit_cache
from .versions import installed_targets

# Which of the two answers touches.
PLAN, KERNELS = "plan", "kernels"
# Inputs of plans that a HintBuffer holds.
HINT_INPUTS = ("positions", "colours", "sizes", "valid", "global_hints", "global", "points")
Piece = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Lane:
    """One independent way through the network: its stream, and the buffer of what is asked of it."""

    stream: Stream
    buffer: HintBuffer


class Stages(ABC):
    """Everything of a bundle on the GPU. All memory is taken here, once.

    touch, distribution: the lanes of touches and of questions for distributions. ab float32 [2, H, W] and
    probabilities float32 [points, bins] are host views, valid after a wait, until the next run.
    """

    def __init__(self, device: Device, bundle: Bundle, display: tuple[int, int], touch_by: str) -> None:
        """display, touch_by: of TensorRTRunner. Raises StalePlan, NoDevice, DeviceFull, DeviceError."""
        self._device, self._bundle = device, bundle
        self._folder, manifest, trt = find_tensorrt(bundle, device.compute_capability)
        self.tensorrt = f"{trt.target} {trt.version}"
        self._kernels = device.kernels(load_fatbin())
        self._plans = self._load(trt, manifest)
        self._point_capacities = self._capacities_of_points()
        self.touch, self.distribution = self._lane(), self._lane()
        self._take_memory()
        self._take_display(*display)

    # What a kind of bundle says

    @property
    @abstractmethod
    def has_kernels(self) -> bool:
        """Whether the fused kernels know this bundle's touch stage."""

    @property
    @abstractmethod
    def _max_hints(self) -> int:
        """Hints that a buffer holds."""

    @abstractmethod
    def hint_capacity(self, stage: str, count: int) -> int:
        """Hints of the smallest plan of a stage that takes `count`; 0 where hints go in as planes."""

    @abstractmethod
    def _capacities_of_points(self) -> tuple[int, ...]:
        """Numbers of points that one run of the distribution answers, rising."""

    @abstractmethod
    def _feature_names(self) -> list[str]:
        """The tensors that belong to a photograph."""

    @abstractmethod
    def encode(self, L: NDArray[np.float32]) -> None:
        """Start to make the arena's features of working L float32 [H, W]."""

    @abstractmethod
    def _colour_pieces(self, by: str, capacity: int) -> dict[str, Piece]:
        """Hints on the GPU → ab on the GPU, piece by piece."""

    @abstractmethod
    def _distribution_work(self, capacity: int, points: int) -> None:
        """Hints and points on the host → probabilities on the host."""

    # Capacities

    @property
    def max_points(self) -> int:
        return self._point_capacities[-1]

    def point_capacity(self, count: int) -> int:
        """The smallest number of points, at least `count`, that one run answers."""
        return next(capacity for capacity in self._point_capacities if capacity >= count)

    # Pieces of work

    def show(self, L: NDArray[np.float32]) -> None:
        """Start to bring L of display size to the GPU, and with it the L of its cells."""
        put(self._display_L, L, self.touch.stream)
        height, width = self.ab.shape[1:]
        put(self._cell_L, resize_lightness(L, (width, height)), self.touch.stream)

    def touch_work(self, by: str, capacity: int) -> Piece:
        """Hints → ab. by: PLAN or KERNELS; capacity: of the plan."""
        return functools.partial(all_of, self.touch_pieces(by, capacity))

    def touch_pieces(self, by: str, capacity: int) -> dict[str, Piece]:
        """The same piece by piece, in order, for timing."""
        stream = self.touch.stream
        return {
            "upload": functools.partial(self.touch.buffer.block.to_device, stream),
            **self._colour_pieces(by, capacity),
            "download": functools.partial(self._ab.to_host, stream),
        }

    def picture_work(self, frame: tuple[int, ...], method: str) -> Piece:
        """What `ab` holds on the host → the picture of `frame` = (height, width), by a method of `compose`."""
        return functools.partial(all_of, self.picture_pieces(frame, method))

    def picture_pieces(self, frame: tuple[int, ...], method: str) -> dict[str, Piece]:
        """The same piece by piece."""
        stream = self.touch.stream
        return {
            "upload ab": functools.partial(self._ab.to_device, stream),
            "compose": functools.partial(self._compose, stream, method, *frame),
            "download picture": functools.partial(self._pixels.to_host, stream, frame[0] * frame[1] * 3),
        }

    def distribution_work(self, capacity: int, points: int) -> Piece:
        """Hints and points → probabilities."""
        return functools.partial(self._distribution_work, capacity, points)

    def pixels(self, frame: tuple[int, ...]) -> NDArray[np.uint8]:
        """The picture of the last run, uint8 [H, W, 3], a host view."""
        height, width = frame
        return self._pixels.host[: height * width * 3].reshape(height, width, 3)

    def keep_jit_caches(self) -> None:
        """Write what TensorRT-RTX compiled for this GPU next to the plans."""
        for plan in self._plans.values():
            keep_jit_cache(self._folder, plan, self._jit[plan.title])

    def _compose(self, stream: Stream, method: str, height: int, width: int) -> None:
        guided = method == "guided"
        kernel, cells = ("compose_guided_rgb", (self._cell_L.address,)) if guided else ("compose_rgb", ())
        self._kernels.launch(
            stream, kernel, width, height, self._display_L.address, self._ab.address, *cells, *self.ab.shape[1:],
            self._pixels.address, 3 * width, height, width,
        )  # fmt: skip

    def _normalise_lightness(self, L: NDArray[np.float32], stage: str, name: str) -> None:
        """Start to write working L into the tensor `name`, normalised as in `inputs.normalise_lightness`."""
        stream = self.touch.stream
        put(self._L, L, stream)
        self._kernels.launch(
            stream, f"L_plane_{self._kind(stage, name)}", L.size, 1, self._L.address, self.arena.addresses[name],
            L.size, *map(float, self._bundle.manifest.input.light),
        )  # fmt: skip

    # Plans and memory

    def _load(self, trt: TensorRT, manifest: PlanManifest) -> dict[tuple[str, int], LoadedPlan]:
        plans: dict[tuple[str, int], LoadedPlan] = {}
        self._jit: dict[str, bytes] = {}
        for entry in manifest.plans:
            title = f"{entry.stage}-{entry.hints}" if entry.hints else entry.stage
            self._jit[title] = read_jit_cache(self._folder, title)
            plan = trt.plan(title, verified_plan(self._folder, entry), self._jit[title])
            self._device.on_close(plan.close)
            plans[entry.stage, entry.hints] = plan
        for stage in self._bundle.manifest.stages:
            if not any(name == stage for name, _ in plans):
                raise StalePlan(f"there is no plan of stage {stage!r}; build again")
        return plans

    def _lane(self) -> Lane:
        return Lane(self._device.stream(), HintBuffer(self._device, self._max_hints, self.max_points))

    def _take_memory(self) -> None:
        device, manifest = self._device, self._bundle.manifest
        height, width = manifest.input.working_size
        self._ab = device.pinned(2 * height * width * 4)
        self.ab = self._ab.host.view(np.float32).reshape(2, height, width)
        elsewhere = HINT_INPUTS if manifest.output.ab_scale != 1 else (*HINT_INPUTS, "ab")
        self.arena = TensorArena(device, self._plans.values(), self._feature_names(), elsewhere)
        self._L = device.pinned(height * width * 4)
        table = manifest.distribution
        self._temperature = table.temperature_scale if table else 1.0
        bins = len(table.centres) if table else 1
        self._probabilities = device.pinned(self.max_points * bins * 4)
        self.probabilities = self._probabilities.host.view(np.float32).reshape(self.max_points, bins)
        self._bind()

    def _bind(self) -> None:
        size = max(plan.scratch_bytes for plan in self._plans.values())
        scratch = {lane: self._device.memory(size) for lane in (self.touch, self.distribution)}
        for (stage, _), plan in self._plans.items():
            lane = self.distribution if stage == "distribution" else self.touch
            addresses = all_addresses({"ab": self._ab.address}, lane.buffer.addresses, self.arena.addresses)
            plan.bind(addresses, scratch[lane], size)

    def _take_display(self, width: int, height: int) -> None:
        self.display_pixels = width * height
        if self.display_pixels:
            self._display_L = self._device.pinned(self.display_pixels * 4)
            self._cell_L = self._device.pinned(self.ab[0].nbytes)
            self._pixels = self._device.pinned(self.display_pixels * 3)

    def _kind(self, stage: str, name: str) -> str:
        """Which kernel suits a tensor's type: "f16" or "f32"."""
        plan = next(plan for (plan_stage, _), plan in self._plans.items() if plan_stage == stage)
        dtype = {**plan.inputs, **plan.outputs}[name].dtype
        if dtype not in (np.float16, np.float32):
            raise StalePlan(f"the plan of {stage} has {name!r} as {dtype}; build again")
        return "f16" if dtype == np.float16 else "f32"


def put(block: PinnedBuffer, L: NDArray[np.float32], stream: Stream) -> None:
    """Write L into a block and start to bring it to the GPU; the block must not be on its way already."""
    block.host[: L.size * 4].view(np.float32)[:] = L.ravel()
    block.to_device(stream, L.size * 4)


def all_of(pieces: Mapping[str, Callable[[], None]]) -> None:
    """Do one piece of work after the other."""
    for piece in pieces.values():
        piece()


def find_tensorrt(bundle: Bundle, capability: str) -> tuple[Path, PlanManifest, TensorRT]:
    """The folder with plans of this bundle for a GPU, and the TensorRT they are for.

    Raises NoDevice without any TensorRT, StalePlan (of the first target) where none has plans that fit.
    """
    reason: StalePlan | None = None
    for target in installed_targets():
        trt = TensorRT(target)
        try:
            return *find_plans(bundle, target, trt.version, capability), trt
        except StalePlan as error:
            reason = reason or error
    if reason is None:
        raise NoDevice("TensorRT is not installed; see docs/building.md, or use --device cpu")
    raise StalePlan(f"{reason}; run `livetint build {bundle.name}`") from reason
