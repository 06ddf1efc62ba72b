"""Regions of photographs, found on the training device for a whole batch: clusters, and single connected regions.

Half of the single regions are connected parts of clusters, whose edges a network cannot always predict. The others come
from flood fills of smoothed photographs, which stop at the edges of objects.

Shapes below: M pictures, grids of h · w = P cells.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .draws import Draws

# Sides of the grids for clusters and for flood fills.
CLUSTER_SIDE, FLOOD_SIDE = 40, 64
# The numbers of clusters, the steps of k-means, and the weights of L and position (at most) beside ab.
MIN_CLUSTERS, MAX_CLUSTERS, KMEANS_STEPS = 3, 7, 8
L_WEIGHT, MAX_PLACE_WEIGHT = 0.4, 40.0
# Smoothing: the window in cells, the radius in RGB (of 255), and the number of steps. A flood passes between
# neighbouring cells if no channel differs by more.
SHIFT_WINDOW, SHIFT_COLOUR, SHIFT_STEPS, FLOOD_STEP = 5, 16.0, 5, 4.0
# Rounds of label propagation. Each carries a label along whole rows and columns, so few are needed.
ROUNDS = 10
# The share of a picture that a single region may have.
MIN_SHARE, MAX_SHARE = 0.015, 0.4


def clusters(lab: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """k-means over ab, L and position of lab [M, 3, H, W]: labels [M, 40, 40], and the number of clusters [M].

    The starting centres are drawn as in k-means++.
    """
    pictures, cells = len(lab), CLUSTER_SIDE**2
    features = _features(lab, draws)
    number = draws.integers(MIN_CLUSTERS, MAX_CLUSTERS, pictures)
    unused = torch.arange(MAX_CLUSTERS, device=lab.device) >= number[:, None]
    centres = _first_centres(features, draws)
    with_one = torch.cat([features, torch.ones(pictures, cells, 1, device=lab.device)], 2)
    indices = torch.arange(MAX_CLUSTERS, device=lab.device)
    labels = _nearest(features, centres, unused)
    for _ in range(KMEANS_STEPS - 1):
        members = (labels[..., None] == indices).to(features.dtype)
        sums = members.transpose(1, 2) @ with_one
        count = sums[..., -1:]
        centres = torch.where(count > 0, sums[..., :-1] / count.clamp(min=1), centres)
        labels = _nearest(features, centres, unused)
    return labels.reshape(pictures, CLUSTER_SIDE, CLUSTER_SIDE), number


def _features(lab: Tensor, draws: Draws) -> Tensor:
    """[M, 1600, 5]: ab, weighted L, and the position with a random weight."""
    small = F.interpolate(lab, (CLUSTER_SIDE, CLUSTER_SIDE), mode="area")
    steps = torch.arange(CLUSTER_SIDE, device=lab.device) / CLUSTER_SIDE
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    place = torch.stack([x, y])[None] * draws.uniform(0, MAX_PLACE_WEIGHT, len(lab), 1, 1, 1)
    return torch.cat([small[:, 1:], small[:, :1] * L_WEIGHT, place], 1).flatten(2).transpose(1, 2).contiguous()


def _first_centres(features: Tensor, draws: Draws) -> Tensor:
    """[M, 7, 5]: each further centre is a cell drawn in proportion to its squared distance from those before."""
    pictures, cells, width = features.shape
    index = draws.integers(0, cells - 1, pictures)
    centres, nearest = [], None
    while True:
        centre = features.gather(1, index[:, None, None].expand(-1, 1, width))
        centres.append(centre)
        if len(centres) == MAX_CLUSTERS:
            return torch.cat(centres, 1)
        distance = ((features - centre) ** 2).sum(2)
        nearest = distance if nearest is None else torch.minimum(nearest, distance)
        index = draws.chosen(nearest)


def _nearest(features: Tensor, centres: Tensor, unused: Tensor) -> Tensor:
    """The nearest centre [M, P] that is in use."""
    offset = (centres**2).sum(2) / 2 + unused * 1e9
    return torch.baddbmm(-offset[:, None], features, centres.transpose(1, 2)).argmax(2)


def components(right: Tensor, down: Tensor) -> Tensor:
    """Connected components of grids: int64 [M, P], equal within a component.

    right bool [M, h, w − 1] and down bool [M, h − 1, w]: whether a cell and its neighbour belong together. A round
    gives all cells of each unbroken run in a row, then in a column, the run's smallest label. A component that winds
    more than ROUNDS allow is left in pieces.
    """
    pictures, height, width = right.shape[0], right.shape[1], down.shape[2]
    rows = F.pad(~right, (1, 0), value=True).flatten(1).cumsum(1) - 1
    columns = F.pad(~down, (0, 0, 1, 0), value=True).transpose(1, 2).flatten(1).cumsum(1) - 1
    columns = columns.reshape(pictures, width, height).transpose(1, 2).flatten(1)
    labels = torch.arange(height * width, device=right.device).repeat(pictures, 1)
    largest = torch.full_like(labels, height * width)
    for _ in range(ROUNDS):
        for runs in (rows, columns):
            labels = largest.scatter_reduce(1, runs, labels, "amin").gather(1, runs)
        labels = labels.gather(1, labels)
    return labels


def single_regions(rgb: Tensor, labels: Tensor, flooded: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """One connected region in each picture: soft masks [M, 1, S, S] in 0…1, and whether there is one, bool [M].

    rgb [M, 3, S, S] in 0…1, M > 0. labels [M, 40, 40] from `clusters`. The first `flooded` regions are flood fills.
    """
    masks, found = [], []
    for find, pictures in ((_flood, rgb[:flooded]), (_cluster_part, labels[flooded:])):
        if len(pictures):
            region, exists = find(pictures, draws)
            masks.append(soft_masks(region[:, None], rgb.shape[-1]))
            found.append(exists)
    return torch.cat(masks), torch.cat(found)


def soft_masks(regions: Tensor, side: int) -> Tensor:
    """Regions in {0, 1} [M, K, h, w] → masks [M, K, side, side] in 0…1 with edges a third of a cell wide."""
    enlarged = F.interpolate(regions.float(), (side, side), mode="bilinear", align_corners=False)
    return ((enlarged - 0.5) * 3 + 0.5).clamp(0, 1)


def _flood(rgb: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """The flood fill of a random cell, among those whose region has a suitable size: bool [M, 64, 64], bool [M]."""
    smooth = _smoothed(F.interpolate(rgb * 255, (FLOOD_SIDE, FLOOD_SIDE), mode="area"))
    right = (smooth[..., 1:] - smooth[..., :-1]).abs().amax(1) <= FLOOD_STEP
    down = (smooth[..., 1:, :] - smooth[..., :-1, :]).abs().amax(1) <= FLOOD_STEP
    parts = components(right, down)
    suitable = _suitable(_sizes(parts))
    region = _part_of(parts, draws.chosen(suitable.float())).reshape(-1, 1, FLOOD_SIDE, FLOOD_SIDE)
    closed = -F.max_pool2d(-F.max_pool2d(region.float(), 3, 1, 1), 3, 1, 1)
    return closed[:, 0], suitable.any(1)


def _smoothed(rgb: Tensor) -> Tensor:
    """Mean shift of colours within a window: objects become uniform, edges stay. rgb [M, 3, h, w] of 255."""
    pictures, channels, height, width = rgb.shape
    pad = SHIFT_WINDOW // 2
    padded = F.pad(rgb, (pad, pad, pad, pad), mode="replicate")
    around = F.unfold(padded, SHIFT_WINDOW).reshape(pictures, channels, SHIFT_WINDOW**2, height * width)
    colour = rgb.reshape(pictures, channels, 1, height * width)
    for _ in range(SHIFT_STEPS):
        near = (((around - colour) ** 2).sum(1, keepdim=True) <= SHIFT_COLOUR**2).to(rgb.dtype)
        colour = (around * near).sum(2, keepdim=True) / near.sum(2, keepdim=True).clamp(min=1)
    return colour.reshape(rgb.shape)


def _cluster_part(labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """A connected part of a cluster, among those of a suitable size: bool [M, 40, 40], bool [M].

    Each cluster that has such parts is as likely as the others, and so is each part of one.
    """
    parts = components(labels[:, :, 1:] == labels[:, :, :-1], labels[:, 1:] == labels[:, :-1])
    size, flat = _sizes(parts), labels.flatten(1)
    one = _suitable(size) / size  # sums to 1 over a suitable part
    members = (flat[..., None] == torch.arange(MAX_CLUSTERS, device=labels.device)).float()
    parts_in_cluster = (one[:, None] @ members)[:, 0].gather(1, flat)
    region = _part_of(parts, draws.chosen(one / parts_in_cluster.clamp(min=0.5)))
    return region.reshape(labels.shape), (one > 0).any(1)


def _sizes(parts: Tensor) -> Tensor:
    """The number of cells of each cell's component, float32 [M, P]. Counted in integers, so in any order."""
    counts = torch.zeros_like(parts).scatter_add(1, parts, torch.ones_like(parts))
    return counts.gather(1, parts).float()


def _suitable(size: Tensor) -> Tensor:
    return (size >= MIN_SHARE * size.shape[1]) & (size <= MAX_SHARE * size.shape[1])


def _part_of(parts: Tensor, cell: Tensor) -> Tensor:
    """The component of a cell [M]: bool [M, P]."""
    return parts == parts.gather(1, cell[:, None])
