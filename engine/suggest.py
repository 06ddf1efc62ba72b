"""Suggested colours: the distribution at a point, clustered into a few swatches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .colour.cielab import project_into_gamut

DEFAULT_COUNT = 9
MAX_ITERATIONS = 30


@dataclass(frozen=True)
class Swatch:
    """A suggested colour.

    a, b: CIELAB units, in the sRGB gamut at the point's L. confidence: the mass of its cluster in the distribution.
    """

    a: float
    b: float
    confidence: float


@dataclass(frozen=True)
class Suggestions:
    """Swatches by falling confidence, at the point's L in 0…100. The current colour and grey are not counted among
    them."""

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
    """Cluster a distribution [bins] over bin centres [bins, 2] into at most `count` colours in the sRGB gamut at `L`.

    Bins outside the gamut at this L are projected into it first. The paper draws 25,000 samples and clusters those;
    weighted k-means of the bins gives the same result without randomness. current: the ab shown now.
    """
    lab = np.column_stack([np.full(len(centres), L), centres]).astype(np.float64)
    in_gamut = project_into_gamut(lab)[:, 1:].astype(np.float64)
    means, masses = weighted_kmeans(in_gamut, probabilities.astype(np.float64), count)
    means = project_into_gamut(np.column_stack([np.full(len(means), L), means]))[:, 1:]
    swatches = tuple(Swatch(float(a), float(b), float(m)) for (a, b), m in zip(means, masses, strict=True))
    return Suggestions(float(L), swatches, current)


def weighted_kmeans(
    points: NDArray[np.float64], weights: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deterministic k-means of weighted points [n, 2] → at most `count` means [k, 2] and masses [k], heaviest first.

    The first seed is the heaviest point, each further one the point with the largest weight × squared distance to the
    seeds so far. Lloyd's iterations follow until no point changes its cluster, at most MAX_ITERATIONS. Clusters
    without mass are left out. Masses sum to 1.
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
    cluster = np.full(len(points), -1)
    for _ in range(MAX_ITERATIONS):
        nearest = ((points[:, None] - means) ** 2).sum(-1).argmin(1)
        if np.array_equal(nearest, cluster):
            break
        cluster = nearest
        means = _means(points, weights, cluster, means)
    masses = np.bincount(cluster, weights, minlength=len(means)).astype(np.float64)
    order = [i for i in np.argsort(-masses, kind="stable") if masses[i] > 0]
    return means[order], masses[order]


def _means(
    points: NDArray[np.float64], weights: NDArray[np.float64], cluster: NDArray[np.intp], old: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weighted mean of every cluster, [k, 2]; `old` for clusters without mass. cluster [n]: of each point."""
    masses = np.bincount(cluster, weights, minlength=len(old))
    sums = np.stack([np.bincount(cluster, weights * points[:, k], minlength=len(old)) for k in range(2)], 1)
    return np.where(masses[:, None] > 0, sums / np.maximum(masses, 1e-300)[:, None], old)
