"""Suggested colours: what the network thinks likely at a point, as a handful of swatches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .colour.cielab import project_into_gamut

DEFAULT_COUNT = 9
ROUNDS = 30


@dataclass(frozen=True)
class Swatch:
    """a, b in CIELAB units, showable at the point's L; confidence: the share of the distribution it stands for."""

    a: float
    b: float
    confidence: float


@dataclass(frozen=True)
class Suggestions:
    """Swatches by falling confidence, and beside them the colour shown now and grey (not counted)."""

    L: float
    swatches: tuple[Swatch, ...]
    current: tuple[float, float]
    grey: tuple[float, float] = (0.0, 0.0)


def suggest(
    probabilities: NDArray[np.float32],
    centres: NDArray[np.float32],
    L: float,
    current: tuple[float, float],
    count: int = DEFAULT_COUNT,
) -> Suggestions:
    """Cluster a distribution [bins] over bin centres [bins, 2] into `count` colours, showable at L = `light`.

    Bins that sRGB cannot show at this L count as the nearest colour it can. The paper draws 25,000 samples and
    clusters those; weighted k-means on the bins gives the same without the dice.
    """
    lab = np.column_stack([np.full(len(centres), L), centres]).astype(np.float64)
    showable = project_into_gamut(lab)[:, 1:].astype(np.float64)
    means, masses = weighted_kmeans(showable, probabilities.astype(np.float64), count)
    means = project_into_gamut(np.column_stack([np.full(len(means), L), means]))[:, 1:]
    swatches = tuple(Swatch(float(a), float(b), float(m)) for (a, b), m in zip(means, masses, strict=True))
    return Suggestions(float(L), swatches, current)


def weighted_kmeans(
    points: NDArray[np.float64], weights: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deterministic k-means of weighted points [n, 2] → at most `count` means [k, 2] and masses [k], heaviest first.

    Seeds: the heaviest point, then always the one with the largest weight × squared distance to the seeds so
    far; Lloyd's rounds until nothing moves. Clusters without mass are left out. Masses sum to 1.
    """
    weights = weights / weights.sum()
    seeds = [int(np.argmax(weights))]
    distance = ((points - points[seeds[0]]) ** 2).sum(1)
    while len(seeds) < min(count, len(points)):
        gain = weights * distance
        if gain.max() <= 0:
            break
        seeds.append(int(np.argmax(gain)))
        distance = np.minimum(distance, ((points - points[seeds[-1]]) ** 2).sum(1))
    means = points[seeds]
    owner = np.full(len(points), -1)
    for _ in range(ROUNDS):
        nearest = ((points[:, None] - means) ** 2).sum(-1).argmin(1)
        if np.array_equal(nearest, owner):
            break
        owner = nearest
        means = _means(points, weights, owner, means)
    masses = np.bincount(owner, weights, minlength=len(means)).astype(np.float64)
    order = [i for i in np.argsort(-masses, kind="stable") if masses[i] > 0]
    return means[order], masses[order]


def _means(
    points: NDArray[np.float64], weights: NDArray[np.float64], owner: NDArray[np.intp], old: NDArray[np.float64]
) -> NDArray[np.float64]:
    masses = np.bincount(owner, weights, minlength=len(old))
    sums = np.stack([np.bincount(owner, weights * points[:, k], minlength=len(old)) for k in range(2)], 1)
    return np.where(masses[:, None] > 0, sums / np.maximum(masses, 1e-300)[:, None], old)
