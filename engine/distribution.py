"""From quarter-resolution logits to the distribution of colours at a point.

The released interfaces enlarge the logits (or the probabilities) to full resolution; asking at points costs
four gathers a point instead. Logits are mixed bilinearly, then comes the softmax with the bundle's temperature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_bilinear(plane: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """plane [C, h, w] at points [P, 2] (x, y in 0…1 of the photograph) → [P, C].

    Cell centres lie at (i + ½) / w; beyond the outermost centres the border repeats.
    """
    _, height, width = plane.shape
    x0, x1, u = _between(points[:, 0], width)
    y0, y1, v = _between(points[:, 1], height)
    above = plane[:, y0, x0] * (1 - u) + plane[:, y0, x1] * u
    below = plane[:, y1, x0] * (1 - u) + plane[:, y1, x1] * u
    return (above * (1 - v) + below * v).T


def _between(
    coordinate: NDArray[np.float32], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Neighbouring cells and the weight of the second, for coordinates in 0…1."""
    position = np.clip(coordinate * length - 0.5, 0, length - 1)
    first = np.floor(position).astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (position - first).astype(np.float32)


def softmax(logits: NDArray[np.float32], scale: float = 1.0) -> NDArray[np.float32]:
    """softmax(scale · logits) over the last axis."""
    shifted = np.exp(scale * (logits - logits.max(-1, keepdims=True)))
    return (shifted / shifted.sum(-1, keepdims=True)).astype(np.float32)


def distribution_at(logits: NDArray[np.float32], points: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Probabilities [P, bins] at points [P, 2] from logits [bins, H/4, W/4] and the temperature scale."""
    return softmax(sample_bilinear(logits, points), scale)
