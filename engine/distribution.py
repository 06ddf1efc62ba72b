"""From quarter-resolution logits to the distribution of colours at points.

The released interfaces enlarge the logits (or the probabilities) to full resolution. Here a point costs four gathers:
logits are interpolated bilinearly, then the softmax with the bundle's temperature follows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .colour.bins import softmax
from .image.rows import two_cells


def sample_bilinear(plane: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """plane [C, h, w] at points [P, 2] (x, y in 0…1 of the photograph) → [P, C].

    Cell centres lie at (i + ½) / w. Beyond the outermost centres the outermost cell repeats.
    """
    _, height, width = plane.shape
    x0, x1, u = two_cells(points[:, 0] * width, width)
    y0, y1, v = two_cells(points[:, 1] * height, height)
    above = plane[:, y0, x0] * (1 - u) + plane[:, y0, x1] * u
    below = plane[:, y1, x0] * (1 - u) + plane[:, y1, x1] * u
    return (above * (1 - v) + below * v).T


def distribution_at(logits: NDArray[np.float32], points: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Probabilities [P, bins] at points [P, 2] from logits [bins, H/4, W/4] and the temperature scale."""
    return softmax(sample_bilinear(logits, points), scale)
