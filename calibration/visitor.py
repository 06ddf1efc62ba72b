"""The simulated visitor: random hints as in the paper, for training, calibration and the accuracy bench.

Zhang et al. 2017, §3.2: the number of points is geometric with p = 1/8, their positions are Gaussian around the
centre, patches have sides of 1 to 9 working pixels, and the revealed colour is the mean ab under the patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engine.colour.global_hints import GlobalHints
from ..engine.hints import MAX_SIZE_PX, MIN_SIZE_PX, WORKING_PX, Hint, rasterise

GEOMETRIC_P = 1 / 8
FULL_REVEAL_SHARE = 0.01
GLOBAL_REVEAL_SHARE = 0.5


@dataclass(frozen=True)
class Patches:
    """N square patches in working pixels (of 256): top and left float64 [N], may be fractional; size int64 [N]."""

    top: NDArray[np.float64]
    left: NDArray[np.float64]
    size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.size)

    def centres(self) -> NDArray[np.float32]:
        """Centres float32 [N, 2] as x, y in 0…1."""
        centres = np.stack([self.left + self.size / 2, self.top + self.size / 2], 1) / WORKING_PX
        return centres.astype(np.float32)


def geometric_count(rng: np.random.Generator, p: float = GEOMETRIC_P) -> int:
    """Number of points with P(k) = p (1 − p)^k, k = 0, 1, …; mean (1 − p) / p = 7 for p = 1/8."""
    return int(rng.geometric(p)) - 1


def mixed_count(rng: np.random.Generator, uniform_share: float, most: int, p: float = GEOMETRIC_P) -> int:
    """Number of points, at most `most`: uniform from 0 to `most` with probability `uniform_share`, else geometric
    with parameter `p`. The uniform counts teach a network what to do with many points."""
    if rng.random() < uniform_share:
        return int(rng.integers(0, most + 1))
    return min(geometric_count(rng, p), most)


def gaussian_patches(
    rng: np.random.Generator, count: int, sizes: tuple[int, int] = (MIN_SIZE_PX, MAX_SIZE_PX), whole: bool = True
) -> Patches:
    """`count` patches: sides uniform in `sizes` (inclusive), first row and column ~ N((n − p)/2, (n − p)/4)
    clipped to 0…n − p, n = 256; truncated to whole pixels if `whole`."""
    size = rng.integers(sizes[0], sizes[1] + 1, count)
    last = WORKING_PX - size
    top, left = (np.clip(rng.normal(last / 2, last / 4), 0, last) for _ in range(2))
    return Patches(np.trunc(top), np.trunc(left), size) if whole else Patches(top, left, size)


def uniform_patches(rng: np.random.Generator, count: int, size: int) -> Patches:
    """`count` patches of side `size`, uniformly distributed on whole pixels."""
    top, left = (rng.integers(0, WORKING_PX - size + 1, count).astype(np.float64) for _ in range(2))
    return Patches(top, left, np.full(count, size))


def patches_within(rng: np.random.Generator, region: NDArray[np.bool_], count: int) -> Patches:
    """`count` patches centred on random pixels of `region` bool [S, S]: a visitor who touches one object.

    A patch lies inside the region where the region is wide enough, else as deep inside as possible.
    """
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    scale = WORKING_PX / region.shape[0]
    size = rng.integers(MIN_SIZE_PX, MAX_SIZE_PX + 1, count)
    corner = np.empty((count, 2))
    for index, side in enumerate(size):
        rows, columns = np.nonzero(depth >= min(float(depth.max()), 1 + side / scale / 2))
        chosen = int(rng.integers(len(rows)))
        corner[index] = (rows[chosen] + 0.5) * scale - side / 2, (columns[chosen] + 0.5) * scale - side / 2
    corner = np.clip(corner, 0, (WORKING_PX - size)[:, None])
    return Patches(corner[:, 0], corner[:, 1], size)


def mean_colours(ab: NDArray[np.float32], patches: Patches) -> NDArray[np.float32]:
    """Mean ab float32 [N, 2] of ab [2, H, W] under the patches, exact also for fractional bounds.

    The plane may have any size; patches are scaled to it. Means come from an integral image.
    """
    _, height, width = ab.shape
    integral = np.zeros((2, height + 1, width + 1))
    integral[:, 1:, 1:] = ab.cumsum(1, dtype=np.float64).cumsum(2)
    rows, columns = height / WORKING_PX, width / WORKING_PX
    top, bottom = patches.top * rows, (patches.top + patches.size) * rows
    left, right = patches.left * columns, (patches.left + patches.size) * columns
    total = (
        _bilinear(integral, bottom, right)
        - _bilinear(integral, top, right)
        - _bilinear(integral, bottom, left)
        + _bilinear(integral, top, left)
    )
    return (total / ((bottom - top) * (right - left))).T.astype(np.float32)


def _bilinear(plane: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    y0 = np.clip(y.astype(int), 0, plane.shape[1] - 2)
    x0 = np.clip(x.astype(int), 0, plane.shape[2] - 2)
    v, u = y - y0, x - x0
    above = plane[:, y0, x0] * (1 - u) + plane[:, y0, x0 + 1] * u
    below = plane[:, y0 + 1, x0] * (1 - u) + plane[:, y0 + 1, x0 + 1] * u
    return above * (1 - v) + below * v


def reveal(ab: NDArray[np.float32], patches: Patches) -> list[Hint]:
    """The hints of a visitor who knows the true ab [2, H, W]: the mean colour under each patch."""
    colours = mean_colours(ab, patches)
    return [
        Hint(float(x), float(y), float(a), float(b), int(size))
        for (x, y), (a, b), size in zip(patches.centres(), colours, patches.size, strict=True)
    ]


def global_hints(
    rng: np.random.Generator, histogram: NDArray[np.float32], saturation: float, share: float = GLOBAL_REVEAL_SHARE
) -> GlobalHints:
    """Global hints that reveal the histogram and the saturation independently, each with probability `share`."""
    shown = rng.random(2) < share
    return GlobalHints(histogram if shown[0] else None, float(saturation) if shown[1] else None)


def planes(
    rng: np.random.Generator, ab: NDArray[np.float32], hints: Sequence[Hint], full_share: float = FULL_REVEAL_SHARE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hint planes ab [2, H, W] and mask [1, H, W] for networks that take hints as planes.

    With probability `full_share` every pixel of the true `ab` is revealed, so that the network learns to copy.
    """
    if rng.random() < full_share:
        return ab.copy(), np.ones((1, *ab.shape[1:]), np.float32)
    return rasterise(hints, (ab.shape[1], ab.shape[2]))
