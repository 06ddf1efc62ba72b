"""Where to touch next: the places where a hint would settle most of what the network does not know.

The distribution says how far the true colour of every cell may lie from the one shown; a trial hint says how much
of the picture moves along with a place. If the network moves a cell by the share f of a hint's change, it holds f to
be the best guess of the cell's error from the hint's; the hint then settles f² of the place's own squared error there.
An outlier, less sure than what moves along with it, promises no more than that does. A place is worth what it settles
over the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import HintRejected
from .hints import USUAL_PX, Hint
from .runner import NO_GLOBAL_HINTS, Features, Runner, check_hints, distribution_table
from .statistics import GlobalHints

# Cells a side in which uncertainty is held; one candidate is tried in every block of BLOCK × BLOCK cells.
GRID, BLOCK = 16, 2
# A trial hint moves its place by at least so much, in CIELAB units, lest rounding answer for the network.
SMALLEST_TRIAL = 10.0
# Places lie at least so far from one another and from the hints (of the side), as long as there are any that do.
LEAST_APART = 0.12


@dataclass(frozen=True)
class Place:
    """x, y in 0…1; worth: the mean squared error of ab over the picture that a true hint here is expected to
    settle, in squared CIELAB units."""

    x: float
    y: float
    worth: float


@dataclass(frozen=True)
class Doubt:
    """How unsure the network is, cell by cell of GRID × GRID, rows first.

    shown float64 [cells, 2]: ab as it is shown; error [cells]: expected squared distance of the true ab from it;
    direction [cells, 2]: the likeliest way for it to differ, of unit length.
    """

    shown: NDArray[np.float64]
    error: NDArray[np.float64]
    direction: NDArray[np.float64]


def cell_centres() -> NDArray[np.float32]:
    """Centres of the cells, float32 [cells, 2] as x, y in 0…1."""
    steps = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2).astype(np.float32)


def doubt(
    runner: Runner,
    features: Features,
    hints: Sequence[Hint] = (),
    global_hints: GlobalHints = NO_GLOBAL_HINTS,
) -> Doubt:
    """Spread of the distribution about the colours shown, at the centre of every cell. Raises ModelFileError for
    models without a distribution."""
    table = distribution_table(runner.bundle)
    probabilities = runner.distribution(features, hints, global_hints, cell_centres()).astype(np.float64)
    shown = _cells(runner.colorize(features, hints, global_hints))
    centres = table.centres.astype(np.float64)
    offset = probabilities @ centres - shown
    second = np.einsum("pk,ki,kj->pij", probabilities, centres, centres)
    mean = offset + shown
    covariance = second - mean[:, :, None] * mean[:, None] + offset[:, :, None] * offset[:, None]
    directions = np.linalg.eigh(covariance)[1][..., -1]
    return Doubt(shown, np.trace(covariance, axis1=1, axis2=2).clip(0), directions)


def where_to_touch(
    runner: Runner,
    features: Features,
    hints: Sequence[Hint] = (),
    global_hints: GlobalHints = NO_GLOBAL_HINTS,
    count: int = 1,
) -> tuple[Place, ...]:
    """The `count` places to touch next, the best first; each takes into account what those before it settle.

    A trial hint at each candidate costs one touch: 64 of them. Raises HintRejected where the model takes no
    further hint, ModelFileError where it has no distribution.
    """
    candidates = (GRID // BLOCK) ** 2
    if not 1 <= count <= candidates:
        raise HintRejected(f"{count} places were asked for; from 1 to {candidates} can be named")
    trial = Hint(0.5, 0.5, 0, 0)
    check_hints(runner.bundle, [*hints, trial], global_hints)
    unsure = doubt(runner, features, hints, global_hints)
    cells = _candidates()
    follows = np.stack([_following(runner, features, hints, global_hints, unsure, cell) for cell in cells])
    error = unsure.error.copy()
    centres = cell_centres()[cells]
    free = np.ones(candidates, np.bool_)
    apart = np.full(candidates, np.inf)
    for hint in hints:
        apart = np.minimum(apart, np.hypot(*(centres - (hint.x, hint.y)).T))
    places: list[Place] = []
    for _ in range(count):
        settled = _settled(follows**2, error[cells], error)
        worth = settled.mean(1)
        allowed = free & (apart >= LEAST_APART)
        best = int(np.argmax(np.where(allowed if allowed.any() else free, worth, -1)))
        x, y = map(float, centres[best])
        places.append(Place(x, y, float(worth[best])))
        error, free[best] = error - settled[best], False
        apart = np.minimum(apart, np.hypot(*(centres - (x, y)).T))
    return tuple(places)


def _settled(shares: NDArray[np.float64], own: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a true hint at each candidate is expected to take off the squared error of every cell, [candidates, cells].

    shares: squares of how much every cell follows each candidate, of that shape; own [candidates], error [cells]:
    expected squared errors at the candidates and everywhere.
    """
    along = shares @ error / np.maximum(shares.sum(1), 1e-9)
    return np.minimum(shares * np.minimum(own, along)[:, None], error)


def _following(
    runner: Runner,
    features: Features,
    hints: Sequence[Hint],
    global_hints: GlobalHints,
    unsure: Doubt,
    cell: int,
) -> NDArray[np.float64]:
    """How much of a change at one cell every cell takes part in, 0…1 [cells]."""
    shown = unsure.shown
    change = unsure.direction[cell] * max(SMALLEST_TRIAL, float(np.sqrt(unsure.error[cell])))
    x, y = cell_centres()[cell]
    a, b = shown[cell] + change
    tried = runner.colorize(features, [*hints, Hint(float(x), float(y), float(a), float(b), USUAL_PX)], global_hints)
    return np.clip((_cells(tried) - shown) @ change / (change @ change), 0, 1)


def _candidates() -> NDArray[np.intp]:
    """Index of one cell in every block of BLOCK × BLOCK cells, always the same one: the most unsure cell of a block is
    often an outlier, whose colour says little about what lies around it."""
    return np.arange(GRID * GRID).reshape(GRID, GRID)[BLOCK - 1 :: BLOCK, BLOCK - 1 :: BLOCK].reshape(-1)


def _cells(ab: NDArray[np.float32]) -> NDArray[np.float64]:
    """ab [2, H, W] → its means over the cells, float64 [cells, 2]."""
    planes = [cv2.resize(plane, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(-1) for plane in ab]
    return np.stack(planes, 1).astype(np.float64)
