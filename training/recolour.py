"""Augmentation: photographs with recoloured regions.

In a real photograph the colour of a hint agrees with its scene, so a network may learn that one red patch reddens
everything. Here some regions (clusters of colour, lightness and position) get colours that nothing else predicts. Then
a hint has to spread by structure and stop at the edge of its object.

Shapes below: M pictures, K masks each.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .draws import Draws
from .lab import lab_to_srgb, srgb_to_lab
from .regions import MAX_CLUSTERS, clusters, single_regions, soft_masks

# The share of single regions that come from flood fills, how far the mean ab of one has to move, and the number of
# colours tried.
FLOODED, MIN_CHANGE, TRIES = 0.5, 25.0, 12
# How far is measured on a grid of this side.
CHANGE_SIDE = 32
CHROMA, MAX_SHIFT = (0.7, 1.6), 45.0


class Recoloured(NamedTuple):
    """rgb [M, 3, S, S] in 0…1 and lab [M, 3, S, S] in gamut. touched [L, 1, S, S]: soft masks of the single regions of
    the first L pictures, 1 everywhere where there is none."""

    rgb: Tensor
    lab: Tensor
    touched: Tensor


def recolour(rgb: Tensor, lab: Tensor, single: int, draws: Draws) -> Recoloured:
    """Recolour one connected region in the first `single` pictures, and some of 3 to 7 clusters in the others.

    rgb [M, 3, S, S] in 0…1, lab [M, 3, S, S] the same in CIELAB. A picture without a suitable region is recoloured by
    clusters.
    """
    labels, number = clusters(lab, draws)
    masks = _some_clusters(labels, number, lab.shape[-1], draws)
    changes, touched = other_colours(draws, len(lab), MAX_CLUSTERS), lab[:0, :1]
    if single:
        masks, changes, touched = _with_single_regions(rgb, lab, labels, single, masks, changes, draws)
    changed = lab_to_srgb(torch.cat([lab[:, :1], blend(lab[:, 1:], masks, changes)], 1))
    return Recoloured(changed, srgb_to_lab(changed), touched)


def _with_single_regions(
    rgb: Tensor, lab: Tensor, labels: Tensor, single: int, masks: Tensor, changes: Tensor, draws: Draws
) -> tuple[Tensor, Tensor, Tensor]:
    """`masks` and `changes` with those of one region in the first `single` pictures, where there is one; `touched`."""
    region, found = single_regions(rgb[:single], labels[:single], draws.share_of(single, FLOODED), draws)
    change, moved = _large_change(lab[:single], region, draws)
    chosen = (found & moved)[:, None, None, None]
    alone = F.pad(region, (0, 0, 0, 0, 0, MAX_CLUSTERS - 1))
    masks = torch.cat([torch.where(chosen, alone, masks[:single]), masks[single:]])
    changes = torch.cat([torch.where(chosen, change[:, None], changes[:single]), changes[single:]])
    return masks, changes, torch.where(chosen, region, 1.0)


def other_colours(draws: Draws, *shape: int) -> Tensor:
    """Affine maps of ab [..., 2, 3]: a rotation by any angle, chroma times 0.7…1.6, a shift by up to 45 anywhere."""
    angle, direction = draws.uniform(0, 2 * torch.pi, 2, *shape)
    chroma, shift = draws.uniform(*CHROMA, *shape), draws.uniform(0, MAX_SHIFT, *shape)
    cosine, sine = torch.cos(angle) * chroma, torch.sin(angle) * chroma
    first = torch.stack([cosine, -sine, torch.cos(direction) * shift], -1)
    return torch.stack([first, torch.stack([sine, cosine, torch.sin(direction) * shift], -1)], -2)


def blend(ab: Tensor, masks: Tensor, changes: Tensor) -> Tensor:
    """ab [M, 2, H, W] with the changes [M, K, 2, 3] of it under masks [M, K, H, W], the later over the earlier."""
    pictures, number, height, width = masks.shape
    clear = F.pad(1 - masks[:, 1:], (0, 0, 0, 0, 0, 1), value=1.0)
    weights = masks * clear.flip(1).cumprod(1).flip(1)
    maps = changes.reshape(pictures, number, 6).transpose(1, 2) @ weights.flatten(2)
    maps = maps.reshape(pictures, 2, 3, height, width)
    kept = 1 - weights.sum(1, keepdim=True)
    return kept * ab + (maps[:, :, :2] * ab[:, None]).sum(2) + maps[:, :, 2]


def _some_clusters(labels: Tensor, number: Tensor, side: int, draws: Draws) -> Tensor:
    """Soft masks [M, 7, side, side] of 1 to number − 1 random clusters of each picture; the others' are 0."""
    order = draws.uniform(0, 1, len(labels), MAX_CLUSTERS)
    indices = torch.arange(MAX_CLUSTERS, device=labels.device)
    order = torch.where(indices < number[:, None], order, 2.0)  # clusters that do not exist come last
    rank = (order[:, :, None] > order[:, None]).sum(2)
    count = 1 + (draws.uniform(0, 1, len(labels)) * (number - 1)).floor()
    members = (labels[:, None] == indices[:, None, None]) & (rank < count[:, None])[:, :, None, None]
    return soft_masks(members, side)


def _large_change(lab: Tensor, region: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """The first of TRIES changes that moves the mean ab of the region far enough: [M, 2, 3], and whether any does.

    lab [M, 3, S, S], region [M, 1, S, S] in 0…1.
    """
    pictures, grid = len(lab), (CHANGE_SIDE, CHANGE_SIDE)
    small = F.interpolate(lab, grid, mode="area").repeat_interleave(TRIES, 0)
    mask = F.interpolate(region, grid, mode="area").repeat_interleave(TRIES, 0)
    changes = other_colours(draws, pictures, TRIES)
    changed = torch.cat([small[:, :1], blend(small[:, 1:], mask, changes.reshape(-1, 1, 2, 3))], 1)
    moved = (srgb_to_lab(lab_to_srgb(changed)) - small)[:, 1:] * mask
    mean = moved.sum((2, 3)) / mask.sum((2, 3)).clamp(min=1e-6)
    enough = mean.norm(dim=1).reshape(pictures, TRIES) >= MIN_CHANGE
    first = (enough * torch.arange(TRIES, 0, -1, device=lab.device)).argmax(1)
    return changes.gather(1, first[:, None, None, None].expand(-1, 1, 2, 3))[:, 0], enough.any(1)
