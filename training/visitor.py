"""The simulated visitor for whole batches on the training device: patches of hints, their colours, global hints.

The definitions are those of `calibration/visitor.py` and `engine/colour/global_hints.py`; tests hold them equal, or
equal in their statistics where they are random.

Shapes below: B pictures, N hints each. A patch is given by its corner [B, N, 2] (left, top) and side [B, N] in working
pixels (of 256).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..engine.colour.bins import CENTRES
from ..engine.colour.global_hints import POOL_PX, VECTOR_LENGTH
from ..engine.hints import MAX_SIZE_PX, MIN_SIZE_PX, WORKING_PX
from .config import Augmentation
from .draws import Draws
from .soft_bins import nearest_bins


def counts_of_hints(number: int, settings: Augmentation, rng: np.random.Generator) -> NDArray[np.int64]:
    """Numbers of hints [number]: all uniform from 0 to the largest in some batches, else geometric."""
    if rng.random() < settings.uniform_counts:
        return rng.integers(0, settings.max_hints + 1, number)
    return np.minimum(rng.geometric(settings.geometric_p, number) - 1, settings.max_hints)


def gaussian_patches(draws: Draws, pictures: int, number: int) -> tuple[Tensor, Tensor]:
    """Corners and sides: sides p uniform from 1 to 9, corners ~ N((n − p)/2, (n − p)/4) clipped to 0…n − p, n = 256."""
    size = draws.integers(MIN_SIZE_PX, MAX_SIZE_PX, pictures, number).float()
    last = (WORKING_PX - size)[..., None]
    corner = last / 2 + last / 4 * draws.normal(pictures, number, 2)
    return torch.minimum(corner.clamp(min=0), last), size


def patches_within(mask: Tensor, inside: float, number: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """Corners and sides of patches centred on random pixels where mask [M, 1, S, S] is larger than `inside`.

    A patch lies inside the region where the region is wide enough, else as deep inside as possible.
    """
    pictures, side = len(mask), mask.shape[-1]
    scale = WORKING_PX / side
    size = draws.integers(MIN_SIZE_PX, MAX_SIZE_PX, pictures, number).float()
    region = (mask > inside).float()
    depth = region  # the number of rings around a pixel that lie in the region, and 1
    for _ in range(math.ceil(MAX_SIZE_PX / scale / 2)):
        region = -F.max_pool2d(-F.pad(region, (1, 1, 1, 1)), 3, 1)
        depth = depth + region
    flat = depth.reshape(pictures, 1, -1)
    needed = torch.minimum(flat.amax(2), 1 + (size / scale / 2).ceil()).clamp(min=1)
    deep = (flat >= needed[..., None]).float().flatten(0, 1)
    pixel = draws.chosen(deep).reshape(pictures, number)
    centre = (torch.stack([pixel % side, pixel // side], -1) + 0.5) * scale
    corner = torch.minimum((centre - size[..., None] / 2).clamp(min=0), (WORKING_PX - size)[..., None])
    return corner, size


def mean_colours(ab: Tensor, corner: Tensor, size: Tensor) -> Tensor:
    """Mean of ab [B, C, S, S] under the patches, [B, N, C], exact also for fractional bounds."""
    batch, channels, _, side = ab.shape
    scale = side / WORKING_PX
    widest = math.ceil(MAX_SIZE_PX * scale) + 1
    low, high = corner * scale, (corner + size[..., None]) * scale
    first = low.floor()
    cells = first[..., None] + torch.arange(widest, device=ab.device)
    overlap = torch.minimum(high[..., None], cells + 1) - torch.maximum(low[..., None], cells)
    x, y = (overlap.clamp(min=0) / (high - low)[..., None]).unbind(2)
    columns, rows = cells.clamp(0, side - 1).long().unbind(2)
    index = (rows[..., :, None] * side + columns[..., None, :]).reshape(batch, 1, -1).expand(-1, channels, -1)
    weights = (y[..., :, None] * x[..., None, :]).flatten(2)
    return (ab.flatten(2).gather(2, index).reshape(batch, channels, *weights.shape[1:]) * weights[:, None]).sum(3).mT


def global_hints(rgb: Tensor, ab: Tensor, share: float, draws: Draws) -> Tensor:
    """Global hints [B, 316] that reveal the histogram and the saturation independently, each with probability `share`.

    rgb [B, 3, S, S] in 0…1 and ab [B, 2, S, S] of the same pictures; S is a multiple of 4.
    """
    if not share:
        return torch.zeros(len(rgb), VECTOR_LENGTH, device=rgb.device)
    shown = (draws.uniform(0, 1, len(rgb), 2) < share).float()
    histogram = shown[:, :1] * histograms(ab)
    saturation = shown[:, 1] * saturations(rgb)
    return torch.cat([histogram, shown[:, :1], saturation[:, None], shown[:, 1:]], 1)


def histograms(ab: Tensor) -> Tensor:
    """Histograms [B, 313] of ab [B, 2, S, S], counted in integers."""
    cell = nearest_bins(F.avg_pool2d(ab, POOL_PX).movedim(1, -1)).flatten(1)
    counts = torch.zeros(len(ab), len(CENTRES), dtype=torch.int64, device=ab.device)
    return counts.scatter_add(1, cell, torch.ones_like(cell)) / cell.shape[1]


def saturations(rgb: Tensor) -> Tensor:
    """Mean HSV saturations [B] of rgb [B, 3, S, S] in 0…1."""
    highest, lowest = rgb.amax(1), rgb.amin(1)
    return torch.where(highest > 0, (highest - lowest) / highest.clamp(min=1e-9), 0).mean((1, 2))


def hint_planes(ab: Tensor, corner: Tensor, size: Tensor, valid: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Planes of hints as `engine.hints.rasterise` makes them: ab [B, 2, S, S] and mask [B, 1, S, S]; S is `side`.

    ab [B, N, 2]: the colours. corner int64 [B, N, 2] (left, top; may be negative), size int64 [B, N]: patches in pixels
    of these planes. valid [B, N]: which hints there are. Later hints lie on top of earlier ones, and a hint on the edge
    keeps the nearest row and column.
    """
    batch, number = size.shape
    steps = torch.arange(MAX_SIZE_PX, device=ab.device)
    at = corner.clamp(max=side - 1)[..., None] + steps
    covered = (steps < size[..., None, None]) & (at >= 0) & (at < side) & (valid > 0)[..., None, None]
    columns, rows = at.clamp(0, side - 1).unbind(2)
    covered = covered[:, :, 1, :, None] & covered[:, :, 0, None, :]
    pixel = (rows[..., :, None] * side + columns[..., None, :]).reshape(batch, -1)
    order = torch.arange(1, number + 1, device=ab.device)[:, None, None] * covered
    top = torch.zeros(batch, side * side, dtype=torch.int64, device=ab.device)
    top = top.scatter_reduce(1, pixel, order.reshape(batch, -1), "amax")
    colours = F.pad(ab, (0, 0, 1, 0)).gather(1, top[..., None].expand(-1, -1, 2)).mT
    return colours.reshape(batch, 2, side, side), (top > 0).reshape(batch, 1, side, side).to(ab.dtype)
