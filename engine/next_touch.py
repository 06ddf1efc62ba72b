"""Where to touch next: the places where a true hint is expected to reduce the error of the whole picture most.

The distribution gives the expected squared error of the colour shown at every cell. A trial hint at a place gives the
response: the fraction f of the hint's change that each cell follows. f is then the network's best estimate of the
cell's error relative to the error at the place, so a true hint there reduces the cell's squared error by f² times the
squared error at the place. That error is limited to its mean over the cells that respond: an outlier counts for no
more than the region it stands for. A hint sets the mean of its patch, which says less about the picture where L is
uneven, so such places count for less. A place is worth the expected reduction averaged over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .colour.global_hints import GlobalHints
from .errors import HintRejected
from .hints import DEFAULT_SIZE_PX, Hint
from .runners.base import NO_GLOBAL_HINTS, Features, Runner, check_hints, distribution_table

# Cells a side at which uncertainty is computed, and blocks a side, in each of which one candidate is tried.
GRID, BLOCKS = 16, 8
# L is even where it varies little within EVEN_PX working pixels around a place. A standard deviation of EVEN_L halves
# the worth of a hint there. Candidates lie at least INSIDE_PX from the border of their block.
EVEN_PX, EVEN_L, INSIDE_PX = 9, 4.0, 4
# A trial hint changes the colour of its place by at least this much, so that the response is not lost in rounding.
MIN_TRIAL_AB = 10.0
# The least distance of places from one another and from hints, relative to the side, while enough candidates are left.
MIN_APART = 0.12


@dataclass(frozen=True)
class Place:
    """A place for a hint.

    x, y: in 0…1. worth: the expected reduction of the mean squared error of ab over the picture by a true hint here,
    in squared CIELAB units; less where L is uneven.
    """

    x: float
    y: float
    worth: float


@dataclass(frozen=True)
class Uncertainty:
    """How uncertain the network is at some points.

    shown: float64 [points, 2], the ab shown. error: float64 [points], the expected squared distance of the true ab
    from it. direction: float64 [points, 2], of unit length: the direction in which the true ab differs most.
    """

    shown: NDArray[np.float64]
    error: NDArray[np.float64]
    direction: NDArray[np.float64]


def cell_centres() -> NDArray[np.float32]:
    """Centres of the cells, float32 [cells, 2] as x, y in 0…1."""
    steps = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    return np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2).astype(np.float32)


def uncertainty(
    points: NDArray[np.float32],
    shown: NDArray[np.float64],
    runner: Runner,
    features: Features,
    hints: Sequence[Hint] = (),
    global_hints: GlobalHints = NO_GLOBAL_HINTS,
) -> Uncertainty:
    """Spread of the distribution about the colours `shown`, ab [points, 2], at `points` [points, 2] (x, y in 0…1).

    Raises ModelFileError for models without a distribution.
    """
    table = distribution_table(runner.bundle)
    probabilities = runner.distribution(features, hints, global_hints, points).astype(np.float64)
    centres = table.centres.astype(np.float64)
    offset = probabilities @ centres - shown
    second = np.einsum("pk,ki,kj->pij", probabilities, centres, centres)
    mean = offset + shown
    covariance = second - mean[:, :, None] * mean[:, None] + offset[:, :, None] * offset[:, None]
    directions = np.linalg.eigh(covariance)[1][..., -1]
    return Uncertainty(shown, np.trace(covariance, axis1=1, axis2=2).clip(0), directions)


def next_touches(
    runner: Runner,
    features: Features,
    L: NDArray[np.float32],
    hints: Sequence[Hint] = (),
    global_hints: GlobalHints = NO_GLOBAL_HINTS,
    count: int = 1,
) -> tuple[Place, ...]:
    """The `count` places to touch next, the best first; each takes the reductions by those before it into account.

    L: the working L that `features` were made of, float32 [256, 256] in 0…100. Every candidate costs one touch, for
    its trial hint: 64 of them. Raises HintRejected where the model takes no further hint, ModelFileError where it
    has no distribution.
    """
    if not 1 <= count <= BLOCKS**2:
        raise HintRejected(f"{count} places were asked for; from 1 to {BLOCKS**2} can be named")
    search = NextTouchSearch(runner, features, L, hints, global_hints)
    while not search.step():
        pass
    return search.places(count)


class NextTouchSearch:
    """The work of `next_touches` in steps of about one touch each, so that other work can be done between them.

    Arguments and errors are those of `next_touches`.
    """

    def __init__(
        self,
        runner: Runner,
        features: Features,
        L: NDArray[np.float32],
        hints: Sequence[Hint] = (),
        global_hints: GlobalHints = NO_GLOBAL_HINTS,
    ) -> None:
        check_hints(runner.bundle, [*hints, Hint(0.5, 0.5, 0, 0)], global_hints)
        distribution_table(runner.bundle)
        self._runner, self._features = runner, features
        self._hints, self._global_hints = tuple(hints), global_hints
        self._points, self._evenness = _candidates(L)
        # float64: response of every cell to a trial hint at every candidate, [candidates, cells] in 0…1; expected
        # squared error at the candidates, [candidates], and in the cells, [cells].
        self._response = np.zeros((len(self._points), GRID**2))
        self._point_error = np.zeros(len(self._points))
        self._error = np.zeros(GRID**2)
        self._steps = self._search()

    def step(self) -> bool:
        """Do one step more. Returns whether the search is finished, after which `places` can be asked for."""
        return next(self._steps, True)

    def places(self, count: int = 1) -> tuple[Place, ...]:
        """The `count` best places of a finished search, the best first."""
        error, is_free = self._error, np.ones(len(self._points), np.bool_)
        distance = np.full(len(self._points), np.inf)
        for hint in self._hints:
            distance = np.minimum(distance, np.hypot(*(self._points - (hint.x, hint.y)).T))
        places: list[Place] = []
        for _ in range(count):
            reduction = _expected_reduction(self._response**2, self._point_error, error)
            worth = reduction.mean(1) * self._evenness
            is_apart = is_free & (distance >= MIN_APART)
            best = int(np.argmax(np.where(is_apart if is_apart.any() else is_free, worth, -1)))
            x, y = map(float, self._points[best])
            places.append(Place(x, y, float(worth[best])))
            error, is_free[best] = error - reduction[best], False
            distance = np.minimum(distance, np.hypot(*(self._points - (x, y)).T))
        return tuple(places)

    def _search(self) -> Iterator[bool]:
        """Yields False after every step but the last."""
        ab = self._colorize(self._hints)
        before = _cells(ab)
        yield False
        self._error = self._uncertainty(cell_centres(), before).error
        yield False
        columns, rows = (self._points.T * np.array([[ab.shape[2]], [ab.shape[1]]])).astype(np.intp)
        at_points = self._uncertainty(self._points, ab[:, rows, columns].T.astype(np.float64))
        self._point_error = at_points.error
        for i, (x, y) in enumerate(self._points):
            yield False
            change = at_points.direction[i] * max(MIN_TRIAL_AB, float(np.sqrt(at_points.error[i])))
            a, b = at_points.shown[i] + change
            trial = Hint(float(x), float(y), float(a), float(b), DEFAULT_SIZE_PX)
            moved = _cells(self._colorize([*self._hints, trial])) - before
            self._response[i] = np.clip(moved @ change / (change @ change), 0, 1)

    def _colorize(self, hints: Sequence[Hint]) -> NDArray[np.float32]:
        return self._runner.colorize(self._features, hints, self._global_hints)

    def _uncertainty(self, points: NDArray[np.float32], shown: NDArray[np.float64]) -> Uncertainty:
        return uncertainty(points, shown, self._runner, self._features, self._hints, self._global_hints)


def _expected_reduction(
    squared_response: NDArray[np.float64], point_error: NDArray[np.float64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """By how much a true hint at each candidate is expected to reduce the squared error of every cell.

    squared_response [candidates, cells]; point_error [candidates] and error [cells]: expected squared errors at the
    candidates and in the cells. Returns [candidates, cells].
    """
    region_error = squared_response @ error / np.maximum(squared_response.sum(1), 1e-9)
    return np.minimum(squared_response * np.minimum(point_error, region_error)[:, None], error)


def _candidates(L: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The place of every block where L [H, W] is most even, float32 [blocks, 2] as x, y in 0…1, and the factor by
    which its evenness scales the worth of a hint, [blocks] in 0…1."""
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
