"""Where to touch next: the places where a hint would settle most of what the network does not know.

The distribution says how far the true colour of every cell may lie from the one shown; a trial hint says how much
of the picture moves along with a place. If the network moves a cell by the share f of a hint's change, it holds f to
be the best guess of the cell's error from the hint's; the hint then settles f² of the place's own squared error there.
An outlier, less sure than what moves along with it, promises no more than that does. A hint shows the mean of its
patch, which says less of the picture where light is uneven. A place is worth what it settles over the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .colour.global_hints import GlobalHints
from .errors import HintRejected
from .hints import DEFAULT_SIZE_PX, Hint
from .runners.base import NO_GLOBAL_HINTS, Features, Runner, check_hints, distribution_table

# Cells a side in which uncertainty is held, and blocks a side, in each of which one candidate is tried.
GRID, BLOCKS = 16, 8
# Light is even where it varies little within a window of EVEN_PX working pixels around a place; a standard deviation
# of EVEN_L, in CIELAB units, halves what a hint there is worth. Candidates keep INSIDE_PX off their block's border.
EVEN_PX, EVEN_L, INSIDE_PX = 9, 4.0, 4
# A trial hint moves its place by at least so much, in CIELAB units, lest rounding answer for the network.
MIN_TRIAL = 10.0
# Places lie at least so far from one another and from the hints (of the side), as long as there are any that do.
MIN_APART = 0.12


@dataclass(frozen=True)
class Place:
    """x, y in 0…1; worth: the mean squared error of ab over the picture that a true hint here is expected to
    settle, in squared CIELAB units, less where light is uneven."""

    x: float
    y: float
    worth: float


@dataclass(frozen=True)
class Doubt:
    """How unsure the network is at some points.

    shown float64 [points, 2]: ab as it is shown; error [points]: expected squared distance of the true ab from it;
    direction [points, 2]: the likeliest way for it to differ, of unit length.
    """

    shown: NDArray[np.float64]
    error: NDArray[np.float64]
    direction: NDArray[np.float64]


def cell_centres() -> NDArray[np.float32]:
    """Centres of the cells, float32 [cells, 2] as x, y in 0…1."""
    steps = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2).astype(np.float32)


def doubt(
    points: NDArray[np.float32],
    shown: NDArray[np.float64],
    runner: Runner,
    features: Features,
    hints: Sequence[Hint] = (),
    global_hints: GlobalHints = NO_GLOBAL_HINTS,
) -> Doubt:
    """Spread of the distribution about the colours `shown`, ab [points, 2], at `points` [points, 2] (x, y in 0…1).
    Raises ModelFileError for models without a distribution."""
    table = distribution_table(runner.bundle)
    probabilities = runner.distribution(features, hints, global_hints, points).astype(np.float64)
    centres = table.centres.astype(np.float64)
    offset = probabilities @ centres - shown
    second = np.einsum("pk,ki,kj->pij", probabilities, centres, centres)
    mean = offset + shown
    covariance = second - mean[:, :, None] * mean[:, None] + offset[:, :, None] * offset[:, None]
    directions = np.linalg.eigh(covariance)[1][..., -1]
    return Doubt(shown, np.trace(covariance, axis1=1, axis2=2).clip(0), directions)


def next_touches(
    runner: Runner,
    features: Features,
    L: NDArray[np.float32],
    hints: Sequence[Hint] = (),
    global_hints: GlobalHints = NO_GLOBAL_HINTS,
    count: int = 1,
) -> tuple[Place, ...]:
    """The `count` places to touch next, the best first; each takes into account what those before it settle.

    light: the working L that `features` were made of, float32 [256, 256] in 0…100. A trial hint at each candidate
    costs one touch: 64 of them. Raises HintRejected where the model takes no further hint, ModelFileError where it
    has no distribution.
    """
    if not 1 <= count <= BLOCKS**2:
        raise HintRejected(f"{count} places were asked for; from 1 to {BLOCKS**2} can be named")
    check_hints(runner.bundle, [*hints, Hint(0.5, 0.5, 0, 0)], global_hints)
    ab = runner.colorize(features, hints, global_hints)
    unsure = doubt(cell_centres(), _cells(ab), runner, features, hints, global_hints)
    points, evenness = _candidates(L)
    follows, own = _trials(points, ab, runner, features, hints, global_hints)
    error = unsure.error.copy()
    free = np.ones(len(points), np.bool_)
    apart = np.full(len(points), np.inf)
    for hint in hints:
        apart = np.minimum(apart, np.hypot(*(points - (hint.x, hint.y)).T))
    places: list[Place] = []
    for _ in range(count):
        settled = _settled(follows**2, own, error)
        worth = settled.mean(1) * evenness
        allowed = free & (apart >= MIN_APART)
        best = int(np.argmax(np.where(allowed if allowed.any() else free, worth, -1)))
        x, y = map(float, points[best])
        places.append(Place(x, y, float(worth[best])))
        error, free[best] = error - settled[best], False
        apart = np.minimum(apart, np.hypot(*(points - (x, y)).T))
    return tuple(places)


def _settled(shares: NDArray[np.float64], own: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a true hint at each candidate is expected to take off the squared error of every cell, [candidates, cells].

    shares: squares of how much every cell follows each candidate, of that shape; own [candidates], error [cells]:
    expected squared errors at the candidates and everywhere.
    """
    along = shares @ error / np.maximum(shares.sum(1), 1e-9)
    return np.minimum(shares * np.minimum(own, along)[:, None], error)


