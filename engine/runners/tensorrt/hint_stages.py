"""Stages on the GPU of bundles that take hints as tensors (`touch`): the encoder, and touches by plan or kernels."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from ...bundle import Bundle
from ...errors import ModelFileError
from ...kernels.touch import MATCH_WORK_BYTES, MAX_HINTS, WORK_BYTES, kernels_serve, touch_weights
from ...match_geometry import WINDOW_PX
from ..base import AUTOMATIC_MAPS
from .device import Device, Stream
from .plan_folder import StalePlan
from .stages import KERNELS, PLAN, Stages, Step

# Points per run, for bundles without a plan of the distribution.
DEFAULT_POINTS = 16
MAP_NAMES = ("query", "key", "gate", "base", "mood", "up")


class HintStages(Stages):
    """The stages of `touch`. A photograph's features are the encoder's outputs."""

    def __init__(self, device: Device, bundle: Bundle, display: tuple[int, int], touch_by: str) -> None:
        """touch_by: PLAN, KERNELS or "auto", which takes the kernels where they can serve the bundle.

        Raises ModelFileError for KERNELS where they cannot.
        """
        self._packed = _packed_weights(bundle, touch_by)
        super().__init__(device, bundle, display, touch_by)
        if self._max_hints > MAX_HINTS:
            raise ModelFileError(
                f"model {bundle.name} has plans for {self._max_hints} hints; the GPU's kernels take at most "
                f"{MAX_HINTS}, so use --device cpu"
            )
        self._match_work = device.memory(MATCH_WORK_BYTES)
        rows, columns = self._cells
        self._coarse = device.memory(2 * rows * columns * 4)
        self._weights = self._work = 0
        if self._packed is not None:
            self._weights, self._work = device.memory(self._packed.nbytes), device.memory(WORK_BYTES)
            device.upload(self._weights, self._packed)

    @property
    def has_kernels(self) -> bool:
        return self._packed is not None

    def hint_capacity(self, stage: str, count: int) -> int:
        return min(capacity for name, capacity in self._plans if name == stage and capacity >= count)

    def _needs_plan(self, stage: str) -> bool:
        return stage != "touch" or not self.has_kernels

    def _missing_plan(self, stage: str) -> str:
        if stage == "touch" and kernels_serve(self._bundle):
            return (
                "there is no plan of the touch stage, because kernels serve it; "
                f"`livetint build {self._bundle.name} --all-plans` builds one"
            )
        return super()._missing_plan(stage)

    def encode(self, L: NDArray[np.float32], vivid: float = 1.0) -> None:
        self._normalise_lightness(L, "encoder", "light")
        self._plans["encoder", 0].enqueue(self._device, self.stream)
        if vivid != 1:
            for name in AUTOMATIC_MAPS:
                self._multiply(name, vivid)

    def _multiply(self, name: str, factor: float) -> None:
        """Enqueue: a float32 output of the encoder, multiplied in place by the kernel that normalises L, as
        (x − 0) / (1 / factor)."""
        if self._kind("encoder", name) != "f32":
            raise StalePlan(f"the plan of the encoder has {name!r} as fp16; build again")
        address, shape = self.arena.addresses[name], self._plans["encoder", 0].outputs[name].shape
        self._kernels.launch(self.stream, "L_plane_f32", math.prod(shape), 1, address, address, math.prod(shape), 0.0,
                             1 / factor)  # fmt: skip

    def maps(self) -> dict[str, NDArray[np.float32]]:
        """The features that are loaded now, by name, copied to the host as float32."""
        maps = {}
        for name, tensor in self._plans["encoder", 0].outputs.items():
            values = np.empty(tensor.shape, tensor.dtype)
            self._device.download(self.arena.addresses[name], values)
            maps[name] = values.astype(np.float32)
        return maps

    @property
    def _max_hints(self) -> int:
        return max(MAX_HINTS, *(capacity for _, capacity in self._plans))

    @property
    def _cells(self) -> tuple[int, int]:
        rows, columns = self._plans["encoder", 0].outputs["base"].shape[2:]
        return rows, columns

    def _capacities_of_points(self) -> tuple[int, ...]:
        plans = [plan for (stage, _), plan in self._plans.items() if stage == "distribution"]
        return (plans[0].inputs["points"].shape[1],) if plans else (DEFAULT_POINTS,)

    def _feature_names(self) -> list[str]:
        return list(self._plans["encoder", 0].outputs)

    def _colour_steps(self, by: str, capacity: int) -> dict[str, Step]:
        stream = self.stream
        if by == KERNELS:
            steps = self._touch_steps(stream)
        else:
            steps = {"network": functools.partial(self._plans["touch", capacity].enqueue, self._device, stream)}
        if min(self.ab.shape[1:]) >= WINDOW_PX:
            steps |= self._match_steps(stream)
        return steps

    def _distribution_work(self, capacity: int, points: int) -> None:
        stream = self.stream
        self.buffer.block.to_device(stream)
        self._plans["distribution", capacity].enqueue(self._device, stream)
        bins = self.probabilities.shape[1]
        self._kernels.launch(
            stream, "probabilities_points", points, 1, self.arena.addresses["probabilities"], float(self._temperature),
            bins, 1, self._probabilities.address, 0, 0,
        )  # fmt: skip
        self._probabilities.to_host(stream, points * bins * 4)

    def _touch_steps(self, stream: Stream) -> dict[str, Step]:
        """The touch stage as kernels (kernels/README.md), by name, in order."""
        buffer, arena = self.buffer.addresses, self.arena.addresses
        work, weights = self._work, self._weights
        records, count, wanted = buffer["records"], buffer["count"], buffer["global_hints"]
        query, key, gate, base, mood, up = (arena[name] for name in MAP_NAMES)
        rows, columns = self._cells
        kernel = functools.partial(self._kernel_step, stream)
        steps = (
            kernel("touch_tokens", 128, 1, records, count, query, key, gate, base, mood, wanted, weights, work,
                 rows, columns),
            kernel("touch_shares", 129, 1, records, count, wanted, weights, work),
            kernel("touch_values", 1, 1, records, count, work),
            kernel("touch_attention", rows * columns, 1, count, query, gate, base, mood, weights, work, self._coarse,
                 rows, columns),
            kernel("touch_corrections", 1, 1, records, count, up, self._coarse, work, rows, columns),
            kernel("touch_upsample", columns, rows, records, count, up, self._coarse, work, self._ab.address,
                 rows, columns),
        )  # fmt: skip
        return dict(steps)

    def _match_steps(self, stream: Stream) -> dict[str, Step]:
        """ab on the GPU with the colours of the hints under them, as `match_hints` changes it: kernels by name, in
        order."""
        buffer, ab, work = self.buffer.addresses, self._ab.address, self._match_work
        records, count = buffer["records"], buffer["count"]
        height, width = self.ab.shape[1:]
        kernel = functools.partial(self._kernel_step, stream)
        steps = (
            kernel("match_measure", MAX_HINTS, 1, records, count, ab, work, height, width),
            kernel("match_couple", MAX_HINTS, 1, count, work),
            kernel("match_solve", 1, 1, records, count, work),
            kernel("match_add", width, height, count, work, ab, height, width),
        )
        return dict(steps)

    def _kernel_step(self, stream: Stream, name: str, columns: int, rows: int, *arguments: float) -> tuple[str, Step]:
        return name, functools.partial(self._kernels.launch, stream, name, columns, rows, *arguments)


def _packed_weights(bundle: Bundle, touch_by: str) -> NDArray[np.float32] | None:
    """The kernels' weights, or None where a plan answers touches. Raises ModelFileError as HintStages does."""
    if touch_by == PLAN:
        return None
    try:
        return touch_weights(bundle)
    except ModelFileError:
        if touch_by == KERNELS:
            raise
        return None
