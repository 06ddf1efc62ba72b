"""Planes of cells and places between them: what a plane says at a place, and a plane enlarged.

Shapes below: B photographs, C channels, planes of h · w = P cells, Q places (x, y in 0…1), T cells that speak for one.

Written for ONNX Runtime on few cores. Cells are gathered whole, all channels of a cell side by side: taken out of
planes one by one they miss the cache every time. The copy that lies so depends on the photograph alone, and the engine
makes it once for all touches (`engine/runners/subgraph.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...engine.hints import WORKING_PX

# A hint's patch is read at the midpoints of its four quarters.
QUARTERS = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
# So few channels are taken one by one: to turn their planes around costs more.
FEW = 8
# Fine pixels of one cell in a row.
ENLARGED = 4


class Taps(NamedTuple):
    """Which cells speak for each place, [B, Q, T] (row · w + column), and how much; a place's weights sum to 1."""

    cells: Tensor
    weights: Tensor


def sizes(x: Tensor) -> tuple[int, ...]:
    """Shape as plain integers: an export then sees constants, and only the hint axis stays open."""
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
    """The cells that speak for the patches of hints: positions [B, Q, 2], sides `size` [B, Q] in working pixels."""
    batch, step = int(positions.shape[0]), (size / (4 * WORKING_PX))[:, :, None, None]
    points = positions[:, :, None] + torch.tensor(QUARTERS, device=positions.device) * step
    cells, weights = taps(points.reshape(batch, -1, 2), height, width)
    of_one = 4 * len(QUARTERS)
    return Taps(cells.reshape(batch, -1, of_one), weights.reshape(batch, -1, of_one) / len(QUARTERS))


def sample(plane: Tensor, at: Taps) -> Tensor:
    """What plane [B, C, h, w] says at places, [B, C, Q]."""
    batch, channels, height, width = sizes(plane)
    of_one = int(at.cells.shape[2])
    planes = plane.float().reshape(batch, channels, height * width)
    if channels <= FEW:
        cells = at.cells.reshape(batch, 1, -1).expand(-1, channels, -1)
        return (planes.gather(2, cells).reshape(batch, channels, -1, of_one) * at.weights[:, None]).sum(3)
    first = (torch.arange(batch, device=plane.device) * height * width)[:, None, None]
    rows = planes.transpose(1, 2).reshape(-1, channels)
    picked = rows.index_select(0, (at.cells + first).reshape(-1)).reshape(-1, of_one, channels)
    said = at.weights.reshape(-1, 1, of_one) @ picked
    return said.reshape(batch, -1, channels).transpose(1, 2)


def upsample_convex(coarse: Tensor, up: Tensor) -> Tensor:
    """[B, C, h, w] and weights [B, 9, 16, P] → [B, C, 4h, 4w]: each fine pixel is a convex mixture of the
    3 × 3 coarse cells around it (borders repeated)."""
    batch, channels, height, width = sizes(coarse)
    padded = F.pad(coarse, (1, 1, 1, 1), mode="replicate")
    around = [padded[:, :, row : row + height, left : left + width] for row in range(3) for left in range(3)]
    nine = torch.stack(around, 2).reshape(batch, channels, 9, 1, height * width)
    return interleave((nine * up[:, None]).sum(2), height, width)


def interleave(fine: Tensor, height: int, width: int) -> Tensor:
    """[B, C, 16, P], the fine pixels of each cell row by row → [B, C, 4h, 4w]. What `pixel_shuffle` does, in two
    transpositions that ONNX Runtime has fast ways for."""
    batch, channels = int(fine.shape[0]), int(fine.shape[1])
    lines = fine.reshape(-1, ENLARGED, height * width).transpose(1, 2)
    lines = lines.reshape(-1, ENLARGED, height, width * ENLARGED).transpose(1, 2)
    return lines.reshape(batch, channels, height * ENLARGED, width * ENLARGED)
