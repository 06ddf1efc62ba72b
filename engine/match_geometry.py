"""What `match_hints` needs that follows from the places and sizes of hints alone: measurements, fields, responses.

A measurement is separable: weights along the rows times weights along the columns of a window. Its field is what the
smallest change adds for it: the weights blurred by the two Gaussians, so a sum of two separable parts. Along an axis a
measurement of anything is a combination of its running sums at EDGES positions, which also serves for fields of other
hints, whose windows lie elsewhere.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .hints import MAX_SIZE_PX, patch_bounds

# Side of the window that a change is limited to. The Gaussians are close to zero at its border.
WINDOW_PX = 23
# Standard deviations of the two Gaussians in working pixels, and the weight of the narrow one.
WIDE_PX, NARROW_PX, NARROW_WEIGHT = 3.0, 1.0, 0.3
# Keeps the systems of equations solvable where two measurements are the same; relative to the kernel at 0.
RIDGE = np.eye(3) * 1e-3
# A hint with a later one nearer than NEAR_PX gives way to it. From APART_PX on, both are matched.
NEAR_PX, APART_PX = 5.0, 9.0
# Before, between and behind the two pixels around the point; before and behind the pixel that contains it; first row
# or column of the patch and the one behind it.
EDGES = 7
# A field reaches the measurements of no hint whose window begins REACH_PX further along an axis: they lie within half
# a patch and a pixel of the middle of the window, or nearer to the border of the picture.
REACH_PX = (WINDOW_PX + MAX_SIZE_PX) // 2 + 1
MIN_CAPACITY = 16

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

_AXES = np.arange(2)[:, None]
# A measurement's first row in `_taps`: four pixels around the point, the pixel, those of the patch.
_FIRST_TAPS = np.array([0, 4, 5])
# Weights at the edges: _POINT + position between two pixels · _POINT_SLOPE for the point, _PATCH / side for the patch.
_POINT, _POINT_SLOPE, _PATCH = np.array([-1.0, 1.0, 0.0]), np.array([1.0, -2.0, 1.0]), np.array([-1.0, 1.0])


def _blurred() -> Doubles:
    """For each edge of a window the positions before it, blurred by both Gaussians (2 · WINDOW_PX numbers), and the
    running sums of these (2 · (WINDOW_PX + 1)). The product of two lines has the weight of its Gaussian."""
    steps = np.arange(WINDOW_PX)
    squares = (steps[:, None] - steps) ** 2
    before = (np.arange(WINDOW_PX + 1)[:, None] > steps).astype(np.float64)
    kernels = ((WIDE_PX, 1.0), (NARROW_PX, NARROW_WEIGHT))
    lines = [before @ np.exp(-squares / (2 * px**2)) * weight**0.5 for px, weight in kernels]
    return np.concatenate([*lines, *(line @ before.T for line in lines)], 1)


def _patch_weights() -> Floats:
    """The weights of the pixels of a patch of h rows and w columns, at [h, w]."""
    extents = np.arange(MAX_SIZE_PX + 1)
    down, across = (steps < extents[:, None] for steps in (_PATCH_ROWS, _PATCH_COLUMNS))
    areas = np.maximum(np.multiply.outer(extents, extents), 1)
    return ((down[:, None] & across) / areas[..., None]).astype(np.float32)


# Rows and columns of the pixels of a patch, so ordered that the first S² are those of a patch of size S.
_PATCH_ROWS, _PATCH_COLUMNS = np.array(sorted(product(range(MAX_SIZE_PX), repeat=2), key=max)).T
_PATCH_WEIGHTS = _patch_weights()
_BLURRED = _blurred()


class MatchGeometry:
    """The geometry of up to `capacity` hints, one row each; `place` computes only rows that changed.

    Measurements are in the order point, pixel, patch. Arrays [..., C] have a number for every row; rows without a hint
    have priority 0.

    priorities float32 [C] in 0…1: how much of its residuals a hint removes, beside later hints near it.
    """

    def __init__(self, shape: tuple[int, ...], count: int) -> None:
        """shape: of a plane of ab, both sides ≥ WINDOW_PX. count: the least capacity."""
        capacity = max(MIN_CAPACITY, 1 << (count - 1).bit_length())
        self.shape, self.capacity = shape, capacity
        self.priorities = np.zeros(capacity, np.float32)
        self._count, self._lengths = 0, np.array(shape, np.float32)
        self._places = np.full((capacity, 3), np.nan)
        self._centres = np.zeros((capacity, 2), np.float32)
        self._starts = np.zeros((capacity, 2), np.intp)
        self._edges = np.zeros((capacity, 2, EDGES), np.intp)
        self._weights = np.zeros((capacity, 2, 3, EDGES))
        self._weights[:, :, 1, 3:5] = -1, 1
        # The pixels that measurements read, and their weights. Only those of the largest patch in use are read.
        self._used_taps = 5
        self._taps = np.zeros((5 + MAX_SIZE_PX**2, capacity), np.intp)
        self._tap_weights = np.ones((5 + MAX_SIZE_PX**2, capacity), np.float32)
        self._patch = shape[1] * _PATCH_ROWS + _PATCH_COLUMNS
        self._window = _window(shape)
        # Where the windows lie in ab. The lines of the fields: [row, Gaussian, measurement] and [Gaussian, measurement,
        # 1, column]; their running sums.
        self._windows = np.zeros((capacity, self._window.size), np.intp)
        self._down = np.zeros((capacity, WINDOW_PX, 2, 3), np.float32)
        self._across = np.zeros((capacity, 2, 3, 1, WINDOW_PX), np.float32)
        self._sums = np.zeros((capacity, 2, WINDOW_PX + 1, 2, 3))
        self._solvers = np.zeros((capacity, 3, 3))
        # Pairs of a hint that is measured and one whose field may reach it, [2, P], in rising order, so that sums over
        # them do not depend on earlier edits. Values of a pair: the response of measurement m to a residual at
        # measurement j, at 3 j + m; and the priority of the first hint beside the second. Places of its measurements in
        # residuals [2, 3, C].
        self._pairs = np.zeros((2, 0), np.intp)
        self._pair_values = np.zeros((10, 0), np.float32)
        self._planes = np.arange(6)[:, None] * capacity
        self._pair_places = np.zeros(0, np.intp)

    def place(self, places: Doubles) -> None:
        """places [N ≤ capacity, 3]: y and x of each hint in 0…1, and its size."""
        count = len(places)
        changed = sorted(set((self._places[:count] != places).nonzero()[0].tolist()))
        if not changed and count == self._count:
            return
        self._count = count
        self._places[count:] = np.nan
        self._used_taps = 5 + int(np.maximum.reduce(places[:, 2])) ** 2
        for rows in _runs(changed):
            self._place(rows, places[rows])
            self._blur(rows)
        self._pair(np.array(changed, np.intp))
        self.priorities = np.ones(self.capacity, np.float32)
        np.minimum.at(self.priorities, self._pairs[0], self._pair_values[9])
        self.priorities[count:] = 0

    def measure(self, ab: Floats) -> Floats:
        """The three measurements of ab [2, H, W] under each hint, [2, 3, C]."""
        found = ab.reshape(2, -1).take(self._taps[: self._used_taps], 1, mode="clip")
        found *= self._tap_weights[: self._used_taps]
        return np.add.reduceat(found, _FIRST_TAPS, 1)

    def remove(self, residuals: Floats, removed: Floats) -> None:
        """Change `residuals` at the measurements as they change when `removed` is removed there, both [2, 3, C]."""
        responses = removed.take(self._pairs[1], 2)[:, :, None] * self._pair_values[:9].reshape(3, 3, -1)
        np.subtract.at(residuals.reshape(-1), self._pair_places, np.add.reduce(responses, 1).reshape(-1))

    def change(self, ab: Floats, rows: Indices, residuals: Floats) -> None:
        """Add what removes residuals [2, 3, K] of the hints `rows` to contiguous ab [2, H, W]."""
        heights = (self._solvers.take(rows, 0) @ residuals.transpose(2, 1, 0)).astype(np.float32)
        across = heights[:, None, :, :, None] * self._across.take(rows, 0)
        down = self._down.take(rows, 0).reshape(-1, WINDOW_PX, 6)
        changes = down @ across.reshape(len(rows), 6, -1)
        np.add.at(ab.reshape(-1), self._windows.take(rows, 0).reshape(-1), changes.reshape(-1))

    def _place(self, rows: slice, places: Doubles) -> None:
        """Compute what the measurements of hints read, and their weights."""
        height, width = self.shape
        self._places[rows] = places
        self._centres[rows] = centres = places[:, :2].astype(np.float32) * self._lengths
        integers, fractions = [], []
        for (y, x, size), (down, across) in zip(places.tolist(), centres.tolist(), strict=True):
            top, bottom, left, right = patch_bounds(x, y, int(size), height, width)
            s, first, *down_edges = _along(down, top, bottom, height)
            t, start, *across_edges = _along(across, left, right, width)
            point, pixel = down_edges[0] * width + across_edges[0], down_edges[3] * width + across_edges[3]
            taps = point, point + 1, point + width, point + width + 1, pixel
            extents = bottom - top, right - left
            corners = top * width + left, first * width + start
            integers.append((*taps, *corners, *extents, first, start, *down_edges, *across_edges))
            fractions.append(((1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t, s, t))
        found, weights = np.array(integers), np.array(fractions)
        self._starts[rows], self._edges[rows] = found[:, 9:11], found[:, 11:].reshape(-1, 2, EDGES)
        self._taps[:5, rows] = found[:, :5].T
        np.add(self._patch[:, None], found[:, 5], self._taps[5:, rows])
        np.add(self._window, found[:, 6, None], self._windows[rows])
        self._tap_weights[:4, rows] = weights[:, :4].T
        self._tap_weights[5:, rows] = _PATCH_WEIGHTS[found[:, 7], found[:, 8]].T
        np.add(_POINT, weights[:, 4:, None] * _POINT_SLOPE, self._weights[rows, :, 0, :3])
        np.divide(_PATCH, found[:, 7:9, None], self._weights[rows, :, 2, 5:])

    def _blur(self, rows: slice) -> None:
        """The lines of the fields of these hints, and their running sums."""
        in_window = np.minimum(self._edges[rows] - self._starts[rows, :, None], WINDOW_PX)
        blurred = self._weights[rows] @ _BLURRED.take(in_window, 0)
        lines = blurred[..., : 2 * WINDOW_PX].reshape(-1, 2, 3, 2, WINDOW_PX)
        sums = blurred[..., 2 * WINDOW_PX :].reshape(-1, 2, 3, 2, WINDOW_PX + 1)
        self._down[rows] = lines[:, 0].transpose(0, 3, 2, 1)
        self._across[rows] = lines[:, 1].swapaxes(1, 2)[:, :, :, None]
        self._sums[rows] = sums.transpose(0, 1, 4, 3, 2)

    def _pair(self, rows: Indices) -> None:
        """Replace the pairs of these hints and drop those of hints that are gone. Compute the solvers of these."""
        is_old = np.ones(self.capacity, np.bool_)
        is_old[rows] = is_old[self._count :] = False
        old = np.logical_and.reduce(is_old.take(self._pairs)).nonzero()[0]
        apart = self._starts.take(rows, 0)[:, None] - self._starts[: self._count]
        these, others = (np.maximum.reduce(np.abs(apart), 2) < REACH_PX).nonzero()
        these, back = rows[these], is_old[others]
        measured, fields = np.concatenate([others, these[back]]), np.concatenate([these, others[back]])
        couplings = self._coupling(measured, fields)
        self._solvers[rows] = _inverses(couplings[measured == fields] + RIDGE)
        values = np.empty((10, len(couplings)), np.float32)
        values[:9] = (couplings @ self._solvers.take(fields, 0)).T.reshape(9, -1)
        values[9] = self._priorities(measured, fields)
        pairs = np.concatenate([self._pairs.take(old, 1), (measured, fields)], 1)
        order = (pairs[0] * self.capacity + pairs[1]).argsort(kind="stable")
        self._pairs = pairs.take(order, 1)
        self._pair_values = np.concatenate([self._pair_values.take(old, 1), values], 1).take(order, 1)
        self._pair_places = (self._planes + self._pairs[0]).reshape(-1)

    def _priorities(self, measured: Indices, fields: Indices) -> Floats:
        """Pairs of hints → the priority of the first beside the second, 1 if the second is not a later one."""
        priorities = np.ones(len(measured), np.float32)
        for pair in (fields > measured).nonzero()[0].tolist():
            (y, x), (later_y, later_x) = self._centres[measured[pair]].tolist(), self._centres[fields[pair]].tolist()
            distance = math.hypot(later_y - y, later_x - x)
            priorities[pair] = min(max((distance - NEAR_PX) / (APART_PX - NEAR_PX), 0.0), 1.0)
        return priorities

    def _coupling(self, measured: Indices, fields: Indices) -> Doubles:
        """Pairs of hints → what the second's fields add to the first's measurements, [P, measurement, field]."""
        edges = self._edges.take(measured, 0) - self._starts.take(fields, 0)[..., None]
        edges = np.minimum(np.maximum(edges, 0), WINDOW_PX)
        sums = self._sums[fields[:, None, None], _AXES, edges].reshape(-1, 2, EDGES, 6)
        along = self._weights.take(measured, 0) @ sums
        product = along[:, 0] * along[:, 1]
        return product[..., :3] + product[..., 3:]


def _inverses(matrices: Doubles) -> Doubles:
    """The inverses of matrices [N, 3, 3]. np.linalg takes longer for one, and mostly there is one."""
    found: list[float] = []
    for (a, b, c), (d, e, f), (g, h, i) in matrices.tolist():
        p, q, r = e * i - f * h, f * g - d * i, d * h - e * g
        scale = 1 / (a * p + b * q + c * r)
        rows = p, c * h - b * i, b * f - c * e, q, a * i - c * g, c * d - a * f, r, b * g - a * h, a * e - b * d
        found += [scale * value for value in rows]
    return np.array(found).reshape(-1, 3, 3)


def _runs(rows: list[int]) -> list[slice]:
    """Rising indices as slices of neighbours: NumPy reads and writes slices several times faster than indices."""
    starts = [i for i, row in enumerate(rows) if i == 0 or row != rows[i - 1] + 1]
    return [slice(rows[i], rows[j - 1] + 1) for i, j in zip(starts, [*starts, len(rows)][1:], strict=True)]


def _along(centre: float, start: int, stop: int, length: int) -> tuple[float, int, int, int, int, int, int, int, int]:
    """A hint along an axis of `length` pixels, with a patch from `start` to `stop`: where its point lies between two
    pixels, in 0…1; the first position of its window; the EDGES."""
    point = min(max(centre - 0.5, 0.0), length - 1)
    before, pixel = int(point), int(min(centre, length - 1))
    window = min(max(round(centre - WINDOW_PX / 2), 0), length - WINDOW_PX)
    return point - before, window, before, before + 1, before + 2, pixel, pixel + 1, start, stop


def _window(shape: tuple[int, ...]) -> Indices:
    """Where the pixels of a window at the corner lie in ab [2, H, W] as one row, in the order row, channel, column."""
    steps = np.arange(WINDOW_PX)
    channels = np.arange(2)[:, None] * (shape[0] * shape[1])
    return (steps[:, None, None] * shape[1] + channels + steps).ravel()
