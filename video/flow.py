"""Optical flow between two frames, in both directions, and where the two directions agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

# Forward and backward flow agree where a round trip ends within this distance, plus this share of the two lengths.
MAX_ROUND_TRIP_PX, MAX_ROUND_TRIP_SHARE = 1.0, 0.05

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Flow:
    """Where every pixel went.

    forward: float32 [H, W, 2], from the earlier frame to the later one, in pixels as (x, y). backward: from the later
    frame to the earlier one.
    """

    forward: Plane
    backward: Plane

    @cached_property
    def sources(self) -> Plane:
        """Where every pixel of the later frame was in the earlier one: float32 [H, W, 2], in pixels as (x, y)."""
        return _grid(*self.backward.shape[:2]) + self.backward

    @cached_property
    def agrees(self) -> NDArray[np.bool_]:
        """Pixels [H, W] of the later frame that were in the earlier one, by both directions."""
        height, width = self.backward.shape[:2]
        x, y = self.sources[..., 0], self.sources[..., 1]
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        return inside & _round_trip_is_short(self.backward, sample(self.forward, self.sources))

    def warp(self, planes: Plane) -> Plane:
        """Planes [C, H, W] of the earlier frame, moved to their places in the later one."""
        return np.stack([sample(plane, self.sources) for plane in planes])

    def follow(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Points [N, 2] of the earlier frame, as (x, y) in pixels → their places in the later one, and which agree.

        A point that leaves the frame does not agree.
        """
        if not len(points):
            return points, np.zeros(0, np.bool_)
        height, width = self.forward.shape[:2]
        step = _at(self.forward, points)
        moved = points + step
        inside = ((moved >= -0.5) & (moved <= (width - 0.5, height - 0.5))).all(1)
        return moved, inside & _round_trip_is_short(step, _at(self.backward, moved))


class FlowFinder:
    """Finds the flow between frames by DIS (dense inverse search, Kroeger et al. 2016)."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def between(self, earlier: NDArray[np.uint8], later: NDArray[np.uint8]) -> Flow:
        """The flow between two grey frames uint8 [H, W]."""
        return Flow(self._one_way(earlier, later), self._one_way(later, earlier))

    def _one_way(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Plane:
        empty = np.zeros((*source.shape, 2), np.float32)
        return np.asarray(self._dis.calc(source, target, empty), np.float32)


def grey_of(L: Plane) -> NDArray[np.uint8]:
    """L float32 [H, W] in 0…100 as grey for flow, uint8."""
    return np.asarray(cv2.convertScaleAbs(L, alpha=2.55), np.uint8)


def sample(plane: Plane, places: Plane) -> Plane:
    """A plane [H, W] or [H, W, C] at places [H, W, 2], (x, y) in pixels: bilinear; edges are repeated."""
    x, y = cv2.split(places)
    return np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _at(plane: Plane, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A plane [H, W, 2] at points [N, 2]: float64 [N, 2]."""
    return sample(plane, points.astype(np.float32)[None])[0].astype(np.float64)


def _round_trip_is_short(there: NDArray, back: NDArray) -> NDArray[np.bool_]:
    """Whether the flow `there` [..., 2] and the flow `back` from its end bring a point home."""
    length = np.hypot(there[..., 0], there[..., 1]) + np.hypot(back[..., 0], back[..., 1])
    miss = np.hypot(there[..., 0] + back[..., 0], there[..., 1] + back[..., 1])
    return miss <= MAX_ROUND_TRIP_PX + MAX_ROUND_TRIP_SHARE * length


def _grid(height: int, width: int) -> Plane:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], -1)
