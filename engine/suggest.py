"""Suggested colours: the distribution at a point, clustered into a few swatches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .colour.cielab import project_into_gamut

DEFAULT_COUNT = 9
MAX_ITERATIONS = 30
# So few suggestions are clearly different colours: at least APART (ΔE in ab) from each other, where the distribution
# has at least MIN_MASS within NEAR of such a colour.
DISTINCT_COUNT = 5
APART, NEAR, MIN_MASS = 15.0, 10.0, 0.001


@dataclass(frozen=True)
class Swatch:
    """A suggested colour.

    a, b: CIELAB units, in the sRGB gamut at the point's L. confidence: the mass of the distribution that is nearer to
    it than to the other swatches.
    """

    a: float
    b: float
    confidence: float


@dataclass(frozen=True)
class Suggestions:
    """Swatches by falling confidence, at the point's L in 0…100. The current colour and grey are not counted among
    them. first: the ab that a tap here gives first (`first_colour`); None where nobody computed it."""

    L: float
    swatches: tuple[Swatch, ...]
    current: tuple[float, float]
    grey: tuple[float, float] = (0.0, 0.0)
    first: tuple[float, float] | None = None


def suggest(
    probabilities: NDArray[np.float32],
    centres: NDArray[np.float32],
    L: float,
    current: tuple[float, float],
    count: int = DEFAULT_COUNT,
) -> Suggestions:
    """Cluster a distribution [bins] over bin centres [bins, 2] into at most `count` colours in the sRGB gamut at `L`.

    Bins outside the gamut at this L are projected into it first. The paper draws 25,000 samples and clusters those;
    weighted k-means of the bins gives the same result without randomness. Up to DISTINCT_COUNT colours are clearly
    different as far as the distribution goes. current: the ab shown now.
    """
    points, weights = _in_gamut(centres, L), probabilities.astype(np.float64)
    means, masses = weighted_kmeans(points, weights, count)
    means = _in_gamut(means, L)
    if count <= DISTINCT_COUNT:
        means, masses = _by_mass(distinct(points, weights, means, count), points, weights)
    swatches = tuple(Swatch(float(a), float(b), float(m)) for (a, b), m in zip(means, masses, strict=True))
    return Suggestions(float(L), swatches, current)


def distinct(
    points: NDArray[np.float64], weights: NDArray[np.float64], means: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Colours [k, 2] at least APART from each other.

    First come those of `means` [m, 2], which are in falling order of mass. Then come those of `points` [n, 2] with the
    most mass near them that lies APART from the colours so far. If it is less than MIN_MASS, the remaining means fill
    up to `count`. weights [n]: of the points, of any sum.
    """
    chosen, others = [means[0]], []
    for mean in means[1:]:
        (chosen if _distance(mean[None], chosen).min() >= APART else others).append(mean)
    near = _distance(points, points) < NEAR
    while len(chosen) < count:
        is_apart = (_distance(points, chosen) >= APART).all(1)
        mass = np.where(is_apart, near @ (weights * is_apart) / weights.sum(), 0)
        if mass.max() < MIN_MASS:
            break
        chosen.append(points[int(mass.argmax())])
    return np.array([*chosen, *others][:count])


def _by_mass(
    colours: NDArray[np.float64], points: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colours [k, 2] in falling order of the mass of the points nearest to them, and these masses [k], of sum 1."""
    masses = np.bincount(_distance(points, colours).argmin(1), weights, len(colours)) / weights.sum()
    order = np.argsort(-masses, kind="stable")
    return colours[order], masses[order]


def _in_gamut(ab: NDArray[np.floating], L: float) -> NDArray[np.float64]:
    """ab [n, 2] projected into the sRGB gamut at L."""
    lab = np.column_stack([np.full(len(ab), L), ab]).astype(np.float64)
    return project_into_gamut(lab)[:, 1:].astype(np.float64)


def _distance(first: NDArray[np.float64], second: ArrayLike) -> NDArray[np.float64]:
    """Distances [n, m] of points [n, 2] and [m, 2]."""
    return np.sqrt(((first[:, None] - np.asarray(second)) ** 2).sum(-1))


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
