"""Pictures a few rows at a time, and the two cells of a coarser plane that a row or column lies between."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Pixels converted at a time: a picture of 64 megapixels then needs little memory beyond its own planes.
STRIPE_PIXELS = 1 << 20


def stripes(height: int, width: int, pixels: int = STRIPE_PIXELS) -> Iterator[slice]:
    """Slices of whole rows that cover `height`, each of about `pixels` pixels and at least one row."""
    step = max(1, pixels // max(1, width))
    for start in range(0, height, step):
        yield slice(start, min(height, start + step))


def two_cells(
    positions: NDArray[np.floating], cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The bilinear rule along one axis of `cells` cells: the first cell, the second, and the weight of the second.

    positions: along the axis, in cells from 0 at its start; the centre of cell i lies at i + ½. Beyond the outermost
    centres the outermost cell repeats. All three results have the shape of `positions`.
    """
    centres = np.clip(positions - 0.5, 0, cells - 1)
    first = np.floor(centres).astype(np.intp)
    return first, np.minimum(first + 1, cells - 1), (centres - first).astype(np.float32)