def _trials(
    points: NDArray[np.float32],
    ab: NDArray[np.float32],
    runner: Runner,
    features: Features,
    hints: Sequence[Hint],
    global_hints: GlobalHints,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A trial hint at every point: how much of its change every cell takes part in, 0…1 [points, cells], and the
    expected squared error at the point itself [points]. ab [2, H, W]: what is shown without the trial."""
    columns, rows = (points.T * np.array([[ab.shape[2]], [ab.shape[1]]])).astype(np.intp)
    here = doubt(points, ab[:, rows, columns].T.astype(np.float64), runner, features, hints, global_hints)
    before, follows = _cells(ab), []
    for (x, y), shown, error, direction in zip(points, here.shown, here.error, here.direction, strict=True):
        change = direction * max(MIN_TRIAL, float(np.sqrt(error)))
        a, b = shown + change
        trial = Hint(float(x), float(y), float(a), float(b), DEFAULT_SIZE_PX)
        moved = _cells(runner.colorize(features, [*hints, trial], global_hints)) - before
        follows.append(np.clip(moved @ change / (change @ change), 0, 1))
    return np.stack(follows), here.error


def _candidates(L: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The evenest place of light [H, W] in every block, float32 [blocks, 2] as x, y in 0…1, and what its evenness
    leaves of a hint's worth, 0…1 [blocks]."""
    window = (EVEN_PX, EVEN_PX)
    squares, means = cv2.sqrBoxFilter(L, cv2.CV_32F, window), cv2.blur(L, window)
    spread = np.sqrt(np.maximum(squares - means**2, 0))
    size = np.array(L.shape) // BLOCKS
    points, evenness = [], []
    for corner in np.ndindex(BLOCKS, BLOCKS):
        top, left = np.array(corner) * size + INSIDE_PX
        bottom, right = np.array(corner) * size + size - INSIDE_PX
        block = spread[top:bottom, left:right]
        row, column = np.unravel_index(int(block.argmin()), block.shape)
        points.append(((left + column + 0.5) / L.shape[1], (top + row + 0.5) / L.shape[0]))
        evenness.append(EVEN_L / (EVEN_L + float(block[row, column])))
    return np.array(points, np.float32), np.array(evenness)


def _cells(ab: NDArray[np.float32]) -> NDArray[np.float64]:
    """ab [2, H, W] → its means over the cells, float64 [cells, 2]."""
    planes = [cv2.resize(plane, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(-1) for plane in ab]
    return np.stack(planes, 1).astype(np.float64)
