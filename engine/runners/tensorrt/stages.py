"""A bundle's stages on the GPU: plans, memory and kernels, as steps that a stream enqueues.

This is the base class. `hint_stages.py` is for bundles that take hints as tensors (`touch`), `plane_stages.py` for
those that take them as planes.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...bundle import Bundle
from ...errors import NoDevice
from ...image.compose import resize_lightness
from ...kernels import load_fatbin
from .arena import HintBuffer, TensorArena, all_addresses
from .device import Device, PinnedBuffer, Stream
from .pictures import SPARE, Pictures
from .plan_folder import PlanManifest, StalePlan, find_plans, verified_plan
from .plans import LoadedPlan, TensorRT, keep_jit_cache, read_jit_cache
from .versions import installed_targets

# What can answer touches.
PLAN, KERNELS = "plan", "kernels"
# Inputs of plans with memory in a HintBuffer.
HINT_INPUTS = ("positions", "colours", "sizes", "valid", "global_hints", "global", "points")
# Enqueues work in a stream.
Step = Callable[[], None]


class Stages(ABC):
    """A bundle on the GPU. All memory is allocated here, once.

    stream, buffer: all work is done in one stream, from one hint buffer; the runner serves one call at a time. ab
    float32 [2, H, W] and probabilities float32 [points, bins] are host views, valid after a wait and until the next
    run.
    """

    def __init__(self, device: Device, bundle: Bundle, display: tuple[int, int], touch_by: str) -> None:
        """display, touch_by: of TensorRTRunner. Raises StalePlan, NoDevice, DeviceFull, DeviceError."""
        self._device, self._bundle = device, bundle
        self._folder, manifest, trt = find_tensorrt(bundle, device.compute_capability)
        self.tensorrt = f"{trt.target} {trt.version}"
        self._kernels = device.kernels(load_fatbin())
        self._plans = self._load(trt, manifest)
        self._point_capacities = self._capacities_of_points()
        self.stream = device.stream()
        self.buffer = HintBuffer(device, self._max_hints, self.max_points)
        self._allocate()
        self._allocate_display(*display)

    # For each kind of bundle

    @property
    @abstractmethod
    def has_kernels(self) -> bool:
        """Whether the fused kernels implement this bundle's touch stage."""

    @abstractmethod
    def _needs_plan(self, stage: str) -> bool:
        """Whether a stage runs by a plan. Plans of other stages are not loaded."""

    @property
    @abstractmethod
    def _max_hints(self) -> int:
        """The number of hints that a buffer holds."""

    @abstractmethod
    def hint_capacity(self, stage: str, count: int) -> int:
        """The capacity of the smallest plan of a stage for `count` hints; 0 where hints are planes."""

    @abstractmethod
    def _capacities_of_points(self) -> tuple[int, ...]:
        """The numbers of points for which the distribution can run, ascending."""

    @abstractmethod
    def _feature_names(self) -> list[str]:
        """The names of the tensors that are a photograph's features."""

    @abstractmethod
    def encode(self, L: NDArray[np.float32], vivid: float = 1.0) -> None:
        """Enqueue: working L float32 [H, W] → the features in the arena. vivid: of `Runner.with_vivid`."""

    @abstractmethod
    def _colour_steps(self, by: str, capacity: int) -> dict[str, Step]:
        """The steps from hints on the GPU to ab on the GPU, by name, in order."""

    @abstractmethod
    def _distribution_work(self, capacity: int, points: int) -> None:
        """Enqueue: hints and points on the host → probabilities on the host."""

    # Capacities

    @property
    def max_points(self) -> int:
        return self._point_capacities[-1]

    def point_capacity(self, count: int) -> int:
        """The smallest number of points ≥ `count` for which the distribution can run."""
        return next(capacity for capacity in self._point_capacities if capacity >= count)

    # Work to enqueue

    def upload_lightness(self, L: NDArray[np.float32]) -> None:
        """Enqueue uploads of L at display size, and of the L of its cells."""
        _upload(self._display_L, L, self.stream)
        height, width = self.ab.shape[1:]
        _upload(self._cell_L, resize_lightness(L, (width, height)), self.stream)

    def touch_work(self, by: str, capacity: int) -> Step:
        """Hints on the host → ab on the host. by: PLAN or KERNELS. capacity: of the plan."""
        return functools.partial(run_steps, self.touch_steps(by, capacity))

    def touch_steps(self, by: str, capacity: int) -> dict[str, Step]:
        """The steps of `touch_work`, by name, in order."""
        stream = self.stream
        return {
            "upload": functools.partial(self.buffer.block.to_device, stream),
            **self._colour_steps(by, capacity),
            "download": functools.partial(self._ab.to_host, stream),
        }

    def picture_work(self, by: str, capacity: int, frame: tuple[int, int], method: str, block: int) -> Step:
        """Hints on the host → the picture in a block of `pictures`, of size `frame` = (height, width), by a method of
        `compose`; ab stays on the GPU."""
        return functools.partial(run_steps, self.picture_steps(by, capacity, frame, method, block))

    def picture_steps(
        self, by: str, capacity: int, frame: tuple[int, int], method: str, block: int = SPARE
    ) -> dict[str, Step]:
        """The steps of `picture_work`, by name, in order."""
        stream = self.stream
        return {
            "upload": functools.partial(self.buffer.block.to_device, stream),
            **self._colour_steps(by, capacity),
            "compose": functools.partial(self._compose, stream, method, *frame),
            "download picture": functools.partial(self.pictures.download, stream, block, frame),
        }

    def compose_work(self, frame: tuple[int, int], method: str, block: int) -> Step:
        """ab on the host → the picture in a block of `pictures`, of size `frame` = (height, width), by a method of
        `compose`."""
        stream = self.stream
        steps = {
            "upload ab": functools.partial(self._ab.to_device, stream),
            "compose": functools.partial(self._compose, stream, method, *frame),
            "download picture": functools.partial(self.pictures.download, stream, block, frame),
        }
        return functools.partial(run_steps, steps)

    def distribution_work(self, capacity: int, points: int) -> Step:
        """Hints and points on the host → probabilities on the host."""
        return functools.partial(self._distribution_work, capacity, points)

    def keep_jit_caches(self) -> None:
        """Write what TensorRT-RTX compiled for this GPU beside the plans."""
        for plan in self._plans.values():
            keep_jit_cache(self._folder, plan, self._jit[plan.title])

    def _compose(self, stream: Stream, method: str, height: int, width: int) -> None:
        guided = method == "guided"
        kernel, cells = ("compose_guided_rgb", (self._cell_L.address,)) if guided else ("compose_rgb", ())
        self._kernels.launch(
            stream, kernel, width, height, self._display_L.address, self._ab.address, *cells, *self.ab.shape[1:],
            self.pictures.address, 3 * width, height, width,
        )  # fmt: skip

    def _normalise_lightness(self, L: NDArray[np.float32], stage: str, name: str) -> None:
        """Enqueue: working L → the tensor `name`, normalised as in `inputs.normalise_lightness`."""
        stream = self.stream
        _upload(self._L, L, stream)
        self._kernels.launch(
            stream, f"L_plane_{self._kind(stage, name)}", L.size, 1, self._L.address, self.arena.addresses[name],
            L.size, *map(float, self._bundle.manifest.input.light),
        )  # fmt: skip

    # Plans and memory

    def _load(self, trt: TensorRT, manifest: PlanManifest) -> dict[tuple[str, int], LoadedPlan]:
        plans: dict[tuple[str, int], LoadedPlan] = {}
        self._jit: dict[str, bytes] = {}
        for entry in (entry for entry in manifest.plans if self._needs_plan(entry.stage)):
            data = verified_plan(self._folder, entry)
            for hints in entry.sizes:
                title = f"{entry.stage}-{hints}" if hints else entry.stage
                self._jit[title] = read_jit_cache(self._folder, title)
                plan = trt.plan(title, data, self._jit[title], hints)
                self._device.on_close(plan.close)
                plans[entry.stage, hints] = plan
        for stage in filter(self._needs_plan, self._bundle.manifest.stages):
            if not any(name == stage for name, _ in plans):
                raise StalePlan(self._missing_plan(stage))
        return plans

    def _missing_plan(self, stage: str) -> str:
        """What is wrong, and what to do, where a stage has no plan."""
        return f"there is no plan of stage {stage!r}; build again with `livetint build {self._bundle.name}`"

    def _allocate(self) -> None:
        device, manifest = self._device, self._bundle.manifest
        height, width = manifest.input.working_size
        self._ab = device.pinned(2 * height * width * 4)
        self.ab = self._ab.host.view(np.float32).reshape(2, height, width)
        external = HINT_INPUTS if manifest.output.ab_scale != 1 else (*HINT_INPUTS, "ab")
        self.arena = TensorArena(device, self._plans.values(), self._feature_names(), external)
        self._L = device.pinned(height * width * 4)
        table = manifest.distribution
        self._temperature = table.temperature_scale if table else 1.0
        bins = len(table.centres) if table else 1
        self._probabilities = device.pinned(self.max_points * bins * 4)
        self.probabilities = self._probabilities.host.view(np.float32).reshape(self.max_points, bins)
        self._bind()

    def _bind(self) -> None:
        size = max(plan.scratch_bytes for plan in self._plans.values())
        scratch = self._device.memory(size)
        addresses = all_addresses({"ab": self._ab.address}, self.buffer.addresses, self.arena.addresses)
        for plan in self._plans.values():
            plan.bind(addresses, scratch, size)

    def _allocate_display(self, width: int, height: int) -> None:
        self.display_pixels = width * height
        if self.display_pixels:
            self._display_L = self._device.pinned(self.display_pixels * 4)
            self._cell_L = self._device.pinned(self.ab[0].nbytes)
            self.pictures = Pictures(self._device, self.display_pixels * 3)

    def _kind(self, stage: str, name: str) -> str:
        """The suffix of kernels for a tensor's type: "f16" or "f32". Raises StalePlan for other types."""
        plan = next(plan for (plan_stage, _), plan in self._plans.items() if plan_stage == stage)
        dtype = {**plan.inputs, **plan.outputs}[name].dtype
        if dtype not in (np.float16, np.float32):
            raise StalePlan(f"the plan of {stage} has {name!r} as {dtype}; build again")
        return "f16" if dtype == np.float16 else "f32"


def _upload(block: PinnedBuffer, L: NDArray[np.float32], stream: Stream) -> None:
    """Write L into a block and enqueue its upload. An earlier upload of the block must have ended."""
    block.host[: L.size * 4].view(np.float32)[:] = L.ravel()
    block.to_device(stream, L.size * 4)


def run_steps(steps: Mapping[str, Callable[[], None]]) -> None:
    """Run the steps in order."""
    for step in steps.values():
        step()


def find_tensorrt(bundle: Bundle, capability: str) -> tuple[Path, PlanManifest, TensorRT]:
    """The folder with plans of this bundle for a GPU, its manifest, and the TensorRT that the plans are for.

    Raises NoDevice without TensorRT, and StalePlan (of the first target) where no target has plans.
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
