"""Synthetic clips whose motion and colours are known: photographs panned, zoomed and turned, and a thing that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Plane = NDArray[np.float32]
# From pixels of a frame to pixels of a photograph, as (x, y, 1): float64 [3, 3].
Pose = NDArray[np.float64]
Size = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """A photograph that moves. poses: one for each frame. mask: float32 [H, W] in 0…1; None where it covers all."""

    rgb: Rgb
    poses: Sequence[Pose]
    mask: Plane | None = None


@dataclass(frozen=True)
class Shot:
    """Layers over one another, the lowest first. size: (width, height) of the frames."""

    size: Size
    layers: tuple[Layer, ...]

    def __len__(self) -> int:
        return len(self.layers[0].poses)

    def frame(self, number: int) -> Rgb:
        """A frame, sRGB uint8 [H, W, 3]."""
        result = np.zeros((self.size[1], self.size[0], 3), np.float32)
        for layer in self.layers:
            pixels = self._warped(layer.rgb, layer.poses[number], cv2.BORDER_REFLECT)
            result += self._cover(layer, number)[..., None] * (pixels - result)
        return np.rint(result).astype(np.uint8)

    def top(self, number: int) -> NDArray[np.intp]:
        """The index of the layer that is seen at each pixel of a frame, [H, W]."""
        found = np.zeros((self.size[1], self.size[0]), np.intp)
        for index, layer in enumerate(self.layers):
            found[self._cover(layer, number) > 0.5] = index
        return found

    def sources(self, number: int) -> tuple[Plane, NDArray[np.bool_]]:
        """Where each pixel of a frame was in the frame before, float32 [H, W, 2] as (x, y), and whether it was seen."""
        width, height = self.size
        x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        here, now = np.stack([x, y, np.ones_like(x)], -1), self.top(number)
        places = np.zeros((height, width, 2), np.float32)
        for index, layer in enumerate(self.layers):
            back = here @ (np.linalg.inv(layer.poses[number - 1]) @ layer.poses[number]).T
            places = np.where((now == index)[..., None], back[..., :2].astype(np.float32), places)
        inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(-1)
        before = self.top(number - 1).astype(np.float32)
        maps = cv2.split(places)
        was = cv2.remap(before, maps[0], maps[1], cv2.INTER_NEAREST)
        return places, inside & (was == now)

    def follow(self, x: float, y: float, number: int) -> tuple[float, float] | None:
        """Where what lies at (x, y) of the first frame, in pixels, is in another frame; None where it is not seen."""
        layer = int(self.top(0)[round(y), round(x)])
        poses = self.layers[layer].poses
        there = np.linalg.inv(poses[number]) @ poses[0] @ np.array([x, y, 1.0])
        moved_x, moved_y = float(there[0]), float(there[1])
        if not (0 <= moved_x <= self.size[0] - 1 and 0 <= moved_y <= self.size[1] - 1):
            return None
        return (moved_x, moved_y) if self.top(number)[round(moved_y), round(moved_x)] == layer else None

    def _warped(self, plane: NDArray, pose: Pose, border: int) -> Plane:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(plane, pose[:2], self.size, flags=flags, borderMode=border), np.float32)

    def _cover(self, layer: Layer, number: int) -> Plane:
        if layer.mask is None:
            return np.ones((self.size[1], self.size[0]), np.float32)
        return self._warped(layer.mask, layer.poses[number], cv2.BORDER_CONSTANT)


def panned(rgb: Rgb, size: Size, frames: int) -> Shot:
    """The camera moves over a photograph, aslant."""
    height, width = rgb.shape[:2]
    scale = 0.7 * _fitting(rgb, size)
    room = 0.48 * (width - scale * size[0]), 0.25 * (height - scale * size[1])
    centres = [(width / 2 + u * room[0], height / 2 + u * room[1]) for u in np.linspace(-1, 1, frames)]
    return Shot(size, (Layer(rgb, [_pose(centre, scale, 0, size) for centre in centres]),))


def zoomed(rgb: Rgb, size: Size, frames: int) -> Shot:
    """The camera comes closer."""
    scales = _fitting(rgb, size) * np.geomspace(0.95, 0.6, frames)
    return Shot(size, (Layer(rgb, [_pose(_middle(rgb), float(scale), 0, size) for scale in scales]),))


def turned(rgb: Rgb, size: Size, frames: int) -> Shot:
    """The camera turns by 23°."""
    scale, angles = 0.7 * _fitting(rgb, size), np.linspace(-0.2, 0.2, frames)
    return Shot(size, (Layer(rgb, [_pose(_middle(rgb), scale, float(angle), size) for angle in angles]),))


def with_object(rgb: Rgb, other: Rgb, size: Size, frames: int) -> Shot:
    """An oval cut out of another photograph moves, and turns, over a panned one."""
    height, width = other.shape[:2]
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.3), int(height * 0.4)), 0, 0, 360, 1, -1, cv2.LINE_AA)
    scale = 1.8 * max(width / size[0], height / size[1])
    steps = np.linspace(-1, 1, frames)
    poses = [_pose((width / 2 + 0.3 * u * size[0] * scale, height / 2), scale, 0.1 * u, size) for u in steps]
    return Shot(size, (*panned(rgb, size, frames).layers, Layer(other, poses, mask)))


# What a clip shows: from two photographs, the size and the number of frames to its shots.
CLIPS: dict[str, Callable[[Rgb, Rgb, Size, int], tuple[Shot, ...]]] = {
    "pan": lambda rgb, other, size, frames: (panned(rgb, size, frames),),
    "zoom": lambda rgb, other, size, frames: (zoomed(rgb, size, frames),),
    "turn": lambda rgb, other, size, frames: (turned(rgb, size, frames),),
    "object": lambda rgb, other, size, frames: (with_object(rgb, other, size, frames),),
    "two shots": lambda rgb, other, size, frames: (panned(rgb, size, frames // 2), turned(other, size, frames // 2)),
}


def _fitting(rgb: Rgb, size: Size) -> float:
    return min(rgb.shape[1] / size[0], rgb.shape[0] / size[1])


def _middle(rgb: Rgb) -> tuple[float, float]:
    return rgb.shape[1] / 2, rgb.shape[0] / 2


def _pose(centre: tuple[float, float], scale: float, turn: float, size: Size) -> Pose:
    """The pose that shows `centre` of the photograph in the middle of the frame."""
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    x, y = size[0] / 2, size[1] / 2
    return np.array([[cos, -sin, centre[0] - cos * x + sin * y], [sin, cos, centre[1] - sin * x - cos * y], [0, 0, 1]])
