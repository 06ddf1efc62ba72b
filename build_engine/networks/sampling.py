"""Sampling of planes at places between their cells, and upsampling of planes.

Shapes below: B photographs, C channels, planes of h · w = P cells, Q places (x, y in 0…1), T cells (taps) per place.

Written for ONNX Runtime on few cores. A cell is gathered with all its channels side by side: gathered channel by
channel, every access misses the cache. The transposed copy of a map depends on the photograph alone, and the engine
computes it once for all touches (`engine/runners/subgraph.py`).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...engine.hints import WORKING_PX

# A hint's patch is read at the midpoints of its four quarters.
QUARTERS = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
# Up to this many channels are gathered channel by channel: transposing their planes costs more.
MAX_GATHERED_CHANNELS = 8
# Pixels of the upsampled plane per cell, in x and in y.
UPSAMPLING = 4


class Taps(NamedTuple):
    """The cells [B, Q, T] (row · w + column) that are averaged for each place, and their weights, which sum to 1."""

    cells: Tensor
    weights: Tensor


def sizes(x: Tensor) -> tuple[int, ...]:
    """The shape as integers. An export then contains them as constants, and only the hint axis stays dynamic."""
    return tuple(int(n) for n in x.shape)


def taps(points: Tensor, height: int, width: int) -> Taps:
    """The four cells around each of points [B, Q, 2], weighted bilinearly; borders are repeated."""
    x = (points[..., 0] * width - 0.5).clamp(0, width - 1)
    y = (points[..., 1] * height - 0.5).clamp(0, height - 1)
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    right, bottom = x - left, y - top
    cell = (top * width + left).long()
    return Taps(
        torch.stack([cell, cell + 1, cell + width, cell + width + 1], -1),
        torch.stack([(1 - right) * (1 - bottom), right * (1 - bottom), (1 - right) * bottom, right * bottom], -1),
    )


def patch_taps(positions: Tensor, size: Tensor, height: int, width: int) -> Taps:
    """The cells under the patches of hints: positions [B, Q, 2], sides `size` [B, Q] in working pixels."""
    batch, step = int(positions.shape[0]), (size / (4 * WORKING_PX))[:, :, None, None]
    points = positions[:, :, None] + _quarters(positions.device) * step
    cells, weights = taps(points.reshape(batch, -1, 2), height, width)
    count = 4 * len(QUARTERS)
    return Taps(cells.reshape(batch, -1, count), weights.reshape(batch, -1, count) / len(QUARTERS))


def _quarters(device: torch.device) -> Tensor:
    """QUARTERS on a device. The CPU's are made anew, so that an export has them as a constant of its own."""
    return torch.tensor(QUARTERS) if device.type == "cpu" else _kept_quarters(device)


@functools.cache
def _kept_quarters(device: torch.device) -> Tensor:
    """QUARTERS copied to a device once: a CUDA graph cannot record a copy from the host's pageable memory."""
    with torch.inference_mode(False):  # training may use them too
        return torch.tensor(QUARTERS, device=device)


def sample(plane: Tensor, at: Taps) -> Tensor:
    """The plane [B, C, h, w] at places: [B, C, Q]."""
    batch, channels, height, width = sizes(plane)
    count = int(at.cells.shape[2])
    planes = plane.float().reshape(batch, channels, height * width)
    if channels <= MAX_GATHERED_CHANNELS:
        cells = at.cells.reshape(batch, 1, -1).expand(-1, channels, -1)
        return (planes.gather(2, cells).reshape(batch, channels, -1, count) * at.weights[:, None]).sum(3)
    first = (torch.arange(batch, device=plane.device) * height * width)[:, None, None]
    rows = planes.transpose(1, 2).reshape(-1, channels)
    gathered = rows.index_select(0, (at.cells + first).reshape(-1)).reshape(-1, count, channels)
    averaged = at.weights.reshape(-1, 1, count) @ gathered
    return averaged.reshape(batch, -1, channels).transpose(1, 2)


def upsample_convex(coarse: Tensor, up: Tensor) -> Tensor:
    """Convex upsampling: [B, C, h, w] and weights [B, 9, 16, P] → [B, C, 4h, 4w].

    Each fine pixel is a convex combination of the 3 × 3 coarse cells around it; borders are repeated.
    """
    batch, channels, height, width = sizes(coarse)
    padded = F.pad(coarse, (1, 1, 1, 1), mode="replicate")
    around = [padded[:, :, row : row + height, left : left + width] for row in range(3) for left in range(3)]
    nine = torch.stack(around, 2).reshape(batch, channels, 9, 1, height * width)
    return interleave((nine * up[:, None]).sum(2), height, width)


def interleave(fine: Tensor, height: int, width: int) -> Tensor:
    """The fine pixels of each cell, row by row, [B, C, 16, P] → [B, C, 4h, 4w].

    The same as `pixel_shuffle`, in two transpositions for which ONNX Runtime has fast kernels.
    """
    batch, channels = int(fine.shape[0]), int(fine.shape[1])
    lines = fine.reshape(-1, UPSAMPLING, height * width).transpose(1, 2)
    lines = lines.reshape(-1, UPSAMPLING, height, width * UPSAMPLING).transpose(1, 2)
    return lines.reshape(batch, channels, height * UPSAMPLING, width * UPSAMPLING)
