"""Stages on the GPU of bundles that take hints as planes (the paper's): the whole network runs at every touch."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from .device import Stream
from .stages import Stages, Step

# These bundles have no limit of hints. This is the limit of the buffer on the GPU.
MAX_HINTS_ON_PLANES = 1024
# Points per run: a suggestion needs one, the next touch 256.
POINT_CAPACITIES = (16, 256)


class PlaneStages(Stages):
    """The stages of a network of planes. A photograph's features are its input planes, of which L is written once."""

    @property
    def has_kernels(self) -> bool:
        return False

    def hint_capacity(self, stage: str, count: int) -> int:
        return 0

    def encode(self, L: NDArray[np.float32], vivid: float = 1.0) -> None:
        self._normalise_lightness(L, "colour", "planes")

    def _needs_plan(self, stage: str) -> bool:
        return True

    @property
    def _max_hints(self) -> int:
        return self._bundle.manifest.input.max_hints or MAX_HINTS_ON_PLANES

    def _capacities_of_points(self) -> tuple[int, ...]:
        return POINT_CAPACITIES

    def _feature_names(self) -> list[str]:
        return ["planes"]

    def _colour_steps(self, by: str, capacity: int) -> dict[str, Step]:
        stream, steps = self.stream, {}
        if self._bundle.manifest.input.local:
            steps["raster"] = self._rasterise
        steps["network"] = functools.partial(self._plans["colour", 0].enqueue, self._device, stream)
        if self._bundle.manifest.output.ab_scale != 1:
            steps["scale"] = functools.partial(self._rescale, stream)
        return steps

    def _distribution_work(self, capacity: int, points: int) -> None:
        stream, buffer, plan = self.stream, self.buffer, self._plans["distribution", 0]
        buffer.block.to_device(stream)
        if self._bundle.manifest.input.local:
            self._rasterise()
        plan.enqueue(self._device, stream)
        bins = self.probabilities.shape[1]
        _, _, rows, columns = plan.outputs["logits"].shape
        self._kernels.launch(
            stream, f"distribution_points_{self._kind('distribution', 'logits')}", points, 1,
            self.arena.addresses["logits"], buffer.addresses["points"], float(self._temperature), bins, rows, columns,
            1, self._probabilities.address, 0, 0,
        )  # fmt: skip
        self._probabilities.to_host(stream, points * bins * 4)

    def _rasterise(self) -> None:
        """Enqueue: hints → the planes of ab and mask, after the plane of L (`inputs.planes_input`)."""
        settings = self._bundle.manifest.input
        height, width = settings.working_size
        kind, buffer = self._kind("colour", "planes"), self.buffer.addresses
        planes = self.arena.addresses["planes"] + height * width * (2 if kind == "f16" else 4)
        self._kernels.launch(
            self.stream, f"hint_planes_{kind}", width, height, buffer["records"], buffer["count"], planes,
            height, width, float(settings.ab_scale), *map(float, settings.mask),
        )  # fmt: skip

    def _rescale(self, stream: Stream) -> None:
        """Enqueue: the network's ab → CIELAB units, by the kernel that normalises L, as (x − 0) / (1 / scale)."""
        scale = self._bundle.manifest.output.ab_scale
        self._kernels.launch(
            stream, "L_plane_f32", self.ab.size, 1, self.arena.addresses["ab"], self._ab.address,
            self.ab.size, 0.0, 1 / scale,
        )  # fmt: skip
