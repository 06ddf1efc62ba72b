"""Edge-aware enlargement: colours of working size onto light of full size that keep to their side of its edges.

Joint bilateral upsampling over the four cells of the bilinear rule. A cell's weight is its bilinear weight times
exp(−(L of the pixel − L of the cell)² / (2 · ALIKE_L²)) + MIN_WEIGHT; the weights are then made to sum to 1. The L
of a cell is the mean L of the picture over it. On even light it is the bilinear rule.

This is the definition; kernels/compose.cu and kiosk/web/shader.js are held equal to it by tests.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .rows import two_cells

# How far L may differ for a cell to lend its colour (standard deviation), and the least weight of a cell.
ALIKE_L, MIN_WEIGHT = 20.0, 1e-3

Plane = NDArray[np.float32]
# Of the cells before and behind each pixel: their indices and bilinear weights.
TwoCells = list[tuple[NDArray[np.intp], Plane]]


class Guided:
    """One picture's light and colours, enlarged rows at a time."""

    def __init__(self, L: Plane, cell_L: Plane, ab: Plane) -> None:
        """L float32 [H, W] in 0…100 of the picture, cell_light float32 [h, w] of its cells, ab float32 [2, h, w]."""
        self._L = L
        self._cells = np.concatenate([cell_L[None], ab])
        self._columns = _weighted_cells(np.arange(L.shape[1]), L.shape[1], ab.shape[2])

    def __call__(self, rows: slice) -> tuple[Plane, Plane]:
        """a and b, float32 [rows, W] each, of some rows (start and stop given)."""
        L = np.ascontiguousarray(self._L[rows])
        above_and_below = _weighted_cells(np.arange(rows.start, rows.stop), len(self._L), self._cells.shape[1])
        first, last = above_and_below[0][0][0], above_and_below[1][0][-1]
        near = self._cells[:, first : last + 1]
        total, a, b = (np.zeros_like(L) for _ in range(3))
        share = np.empty_like(L)
        for column, across in self._columns:
            beside = near[:, :, column]
            for row, down in above_and_below:
                cell_L, cell_a, cell_b = beside[:, row - first]
                weight = _likeness(L, cell_L)
                weight *= across
                weight *= down[:, None]
                total += weight
                a += np.multiply(weight, cell_a, out=share)
                b += np.multiply(weight, cell_b, out=share)
        a /= total
        b /= total
        return a, b


def _likeness(L: Plane, cell_L: Plane) -> Plane:
    """What the edges of L leave of a cell's weight. By OpenCV: its exp takes half the time of NumPy's."""
    difference = cv2.subtract(L, cell_L)
    squared = cv2.multiply(difference, difference, scale=-0.5 / ALIKE_L**2)
    return np.asarray(cv2.exp(squared), np.float32) + np.float32(MIN_WEIGHT)


def _weighted_cells(index: NDArray[np.intp], length: int, cells: int) -> TwoCells:
    """The cells before and behind each pixel `index` of `length`, with their bilinear weights."""
    first, second, weight = two_cells((index + 0.5) * (cells / length), cells)
    return [(first, 1 - weight), (second, weight)]
