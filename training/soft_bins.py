"""The colour bins of `engine/colour/bins.py` as tables on the training device: nearest bin and soft encoding.

The tables have one entry for each square of one unit in ab. Soft encodings are those of the nearest whole numbers. A
square of the nearest bins lies between whole numbers, as the borders of bins do inside their gamut, so they are exact
there.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..engine.colour import bins

LOW, HIGH = -110, 110
SIDE = HIGH - LOW + 1


class SoftBins(NamedTuple):
    """The bins [..., 10] of colours, and their weights [..., 10], which sum to 1."""

    indices: Tensor
    weights: Tensor


def nearest_bins(ab: Tensor) -> Tensor:
    """Index of the bin nearest to ab [..., 2]: int64 [...]."""
    return _tables(ab.device)[0][_entry(ab.floor())].long()


def soft_bins(ab: Tensor) -> SoftBins:
    """The soft encoding of ab [..., 2]."""
    (_, indices, weights), entry = _tables(ab.device), _entry(ab.round())
    return SoftBins(indices[entry].long(), weights[entry])


def _entry(whole: Tensor) -> Tensor:
    a, b = (whole.clamp(LOW, HIGH).long() - LOW).unbind(-1)
    return a * SIDE + b


@functools.cache
def _tables(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest bins [n], soft bins [n, 10] and their weights [n, 10] of all whole numbers."""
    axis = np.arange(LOW, HIGH + 1, dtype=np.float32)
    corners = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    parts = [_encoded(part) for part in np.array_split(corners, 16)]
    nearest = bins.nearest(corners + np.float32(0.5)).astype(np.int16)
    indices, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    with torch.inference_mode(False):
        found = [torch.from_numpy(table).to(device) for table in (nearest, indices, weights)]
    return found[0], found[1], found[2]


def _encoded(ab: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    soft = bins.soft_encode(ab)
    indices = np.argpartition(-soft, bins.NEIGHBOURS, axis=1)[:, : bins.NEIGHBOURS]
    return indices.astype(np.int16), np.take_along_axis(soft, indices, 1)
