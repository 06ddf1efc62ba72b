"""What `match_hints` needs that follows from the places and sizes of hints alone: measurements, fields, responses.

A measurement is separable: weights along the rows times weights along the columns of a window. Its field is what the
smallest change adds for it: the weights blurred by the two Gaussians, so a sum of two separable parts. The factors of
these parts are called lines.

ab is changed two columns at a time, as one complex number: np.add.at takes little longer for it than for a float.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from operator import is_

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .hints import MAX_SIZE_PX, Hint, patch_bounds
from .match_responses import Complexes, Doubles, Floats, Indices, make_responses

# Side of the window that a change is limited to. The Gaussians are close to zero at its border.
WINDOW_PX = 19
# Standard deviations of the two Gaussians in working pixels, and the weight of the narrow one.
WIDE_PX, NARROW_PX, NARROW_WEIGHT = 3.0, 1.0, 0.3
# Keeps the systems of equations solvable where two measurements are the same; relative to the kernel at 0.
RIDGE = 1e-3
# A hint with a later one nearer than NEAR_PX gives way to it. From APART_PX on, both are matched.
NEAR_PX, APART_PX = 5.0, 9.0
# Length of a line in memory: the window and a zero, behind it or in front, so that it begins at an even column.
LINE_PX = WINDOW_PX + 1

_AXES = np.arange(2)
# Of the pixels that measurements read, the first of each: four around the point, the pixel, those of the patch.
_FIRST_TAPS = np.array([0, 4, 5])
_UNIT = np.eye(3)[..., None]
# The place of a row without a hint, which no hint has: y, x and size.
_NOWHERE: tuple[float, float, int] = math.nan, math.nan, 0


def _reach_px(size: int) -> int:
    """A field reaches the measurements of no hint up to this size whose window begins so much further along an axis:
    they lie within half a patch and a pixel of the middle of the window, or nearer to the border of the picture."""
    return (WINDOW_PX + size) // 2 + 1


# The largest reach.
REACH_PX = _reach_px(MAX_SIZE_PX)


def _blurs() -> Doubles:
    """Positions in a window blurred by the wide and by the narrow Gaussian, [WINDOW_PX + 1, 2 · LINE_PX]; the last
    position and the last of a line are 0. The product of two lines has the weight of its Gaussian."""
    steps = np.arange(WINDOW_PX)
    squares = (steps[:, None] - steps) ** 2
    kernels = ((WIDE_PX, 1.0), (NARROW_PX, NARROW_WEIGHT))
    return np.concatenate([np.pad(np.exp(-squares / (2 * px**2)) * weight**0.5, (0, 1)) for px, weight in kernels], 1)


def _patch_weights() -> Floats:
    """The weights of the pixels of a patch of h rows and w columns, at h · (MAX_SIZE_PX + 1) + w."""
    extents = np.arange(MAX_SIZE_PX + 1)
    down, across = (steps < extents[:, None] for steps in (_PATCH_ROWS, _PATCH_COLUMNS))
    areas = np.maximum(np.multiply.outer(extents, extents), 1)
    return ((down[:, None] & across) / areas[..., None]).astype(np.float32).reshape(areas.size, -1)


# Rows and columns of the pixels of a patch, so ordered that the first S² are those of a patch of size S.
_PATCH_ROWS, _PATCH_COLUMNS = np.array(sorted(product(range(MAX_SIZE_PX), repeat=2), key=max)).T
_PATCH_WEIGHTS = _patch_weights()
_BLURS = _blurs()


class MatchGeometry:
    """The geometry of up to `capacity` hints, one row each; `place` computes only rows that changed.

    Measurements are in the order point, pixel, patch. Arrays [..., C] have a number for every row; rows without a hint
    have priority 0.

    columns: of ab in memory, the width or one more. colours complex64 [C]: a + ib of the hints. responses: of
    measurements to residuals that are removed.
    priorities float32 [3, C] in 0…1: how much of its residuals a hint removes at each measurement, beside later hints.
    """

    def __init__(self, shape: tuple[int, int], capacity: int) -> None:
        """shape: of a plane of ab, both sides ≥ WINDOW_PX."""
        self.shape, self.capacity = shape, capacity
        self.columns = shape[1] + shape[1] % 2
        self.responses = make_responses(capacity)
        self.colours = np.zeros(capacity, np.complex64)
        self.priorities = np.zeros((3, capacity), np.float32)
        self._hints: list[Hint] = []
        # y, x and size of each hint, its centre in pixels, its size, and those nearer than APART_PX, with their
        # distance.
        self._places = [_NOWHERE] * capacity
        self._centres = [(0.0, 0.0)] * capacity
        self._sizes = [0] * capacity
        self._largest = 0
        self._beside: list[dict[int, float]] = [{} for _ in range(capacity)]
        # The pixels that measurements read, and their weights: four around the point, the pixel, those of the patch.
        # Only those of the largest patch in use are read. Where `_PATCH_WEIGHTS` has the weights of each patch.
        self._extents = [0] * capacity
        # With where windows begin, along each axis, in the same array: one assignment writes both.
        self._integers = np.zeros((2 + 5 + MAX_SIZE_PX**2, capacity), np.intp)
        self._starts, self._taps = self._integers[:2], self._integers[2:]
        self._tap_weights = np.ones((5 + MAX_SIZE_PX**2, capacity), np.float32)
        self._patch = self.columns * _PATCH_ROWS + _PATCH_COLUMNS
        # Where the windows lie in ab, in pairs of columns.
        self._window = _window(shape[0], self.columns)
        self._windows = np.zeros((capacity, self._window.size), np.intp)
        # Along each axis: weights of the measurements in windows; the lines of the fields, [measurement and Gaussian,
        # position], between zeros; and these lines at every shift within REACH_PX.
        self._weights = np.zeros((capacity, 2, 3, LINE_PX))
        self._lines = np.zeros((capacity, 2, 6, LINE_PX + 2 * REACH_PX))
        self._shifted = sliding_window_view(self._lines, LINE_PX, 3).swapaxes(2, 3)
        self._down = np.zeros((capacity, 6, WINDOW_PX), np.float32)
        self._across = np.zeros((capacity, 6, LINE_PX), np.float32)
        # Residuals times these are heights of fields: [measurement, field, C].
        self._solvers = np.zeros((3, 3, capacity))
        # Memory for `change`. An array of this size may be new from the operating system every time, which is slow.
        self._scaled = np.zeros((capacity, 3, 2, 2, LINE_PX), np.float32)
        self._changes = np.zeros((capacity, WINDOW_PX, 2 * LINE_PX), np.float32)

    def place(self, hints: Sequence[Hint]) -> None:
        """Set the hints, at most `capacity`. Those that are the same objects as before, as in a drag, are not read."""
        count, before = len(hints), len(self._hints)
        new = [row for row, is_same in enumerate(map(is_, hints, self._hints)) if not is_same]
        changed = [row for row in (*new, *range(before, count)) if self._read(row, hints[row])]
        if count < before:
            self._truncate(count)
        self._hints = list(hints)
        if not changed and count == before:
            return
        runs = _runs(changed)
        for rows in runs:
            for row in range(rows.start, rows.stop):
                self._place(row)
            self._blur(rows)
        self._largest = max(self._sizes)
        for rows in runs:
            self._pair(rows)
        self.responses.update()

    def _read(self, row: int, hint: Hint) -> bool:
        """Keep a hint's colour and place. Returns whether the place is new."""
        self.colours[row] = complex(hint.a, hint.b)
        place = hint.y, hint.x, hint.size
        if place == self._places[row]:
            return False
        self._places[row], self._sizes[row] = place, hint.size
        return True

    def measure(self, ab: Floats) -> Complexes:
        """The three measurements of ab [2, H, columns] under each hint, a + ib, [3, C]."""
        used = 5 + self._largest**2
        found = ab.reshape(2, -1).take(self._taps[:used], 1, mode="clip")
        found *= self._tap_weights[:used]
        measured = np.empty((3, self.capacity), np.complex64)
        measured.real, measured.imag = np.add.reduceat(found, _FIRST_TAPS, 1)
        return measured

    def change(self, ab: Floats, rows: Indices, removed: Complexes) -> None:
        """Add the fields that remove residuals [3, C] of the hints `rows` to contiguous ab [2, H, columns]."""
        heights = np.add.reduce(removed[:, None] * self._solvers).take(rows, 1).T.astype(np.complex64, "C")
        across, changes = self._scaled[: len(rows)], self._changes[: len(rows)]
        lines = self._across.take(rows, 0).reshape(-1, 3, 2, 1, LINE_PX)
        np.multiply(heights.view(np.float32).reshape(-1, 3, 1, 2, 1), lines, across)
        np.matmul(self._down.take(rows, 0).swapaxes(1, 2), across.reshape(-1, 6, 2 * LINE_PX), changes)
        pairs, places = ab.reshape(-1).view(np.complex64), self._windows.take(rows, 0)
        np.add.at(pairs, places.reshape(-1), changes.reshape(-1).view(np.complex64))

    def _truncate(self, count: int) -> None:
        """Forget the hints from `count` on."""
        rest = self.capacity - count
        self._places[count:], self._sizes[count:] = [_NOWHERE] * rest, [0] * rest
        for row in range(count, len(self._hints)):
            self._leave(row)
        self.priorities[:, count:] = 0
        self.responses.truncate(count)

    def _place(self, row: int) -> None:
        """Compute what the measurements of a hint read, and their weights."""
        (height, width), columns, (y, x, size) = self.shape, self.columns, self._places[row]
        down, across = float(np.float32(y) * np.float32(height)), float(np.float32(x) * np.float32(width))
        self._centres[row] = down, across
        top, bottom, left, right = patch_bounds(x, y, size, height, width)
        s, above, pixel_row, first = _along(down, height)
        t, before, pixel_column, start = _along(across, width)
        weights = self._weights[row]
        weights[:] = 0
        _weigh(weights[0], s, above - first, pixel_row - first, top - first, bottom - first)
        _weigh(weights[1], t, before - start, pixel_column - start, left - start, right - start)
        point, pixel = above * columns + before, pixel_row * columns + pixel_column
        self._integers[:7, row] = first, start, point, point + 1, point + columns, point + columns + 1, pixel
        np.add(self._patch, top * columns + left, self._taps[5:, row])
        np.add(self._window, (first * columns + start) // 2, self._windows[row])
        self._tap_weights[:4, row] = (1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t
        extent = (bottom - top) * (MAX_SIZE_PX + 1) + right - left
        if self._extents[row] != extent:
            self._extents[row] = extent
            self._tap_weights[5:, row] = _PATCH_WEIGHTS[extent]

    def _blur(self, rows: slice) -> None:
        """The lines of the fields of these hints, their solvers, and the responses to themselves."""
        weights = self._weights[rows]
        lines = (weights.reshape(-1, LINE_PX) @ _BLURS).reshape(-1, 2, 6, LINE_PX)
        self._lines[rows, ..., REACH_PX:-REACH_PX] = lines
        self._down[rows] = lines[:, 0, :, :WINDOW_PX]
        for row in range(rows.start, rows.stop):
            first = REACH_PX - self._starts.item(1, row) % 2
            self._across[row] = self._lines[row, 1, :, first : first + LINE_PX]
        solvers = _inverses(_couplings(weights @ lines.swapaxes(2, 3)))
        self._solvers[..., rows] = solvers
        # Couplings without the ridge, times their inverse with it.
        self.responses.replace(rows, _UNIT - RIDGE * solvers)

    def _pair(self, rows: slice) -> None:
        """Compute the responses of these hints and others to each other, and the priorities that follow from places."""
        for row in range(rows.start, rows.stop):
            self._leave(row)
        distances = np.abs(self._starts[:, None, : len(self._hints)] - self._starts[:, rows, None])
        near = distances < _reach_px(self._largest)
        these, others = (near[0] & near[1]).nonzero()
        if len(these) > rows.stop - rows.start:
            these += rows.start
            are_two = these != others
            self._pair_with(these.compress(are_two), others.compress(are_two))
        for row in range(rows.start, rows.stop):
            self._set_priority(row)

    def _pair_with(self, these: Indices, others: Indices) -> None:
        measured, fields = np.concatenate([others, these]), np.concatenate([these, others])
        solvers = self._solvers.take(fields, 2).transpose(2, 0, 1)
        self.responses.add(measured, fields, solvers @ self._coupling(measured, fields).swapaxes(1, 2))
        for row, other in zip(these.tolist(), others.tolist(), strict=True):
            distance = math.dist(self._centres[row], self._centres[other])
            if distance < APART_PX:
                self._beside[row][other] = self._beside[other][row] = distance
                self._set_priority(other)

    def _leave(self, row: int) -> None:
        """No hint is beside this one any more."""
        for other in self._beside[row]:
            del self._beside[other][row]
            self._set_priority(other)
        self._beside[row].clear()

    def _set_priority(self, row: int) -> None:
        """By how much a hint removes its residuals beside the nearest later one."""
        distance = min([far for other, far in self._beside[row].items() if other > row], default=APART_PX)
        self.priorities[:, row] = max((distance - NEAR_PX) / (APART_PX - NEAR_PX), 0.0)

    def _coupling(self, measured: Indices, fields: Indices) -> Doubles:
        """Pairs of hints → what the second's fields add to the first's measurements, [P, measurement, field]."""
        shifts = self._starts.take(measured, 1) - self._starts.take(fields, 1) + REACH_PX
        lines = self._shifted[fields[:, None], _AXES, shifts.T]
        return _couplings(self._weights.take(measured, 0) @ lines.swapaxes(2, 3))


def _couplings(along: Doubles) -> Doubles:
    """What lines add to measurements along both axes, [N, 2, 3, 6] → what fields add to them, [N, 3, 3]."""
    both = along[:, 0] * along[:, 1]
    return both[..., ::2] + both[..., 1::2]


def _inverses(couplings: Doubles) -> Doubles:
    """Couplings [N, 3, 3] → the transposed inverses of them with the ridge, [3, 3, N]. np.linalg takes longer for one,
    and mostly there is one."""
    found: list[tuple[float, ...]] = []
    for (a, b, c), (d, e, f), (g, h, i) in couplings.tolist():
        a, e, i = a + RIDGE, e + RIDGE, i + RIDGE
        p, q, r = e * i - f * h, f * g - d * i, d * h - e * g
        scale = 1 / (a * p + b * q + c * r)
        rows = p, q, r, c * h - b * i, a * i - c * g, b * g - a * h, b * f - c * e, c * d - a * f, a * e - b * d
        found.append(tuple([scale * value for value in rows]))
    return np.array(found).T.reshape(3, 3, -1)


def _runs(rows: list[int]) -> list[slice]:
    """Rising indices as slices of neighbours: NumPy reads and writes slices several times faster than indices."""
    if len(rows) == 1:
        return [slice(rows[0], rows[0] + 1)]
    starts = [i for i, row in enumerate(rows) if i == 0 or row != rows[i - 1] + 1]
    return [slice(rows[i], rows[j - 1] + 1) for i, j in zip(starts, [*starts, len(rows)][1:], strict=True)]


def _along(centre: float, length: int) -> tuple[float, int, int, int]:
    """A hint along an axis of `length` pixels: where its point lies between two pixels, in 0…1; the first of these; the
    pixel that contains it; the first position of its window."""
    point = min(max(centre - 0.5, 0.0), length - 1)
    before = int(point)
    window = min(max(round(centre - WINDOW_PX / 2), 0), length - WINDOW_PX)
    return point - before, before, int(min(centre, length - 1)), window


def _weigh(weights: Doubles, second: float, before: int, pixel: int, start: int, stop: int) -> None:
    """Write the weights of a hint's measurements along an axis into zeros [3, LINE_PX]. second: of position before + 1;
    the patch is start…stop."""
    weights[0, before + 1] = second
    weights[0, before] = 1 - second
    weights[1, pixel] = 1
    weights[2, start:stop] = 1 / (stop - start)


def _window(height: int, columns: int) -> Indices:
    """Where the pairs of columns of a window at the corner lie in ab [2, H, columns / 2] as one row, in the order row,
    channel, pair."""
    rows, channels, pairs = np.ix_(np.arange(WINDOW_PX), np.arange(2), np.arange(LINE_PX // 2))
    return (channels * (height * columns // 2) + rows * (columns // 2) + pairs).ravel()
