"""Augmentation: photographs with recoloured regions.

In a real photograph the colour of a hint agrees with its scene, so a network may learn that one red patch reddens
everything. Here some regions (clusters of colour, lightness and position) get colours that nothing else predicts. Then
a hint has to spread by structure and stop at the edge of its object.
"""

from __future__ import annotations

import cv2
import numpy as np
from livetint.calibration.photographs import lab_of
from livetint.engine.colour.cielab import lab_to_srgb, srgb_to_lab
from numpy.typing import NDArray

CLUSTER_SIDE_PX = 40
# For regions by flood fill on a photograph smoothed by mean shift: the smoothing in space (px at a side of 192) and in
# colour, and the largest difference between neighbours.
SHIFT_PX, SHIFT_COLOUR, FLOOD_STEP = 8.0, 14.0, 3
# A lone region: how often it comes from a flood fill, its share of the picture, how far its mean ab has to move, and
# the number of attempts.
FLOODED = 0.5
MIN_SHARE, MAX_SHARE = 0.015, 0.4
MIN_CHANGE, TRIES = 25.0, 6


def recolour(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """uint8 RGB [H, W, 3] → CIELAB float32 [H, W, 3] in gamut: some of 3 to 7 regions rotated and shifted in ab."""
    lab = lab_of(rgb)
    labels, number = _clusters(lab, rng)
    ab = lab[..., 1:].copy()
    for label in rng.permutation(number)[: int(rng.integers(1, number))]:
        mask = _soft_mask(labels == label, lab.shape[:2])
        ab = ab * (1 - mask) + _other_colours(lab[..., 1:], rng) * mask
    return _in_gamut(lab[..., :1], ab)


def recolour_one(
    rgb: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Recolour one connected region: CIELAB float32 [H, W, 3] and the region's soft mask [H, W] in 0…1.

    Half of the regions are parts of clusters, whose edges a network cannot always predict; the others come from flood
    fills, which stop at the edges of objects. None if no region of a suitable size changed enough.
    """
    lab = lab_of(rgb)
    smooth = _smoothed(rgb) if rng.random() < FLOODED else None
    for _ in range(TRIES):
        region = _cluster_part(lab, rng) if smooth is None else _flood(smooth, rng)
        if region is None:
            continue
        mask = _soft_mask(region, lab.shape[:2])
        ab = lab[..., 1:] * (1 - mask) + _other_colours(lab[..., 1:], rng) * mask
        changed = _in_gamut(lab[..., :1], ab.astype(np.float32, copy=False))
        moved = np.linalg.norm(((changed - lab)[..., 1:] * mask).sum((0, 1)) / max(float(mask.sum()), 1.0))
        if moved >= MIN_CHANGE:
            return changed, mask[..., 0]
    return None


def _smoothed(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean shift in colour and position: objects become uniform, edges stay."""
    return np.asarray(cv2.pyrMeanShiftFiltering(rgb, SHIFT_PX * rgb.shape[0] / 192, SHIFT_COLOUR, maxLevel=1), np.uint8)


def _flood(smooth: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """The region of a flood fill from a random pixel of a smoothed photograph, without small holes.

    None if its size is not suitable.
    """
    height, width = smooth.shape[:2]
    flooded = np.zeros((height + 2, width + 2), np.uint8)
    start = int(rng.integers(width)), int(rng.integers(height))
    step = (FLOOD_STEP,) * 3
    cv2.floodFill(smooth, flooded, start, (0, 0, 0), step, step, 4 | cv2.FLOODFILL_MASK_ONLY)
    region = cv2.morphologyEx(flooded[1:-1, 1:-1], cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)).astype(np.bool_)
    return region if MIN_SHARE <= region.mean() <= MAX_SHARE else None


def _cluster_part(lab: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    labels, number = _clusters(lab, rng)
    return _connected(labels == rng.integers(number), rng)


def _connected(cluster: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """A random connected part of a cluster, bool [s, s], among those of a suitable size; None if there is none."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(cluster.astype(np.uint8), connectivity=4)
    shares = stats[:, cv2.CC_STAT_AREA] / cluster.size
    suitable = [i for i in range(1, number) if MIN_SHARE <= shares[i] <= MAX_SHARE]
    return labels == rng.choice(suitable) if suitable else None


def _clusters(lab: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.int32], int]:
    side = CLUSTER_SIDE_PX
    small = cv2.resize(lab, (side, side), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0:side, 0:side] / side
    place = rng.uniform(0, 40)
    features = np.dstack([small[..., 1:], small[..., :1] * 0.4, x * place, y * place]).reshape(-1, 5)
    number = int(rng.integers(3, 8))
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    start = np.zeros((side * side, 1), np.int32)
    labels = cv2.kmeans(features.astype(np.float32), number, start, stop, 1, cv2.KMEANS_PP_CENTERS)[1]
    return labels.reshape(side, side).astype(np.int32, copy=False), number


def _soft_mask(region: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.float32]:
    enlarged = cv2.resize(region.astype(np.float32), (shape[1], shape[0]))
    return np.clip((enlarged - 0.5) * 3 + 0.5, 0, 1).astype(np.float32)[..., None]


def _other_colours(ab: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """ab rotated by a random angle, with chroma scaled by 0.7…1.6, then shifted by up to 45 in a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * rng.uniform(0.7, 1.6)
    direction = rng.normal(0, 1, 2)
    shift = direction * rng.uniform(0, 45) / np.linalg.norm(direction)
    return (ab @ turn.T + shift).astype(np.float32)


def _in_gamut(L: NDArray[np.float32], ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """L [H, W, 1] and ab [H, W, 2] → CIELAB float32 [H, W, 3] after clipping each sRGB channel into 0…1."""
    return srgb_to_lab(lab_to_srgb(np.concatenate([L, ab], -1, dtype=np.float32)))
