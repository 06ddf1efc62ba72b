"""A bundle's stages on the GPU: plans and kernels over shared memory, as pieces of work for a stream."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ...bundle import Bundle
from ...errors import ModelFileError, NoDevice
from ...image.compose import resize_lightness
from ...kernels import load_fatbin
from ...kernels.touch import WORK_BYTES, pack_weights
from .arena import HintBuffer, TensorArena, all_addresses
from .device import Device, PinnedBuffer, Stream
from .plan_folder import PlanManifest, StalePlan, find_plans, verified_plan
from .plans import LoadedPlan, TensorRT, keep_jit_cache, read_jit_cache
from .versions import installed_targets

BY_KERNELS = "kernels"
# Bundles of planes name no limit; this is the GPU's.
MAX_HINTS_ON_PLANES = 1024
# Points of one question, where the plan does not say: one touch asks for one, `suggest --where` for 256.
POINT_CAPACITIES = (16, 256)
_ASKED = ("positions", "colours", "sizes", "valid", "global_hints", "global", "points")
_MAPS = ("query", "key", "gate", "base", "mood", "up")


@dataclass(frozen=True, eq=False)
class Lane:
    """One way through the network, independent of others: its stream, and what is asked of it."""

    stream: Stream
    buffer: HintBuffer


class Stages:
    """Everything of a bundle on the GPU. All memory is taken here, once.

    touch, distribution: the lanes of touches and of questions for distributions. ab float32 [2, H, W] and
    probabilities float32 [points, bins] are host views, valid after a wait, until the next run.
    """

    def __init__(self, device: Device, bundle: Bundle, display: tuple[int, int], touch_by: str) -> None:
        self._device, self._bundle = device, bundle
        self._staged = bundle.manifest.input.kind == "hints"
        self._folder, manifest, trt = find_tensorrt(bundle, device.compute_capability)
        self.tensorrt = f"{trt.target} {trt.version}"
        self._kernels = device.kernels(load_fatbin())
        self._plans = self._load(trt, manifest)
        self.touch, self.distribution = self._lane(), self._lane()
        self._take_memory()
        self._take_display(*display)
        self._weights = self._touch_weights(touch_by)
        if self.has_kernels:
            self._work = device.memory(WORK_BYTES)

    # What there is room for

    @property
    def has_kernels(self) -> bool:
        """Whether the fused kernels know this bundle's touch stage."""
        return self._weights is not None

    def hint_capacity(self, stage: str, count: int) -> int:
        """Hints of the smallest plan of a stage that takes `count`; 0 where hints go in as planes."""
        capacities = [capacity for name, capacity in self._plans if name == stage and capacity >= count]
        return min(capacities) if self._staged and capacities else 0

    @property
    def max_points(self) -> int:
        return self._point_capacities[-1]

    def point_capacity(self, count: int) -> int:
        """The smallest number of points, at least `count`, that one run answers."""
        return next(capacity for capacity in self._point_capacities if capacity >= count)

    # Pieces of work

    def encode(self, L: NDArray[np.float32]) -> None:
        """Start to make the arena's features of working L float32 [H, W]."""
        settings, stream = self._bundle.manifest.input, self.touch.stream
        put(self._L, L, stream)
        kind = self._kind("encoder", "light") if self._staged else self._kind("colour", "planes")
        plane = self.arena.addresses["light" if self._staged else "planes"]
        self._kernels.launch(
            stream, f"L_plane_{kind}", L.size, 1, self._L.address, plane, L.size,
            *map(float, settings.light),
        )  # fmt: skip
        if self._staged:
            self._plans["encoder", 0].enqueue(self._device, stream)

    def show(self, L: NDArray[np.float32]) -> None:
        """Start to bring L of display size to the GPU, and with it the L of its cells."""
        put(self._display_L, L, self.touch.stream)
        height, width = self.ab.shape[1:]
        put(self._cell_L, resize_lightness(L, (width, height)), self.touch.stream)

    def touch_work(self, by: str, capacity: int) -> Callable[[], None]:
        """Hints → ab."""
        return functools.partial(all_of, self.touch_pieces(by, capacity))

    def touch_pieces(self, by: str, capacity: int) -> dict[str, Callable[[], None]]:
        """The same piece by piece, in order, for timing. by: "plan" or "kernels"; capacity: of the plan."""
        stream = self.touch.stream
        pieces: dict[str, Callable[[], None]] = {"upload": functools.partial(self.touch.buffer.block.to_device, stream)}
        if by == BY_KERNELS:
            pieces["touch kernels"] = functools.partial(self._fused_touch, stream)
        else:
            if self._bundle.manifest.input.local and not self._staged:
                pieces["raster"] = functools.partial(self._rasterise, self.touch)
            plan = self._plans["touch" if self._staged else "colour", capacity]
            pieces["network"] = functools.partial(plan.enqueue, self._device, stream)
            if self._bundle.manifest.output.ab_scale != 1:
                pieces["scale"] = functools.partial(self._rescale, stream)
        pieces["download"] = functools.partial(self._ab.to_host, stream)
        return pieces

    def picture_work(self, frame: tuple[int, ...], method: str) -> Callable[[], None]:
        """What `ab` holds on the host → the picture of `frame` = (height, width), by a method of `compose`."""
        return functools.partial(all_of, self.picture_pieces(frame, method))

    def picture_pieces(self, frame: tuple[int, ...], method: str) -> dict[str, Callable[[], None]]:
        """The same piece by piece."""
        stream = self.touch.stream
        return {
            "upload ab": functools.partial(self._ab.to_device, stream),
            "compose": functools.partial(self._compose, stream, method, *frame),
            "download picture": functools.partial(self._pixels.to_host, stream, frame[0] * frame[1] * 3),
        }

    def distribution_work(self, capacity: int, points: int) -> Callable[[], None]:
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

    def _distribution_work(self, capacity: int, points: int) -> None:
        stream, buffer, arena = self.distribution.stream, self.distribution.buffer, self.arena.addresses
        buffer.block.to_device(stream)
        scale, bins = float(self._temperature), self.probabilities.shape[1]
        if self._staged:
            self._plans["distribution", capacity].enqueue(self._device, stream)
            self._kernels.launch(
                stream, "probabilities_points", points, 1, arena["probabilities"], scale, bins, 1,
                self._probabilities.address, 0, 0,
            )  # fmt: skip
        else:
            if self._bundle.manifest.input.local:
                self._rasterise(self.distribution)
            plan = self._plans["distribution", capacity]
            plan.enqueue(self._device, stream)
            _, _, rows, columns = plan.outputs["logits"].shape
            self._kernels.launch(
                stream, f"distribution_points_{self._kind('distribution', 'logits')}", points, 1, arena["logits"],
                buffer.addresses["points"], scale, bins, rows, columns, 1, self._probabilities.address, 0, 0,
            )  # fmt: skip
        self._probabilities.to_host(stream, points * bins * 4)

    def _fused_touch(self, stream: Stream) -> None:
        """The touch stage as six kernels (kernels/README.md)."""
        buffer, arena, work, weights = self.touch.buffer.addresses, self.arena.addresses, self._work, self._weights or 0
        records, count, wanted = buffer["records"], buffer["count"], buffer["global_hints"]
        query, key, gate, base, mood, up = (arena[name] for name in _MAPS)
        rows, columns = self._plans["encoder", 0].outputs["base"].shape[2:]
        launch = functools.partial(self._kernels.launch, stream)
        launch("touch_tokens", 128, 1, records, count, query, key, gate, base, mood, wanted, weights, work,
               rows, columns)  # fmt: skip
        launch("touch_share", 129, 1, records, count, wanted, weights, work)
        launch("touch_values", 1, 1, records, count, work)
        launch("touch_flow", rows * columns, 1, count, query, gate, base, mood, weights, work, self._coarse,
               rows, columns)  # fmt: skip
        launch("touch_heights", 1, 1, records, count, up, self._coarse, work, rows, columns)
        launch("touch_fine", columns, rows, records, count, up, self._coarse, work, self._ab.address, rows, columns)

    def _rasterise(self, lane: Lane) -> None:
        """Hints → the planes of ab and mask, behind the plane of L."""
        settings = self._bundle.manifest.input
        height, width = settings.working_size
        kind, buffer = self._kind("colour", "planes"), lane.buffer.addresses
        planes = self.arena.addresses["planes"] + height * width * (2 if kind == "f16" else 4)
        self._kernels.launch(
            lane.stream, f"hint_planes_{kind}", width, height, buffer["records"], buffer["count"], planes,
            height, width, float(settings.ab_scale), *map(float, settings.mask),
        )  # fmt: skip

    def _rescale(self, stream: Stream) -> None:
        """The network's ab → CIELAB units; the kernel that scales L does it: (x − 0) / (1 / scale)."""
        scale = self._bundle.manifest.output.ab_scale
        self._kernels.launch(
            stream, "L_plane_f32", self.ab.size, 1, self.arena.addresses["ab"], self._ab.address,
            self.ab.size, 0.0, 1 / scale,
        )  # fmt: skip

    # Taking everything

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
        capacities = [capacity for _, capacity in self._plans]
        most = max(capacities) if self._staged else self._bundle.manifest.input.max_hints or MAX_HINTS_ON_PLANES
        self._point_capacities = POINT_CAPACITIES
        if self._staged:
            distribution = [plan for (stage, _), plan in self._plans.items() if stage == "distribution"]
            self._point_capacities = (
                tuple({plan.inputs["points"].shape[1] for plan in distribution})[:1] or POINT_CAPACITIES[:1]
            )
        return Lane(self._device.stream(), HintBuffer(self._device, most, self._point_capacities[-1]))

    def _take_memory(self) -> None:
        device, manifest = self._device, self._bundle.manifest
        height, width = manifest.input.working_size
        self._ab = device.pinned(2 * height * width * 4)
        self.ab = self._ab.host.view(np.float32).reshape(2, height, width)
        features = list(self._plans["encoder", 0].outputs) if self._staged else ["planes"]
        scaled = manifest.output.ab_scale != 1
        self.arena = TensorArena(device, self._plans.values(), features, (*_ASKED, *(() if scaled else ("ab",))))
        self._L = device.pinned(height * width * 4)
        self._coarse = device.memory(2 * height * width // 16 * 4)
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

    def _touch_weights(self, touch_by: str) -> int | None:
        """The fused kernels' weights on the GPU; None where the plan is to serve, or the only one that can."""
        if not self._staged or touch_by == "plan":
            return None
        model = onnx.load_model_from_string(self._bundle.stage("touch"))
        try:
            weights = pack_weights(
                self._bundle.manifest.touch_form, {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
            )
        except ModelFileError:
            if touch_by == BY_KERNELS:
                raise
            return None
        address = self._device.memory(weights.nbytes)
        self._device.upload(address, weights)
        return address

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
