"""Edge-aware upsampling of ab: colours do not cross the edges of the full-size L.

This is joint bilateral upsampling over the four cells of the bilinear rule. A cell's weight is its bilinear weight
times its similarity exp(−(L of the pixel − L of the cell)² / (2 · SIGMA_L²)) + MIN_WEIGHT. The weights are then
normalised to sum to 1. The L of a cell is the mean L of the picture over it. Where L is even, the result is bilinear.

This is the definition. Tests hold kernels/compose.cu and kiosk/web/shader.js equal to it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .rows import two_cells

# The standard deviation of similarity over differences in L, and its minimum.
SIGMA_L, MIN_WEIGHT = 20.0, 1e-3

Plane = NDArray[np.float32]
# Indices and bilinear weights of the cells before and after each pixel.
TwoCells = list[tuple[NDArray[np.intp], Plane]]


class Guided:
    """The enlarged ab of one picture, some rows at a time."""

    def __init__(self, L: Plane, cell_L: Plane, ab: Plane) -> None:
        """L float32 [H, W] in 0…100 of the picture, cell_L float32 [h, w] of its cells, ab float32 [2, h, w]."""
        self._L = L
        self._cells = np.concatenate([cell_L[None], ab])
        self._columns = _weighted_cells(np.arange(L.shape[1]), L.shape[1], ab.shape[2])

    def __call__(self, rows: slice) -> tuple[Plane, Plane]:
        """a and b of `rows` (with start and stop), float32 [rows, W] each."""
        L = np.ascontiguousarray(self._L[rows])
        above_and_below = _weighted_cells(np.arange(rows.start, rows.stop), len(self._L), self._cells.shape[1])
        first, last = above_and_below[0][0][0], above_and_below[1][0][-1]
        cells = self._cells[:, first : last + 1]
        total, a, b = (np.zeros_like(L) for _ in range(3))
        product = np.empty_like(L)
        for column, across in self._columns:
            in_column = cells[:, :, column]
            for row, down in above_and_below:
                cell_L, cell_a, cell_b = in_column[:, row - first]
                weight = _similarity(L, cell_L)
                weight *= across
                weight *= down[:, None]
                total += weight
                a += np.multiply(weight, cell_a, out=product)
                b += np.multiply(weight, cell_b, out=product)
        a /= total
        b /= total
        return a, b


def _similarity(L: Plane, cell_L: Plane) -> Plane:
    """The similarity of a cell to every pixel [rows, W]. OpenCV's exp takes half the time of NumPy's."""
    difference = cv2.subtract(L, cell_L)
    squared = cv2.multiply(difference, difference, scale=-0.5 / SIGMA_L**2)
    return np.asarray(cv2.exp(squared), np.float32) + np.float32(MIN_WEIGHT)


def _weighted_cells(index: NDArray[np.intp], length: int, cells: int) -> TwoCells:
    """The cells before and after each pixel `index` of `length`, with their bilinear weights."""
    first, second, weight = two_cells((index + 0.5) * (cells / length), cells)
    return [(first, 1 - weight), (second, weight)]
