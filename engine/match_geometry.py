"""What `match_hints` needs that follows from the places and sizes of hints alone: measurements, fields, couplings.

A measurement is separable: weights along the rows times weights along the columns of a window. Its field is what the
smallest change adds for it: the weights blurred by the two Gaussians, so a sum of two separable parts. Along an axis a
measurement of anything is a combination of its running sums at EDGES positions, which also serves for fields of other
hints, whose windows lie elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .hints import MAX_SIZE_PX, patch_bounds

# Side of the window that a change is limited to. The Gaussians are close to zero at its border.
WINDOW_PX = 23
# Standard deviations of the two Gaussians in working pixels, and the weight of the narrow one.
WIDE_PX, NARROW_PX, NARROW_WEIGHT = 3.0, 1.0, 0.3
# Keeps the systems of equations solvable where two measurements are the same; relative to the kernel at 0.
RIDGE = np.eye(3) * 1e-3
# Before, between and behind the two pixels around the point; before and behind the pixel that contains it; first row
# or column of the patch and the one behind it.
EDGES = 7
# Of each Gaussian one line along an axis for every measurement.
LINES = 6
MIN_CAPACITY = 16

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

_STEPS = np.arange(WINDOW_PX)
_SQUARES = (_STEPS[:, None] - _STEPS) ** 2
# Both Gaussians as matrices side by side, [WINDOW_PX, 2 · WINDOW_PX].
_BLURS = np.concatenate([np.exp(-_SQUARES / (2 * px**2)) for px in (WIDE_PX, NARROW_PX)], 1).astype(np.float32)
_AMPLITUDES = np.repeat(np.array([1, NARROW_WEIGHT], np.float32), 3)
# Row e: 1 at the positions of a window before edge e, 0 from there on.
_BEFORE = (np.arange(WINDOW_PX + 1)[:, None] > _STEPS).astype(np.float32)
_PATCH = np.arange(MAX_SIZE_PX)
TAPS = 4 + MAX_SIZE_PX**2
_AXES = np.arange(2)[:, None]


class MatchGeometry:
    """The geometry of up to `capacity` hints, one row each; `place` computes only rows that changed.

    starts intp [N, 2]: first row and column of a hint's window. Measurements are in the order point, pixel, patch.
    """

    def __init__(self, shape: tuple[int, ...], count: int) -> None:
        """shape: of a plane of ab, both sides ≥ WINDOW_PX. count: the least capacity."""
        capacity = max(MIN_CAPACITY, 1 << (count - 1).bit_length())
        self.shape, self.capacity, self.count = shape, capacity, 0
        self._placed, self._stale = 0, set[int]()
        self._sides, self._last = np.array(shape, np.float32), np.array(shape, np.float32) - 1
        self._places = np.full((capacity, 3), np.nan)
        self._centres = np.zeros((capacity, 2), np.float32)
        self._squares = np.full((capacity, capacity), np.inf, np.float32)
        self._edges = np.zeros((capacity, 2, EDGES), np.intp)
        self._ends = np.zeros((2, capacity, 2), np.intp)
        self._weights = np.zeros((capacity, 2, 3, EDGES), np.float32)
        self._weights[:, :, 1, 3:5] = -1, 1
        self._taps = np.zeros((capacity, 1 + TAPS), np.intp)
        self._tap_weights = np.zeros((capacity, TAPS), np.float32)
        self._down = np.zeros((capacity, WINDOW_PX, LINES), np.float32)
        self._across = np.zeros((capacity, LINES, WINDOW_PX), np.float32)
        self._sums = np.zeros((capacity, 2, WINDOW_PX + 1, LINES))
        self._solvers = np.zeros((capacity, 3, 3))
        self._responses = np.zeros((capacity, 3, 3, capacity), np.float32)
        self.starts = np.zeros((capacity, 2), np.intp)

    def place(self, places: NDArray[np.float64]) -> None:
        """places [N ≤ capacity, 3]: y and x of each hint in 0…1, and its size."""
        self.count = len(places)
        changed = np.nonzero((self._places[: self.count] != places).any(1))[0]
        if not len(changed):
            return
        self._placed = max(self._placed, self.count)
        for rows in _runs(changed.tolist()):
            self._places[rows] = places[rows]
            self._place_measurements(rows)
            self._blur(rows)
        self._stale.update(changed.tolist())

    def measure(self, ab: Floats) -> Floats:
        """The three measurements of ab [2, H, W] under each hint, [2, 3, N]."""
        found = ab.reshape(2, -1).take(self._taps[: self.count], 1, mode="clip")
        measured = np.empty((2, 3, self.count), np.float32)
        measured[:, 1] = found[..., 0]
        weighted = found[..., 1:] * self._tap_weights[: self.count]
        weighted[..., :4].sum(-1, out=measured[:, 0])
        weighted[..., 4:].sum(-1, out=measured[:, 2])
        return measured

    def distances(self) -> Floats:
        """From each hint to the nearest later one, in pixels, [N]; infinity for the last."""
        return np.sqrt(self._squares[: self.count, : self.count].min(1))

    def responses(self, rows: Indices) -> Floats:
        """By how much all measurements change when residuals of 1 at those of some hints are removed, [3 K, 3 N]."""
        if self._stale:
            self._respond(np.array(sorted(self._stale)))
            self._stale.clear()
        return self._responses.take(rows, 0)[..., : self.count].reshape(3 * len(rows), -1)

    def changes(self, rows: Indices, residuals: Floats) -> Floats:
        """Residuals [2, 3, K] of some hints → what removes them, to be added to their windows, [K, 2, 23, 23]."""
        heights = (residuals.transpose(2, 0, 1) @ self._solvers[rows].transpose(0, 2, 1)).astype(np.float32)
        of_lines = np.concatenate([heights, heights], 2)[:, :, None]
        down = (of_lines * self._down[rows][:, None]).reshape(len(rows), 2 * WINDOW_PX, LINES)
        return (down @ self._across[rows]).reshape(-1, 2, WINDOW_PX, WINDOW_PX)

    def _place_measurements(self, rows: slice) -> None:
        places = self._places[rows]
        centres = places[:, :2].astype(np.float32) * self._sides
        points = np.minimum(np.maximum(centres - np.float32(0.5), 0), self._last)
        starts = np.rint(centres - np.float32(WINDOW_PX / 2))
        edges, weights = self._edges[rows], self._weights[rows]
        edges[..., 0] = points
        edges[..., 3] = np.minimum(centres, self._last)
        edges[..., 1], edges[..., 2], edges[..., 4] = edges[..., 0] + 1, edges[..., 0] + 2, edges[..., 3] + 1
        edges[..., 5:] = [_bounds(place, self.shape) for place in places.tolist()]
        second = points - edges[..., 0].astype(np.float32)
        share = np.float32(1) / (edges[..., 6] - edges[..., 5]).astype(np.float32)
        weights[..., 0, 0], weights[..., 0, 1], weights[..., 0, 2] = second - 1, 1 - 2 * second, second
        weights[..., 2, 5], weights[..., 2, 6] = -share, share
        self._centres[rows] = centres
        self.starts[rows] = np.minimum(np.maximum(starts, 0), self._sides - WINDOW_PX)
        self._ends[0, rows], self._ends[1, rows] = edges.min(2), edges.max(2)
        self._place_taps(rows, edges, second, share)
        self._measure_distances(rows)

    def _place_taps(self, rows: slice, edges: Indices, second: Floats, share: Floats) -> None:
        """Where in a plane the measurements read, and the weights: the pixel, four pixels around the point, the patch.

        Positions outside the plane have weight 0.
        """
        positions = np.empty((len(edges), 2, 2 + MAX_SIZE_PX), np.intp)
        positions[..., :2] = edges[..., :2]
        np.add(edges[..., 5, None], _PATCH, positions[..., 2:])
        along = np.empty(positions.shape, np.float32)
        along[..., 0], along[..., 1] = 1 - second, second
        np.multiply(positions[..., 2:] < edges[..., 6, None], share[..., None], along[..., 2:])
        positions[:, 0] *= self.shape[1]
        taps = positions[:, 0, :, None] + positions[:, 1, None]
        weights = along[:, 0, :, None] * along[:, 1, None]
        self._taps[rows, 0] = edges[:, 0, 3] * self.shape[1] + edges[:, 1, 3]
        for to, grid in ((self._taps[rows, 1:], taps), (self._tap_weights[rows], weights)):
            to[:, :4] = grid[:, :2, :2].reshape(-1, 4)
            to[:, 4:] = grid[:, 2:, 2:].reshape(len(grid), -1)

    def _measure_distances(self, rows: slice) -> None:
        """Squared distances from these hints to later ones, and from earlier ones to these."""
        differences = self._centres[rows, None] - self._centres[: self._placed]
        squares = np.square(differences).sum(-1)
        self._squares[: rows.start, rows] = squares[:, : rows.start].T
        self._squares[rows, rows.stop : self._placed] = squares[:, rows.stop :]
        if len(squares) > 1:
            later = ~np.tri(len(squares), dtype=np.bool_)
            self._squares[rows, rows] = np.where(later, squares[:, rows], np.inf)

    def _blur(self, rows: slice) -> None:
        """The lines of the fields of these hints, their running sums, and the hints' solvers."""
        in_window = np.minimum(np.maximum(self._edges[rows] - self.starts[rows][..., None], 0), WINDOW_PX)
        weights = self._weights[rows] @ _BEFORE.take(in_window, 0)
        lines = (weights.reshape(-1, WINDOW_PX) @ _BLURS).reshape(len(weights), 2, 3, 2, WINDOW_PX)
        lines = lines.transpose(0, 1, 4, 3, 2).reshape(len(weights), 2, WINDOW_PX, LINES)
        lines[:, 0] *= _AMPLITUDES
        self._down[rows], self._across[rows] = lines[:, 0], lines[:, 1].transpose(0, 2, 1)
        np.cumsum(lines, 2, out=self._sums[rows, :, 1:])
        these = np.arange(rows.start, rows.stop)
        self._solvers[rows] = np.linalg.inv(self._coupling(these, these) + RIDGE)

    def _respond(self, rows: Indices) -> None:
        """Compute the responses of all measurements to these hints, and of these hints' measurements to all."""
        everyone = np.arange(self._placed)
        of, at = np.broadcast_arrays(rows[:, None], everyone)
        of, at = np.concatenate([of, at], 1), np.concatenate([at, of], 1)
        overlap = self._overlap(of, at)
        of, at = of[overlap], at[overlap]
        self._responses[rows] = 0
        self._responses[..., rows] = 0
        self._responses[of, :, :, at] = (self._coupling(of, at) @ self._solvers[of]).transpose(0, 2, 1)

    def _overlap(self, fields: Indices, measurements: Indices) -> NDArray[np.bool_]:
        """Pairs of hints → whether anything of the second's measurements lies in the first's window."""
        starts = self.starts[fields]
        first, behind = self._ends[:, measurements]
        return ((behind > starts) & (first < starts + WINDOW_PX)).all(-1)

    def _coupling(self, fields: Indices, measurements: Indices) -> NDArray[np.float64]:
        """Pairs of hints → what the first's fields add to the second's measurements, [P, measurement, field]."""
        edges = np.minimum(np.maximum(self._edges[measurements] - self.starts[fields][..., None], 0), WINDOW_PX)
        sums = self._sums[fields[:, None, None], _AXES, edges]
        along = self._weights[measurements] @ sums
        product = along[:, 0] * along[:, 1]
        return product[..., :3] + product[..., 3:]


def _runs(rows: list[int]) -> list[slice]:
    """Rising indices as slices of neighbours: NumPy reads and writes slices several times faster than indices."""
    starts = [i for i, row in enumerate(rows) if i == 0 or row != rows[i - 1] + 1]
    return [slice(rows[i], rows[j - 1] + 1) for i, j in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _bounds(place: list[float], shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of a hint at place = [y, x, size]: first row of the patch and the one behind it, and the same of columns."""
    y, x, size = place
    top, bottom, left, right = patch_bounds(x, y, int(size), shape[0], shape[1])
    return (top, bottom), (left, right)
