"""Hints: colours that a person places on a photograph, and their rasterisation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import HintRejected

WORKING_PX = 256
MIN_SIZE_PX, MAX_SIZE_PX, DEFAULT_SIZE_PX = 1, 9, 5
AB_LIMIT = 128.0
# A line with more points is refused: no hand draws it, and a file could hold any number.
MAX_LINE_POINTS = 10_000

# x to the right and y down, in 0…1 of the photograph.
Point: TypeAlias = tuple[float, float]
Line: TypeAlias = tuple[Point, ...]


def as_lines(lines: Iterable[Iterable[Iterable[float]]]) -> tuple[Line, ...]:
    """Lines of points as tuples of floats. Raises TypeError or ValueError for anything else."""
    return tuple(tuple((float(x), float(y)) for x, y in line) for line in lines)


def pixel_at(x: float, y: float, height: int, width: int) -> tuple[int, int]:
    """Row and column of the pixel at (x, y in 0…1). Raises HintRejected for points outside, and for NaN."""
    check_point(x, y)
    return min(int(y * height), height - 1), min(int(x * width), width - 1)


def check_point(x: float, y: float) -> None:
    """Raise HintRejected for a point outside the photograph."""
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise HintRejected(f"the point ({x:.4g}, {y:.4g}) lies outside the photograph; both run from 0 to 1")


@dataclass(frozen=True, slots=True)
class Hint:
    """A colour at a point of a photograph, shown to the network as a square patch.

    x, y: centre in the photograph, x to the right, y down, each in 0…1.
    a, b: CIELAB units, −128…128; (0, 0) asks for grey.
    size: side of the patch in working pixels (of 256), an integer 1…9; whole floats (5.0) are converted.
    Raises HintRejected for all other values, NaN and infinity too.
    """

    x: float
    y: float
    a: float
    b: float
    size: int = DEFAULT_SIZE_PX

    def __post_init__(self) -> None:
        try:
            self._check()
        except TypeError as error:
            raise HintRejected(f"x, y, a, b and size of a hint are numbers; this is {self}") from error
        if type(self.size) is not int:
            object.__setattr__(self, "size", int(self.size))

    def _check(self) -> None:
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1):
            raise HintRejected(
                f"the hint at ({self.x:.4g}, {self.y:.4g}) lies outside the photograph; both numbers run from 0 to 1"
            )
        if not (abs(self.a) <= AB_LIMIT and abs(self.b) <= AB_LIMIT):
            raise HintRejected(f"ab = ({self.a:.4g}, {self.b:.4g}) is not a colour; both lie within ±{AB_LIMIT:.0f}")
        size = self.size
        if not MIN_SIZE_PX <= size <= MAX_SIZE_PX or size != int(size) or isinstance(size, bool):
            raise HintRejected(
                f"hint size {size} is not possible; it is a whole number from {MIN_SIZE_PX} to {MAX_SIZE_PX}"
            )


def patch_bounds(x: float, y: float, size: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right; half open) of a hint's patch, clipped to the plane.

    The first row is floor(y·H − size/2 + ½), the first column alike. A patch is never empty: a hint on the edge keeps
    the nearest row and column.
    """
    top, bottom = _span(y, size, height)
    left, right = _span(x, size, width)
    return top, bottom, left, right


def _span(centre: float, size: int, length: int) -> tuple[int, int]:
    """Start and stop of a patch along one axis of `length` cells, never empty; centre in 0…1."""
    first = math.floor(centre * length - size / 2 + 0.5)
    start, stop = max(first, 0), min(first + size, length)
    if stop <= start:
        start = min(max(start, 0), length - 1)
        stop = start + 1
    return start, stop


def rasterise(
    hints: Sequence[Hint], shape: tuple[int, int] = (WORKING_PX, WORKING_PX)
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hints → ab float32 [2, H, W] in CIELAB units (0 without a hint) and mask float32 [1, H, W] in {0, 1}.

    Later hints lie on top of earlier ones.
    """
    height, width = shape
    ab = np.zeros((2, height, width), np.float32)
    mask = np.zeros((1, height, width), np.float32)
    for hint in hints:
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, height, width)
        ab[0, top:bottom, left:right] = hint.a
        ab[1, top:bottom, left:right] = hint.b
        mask[0, top:bottom, left:right] = 1
    return ab, mask
