"""Strokes: one colour painted along lines or at several places, turned into the point hints that carry it.

A network knows points alone. A line becomes points spaced by arc length, so that their patches of influence meet. A
model takes a limited number of points; where strokes would need more, they share them fairly: no line has more points
than another that still lacks some, and nothing is left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import HintRejected
from .hints import DEFAULT_SIZE_PX, MAX_LINE_POINTS, WORKING_PX, Hint, Line, Point, as_lines
from .regions import Region

# Distance between the points of a line, in working pixels, where there are enough of them.
SPACING_PX = 12.0


@dataclass(frozen=True, slots=True)
class Stroke:
    """One colour painted along lines.

    lines: each a sequence of points (x, y) in 0…1, x to the right, y down; a line of one point is a tap. Several lines
    are several places of one colour. a, b, size: as of `Hint`; at each point ab is projected into the gamut at the L
    there. inside: the region that it may colour; None for wherever the network spreads it. Raises HintRejected for
    lines without points or with more than MAX_LINE_POINTS, and as `Hint` does.
    """

    lines: tuple[Line, ...]
    a: float
    b: float
    size: int = DEFAULT_SIZE_PX
    inside: Region | None = None

    def __post_init__(self) -> None:
        try:
            lines = as_lines(self.lines)
        except (TypeError, ValueError) as error:
            raise HintRejected(
                f"the lines of a stroke are lists of points [x, y]; this is {self.lines!r:.80}"
            ) from error
        if not lines or not all(lines):
            raise HintRejected("a stroke has at least one line, and each line at least one point")
        longest = max(map(len, lines))
        if longest > MAX_LINE_POINTS:
            raise HintRejected(f"a line of a stroke has {longest} points; at most {MAX_LINE_POINTS} are possible")
        points = [Hint(x, y, self.a, self.b, self.size) for x, y in itertools.chain.from_iterable(lines)]
        object.__setattr__(self, "lines", lines)
        object.__setattr__(self, "size", points[0].size)

    def moved(self, x: float, y: float) -> Stroke:
        """The stroke shifted as a whole, so that its first point lies at (x, y in 0…1).

        It stops at the photograph's edges. Raises HintRejected for a point outside the photograph.
        """
        Hint(x, y, self.a, self.b, self.size)
        points = np.array(list(itertools.chain.from_iterable(self.lines)))
        shift = np.clip((x, y) - points[0], -points.min(0), 1 - points.max(0))
        return replace(self, lines=as_lines(_inside(line, shift) for line in self.lines))

    def passes(self, x: float, y: float, distance_px: float) -> bool:
        """Whether a line comes within `distance_px` working pixels of (x, y in 0…1), in both directions."""
        point = np.array([x, y]) * WORKING_PX
        return any(_distance(np.array(line) * WORKING_PX, point) <= distance_px for line in self.lines)


# What a person puts on a photograph.
Mark: TypeAlias = Hint | Stroke


def region_of(mark: Mark) -> Region | None:
    """The region that a mark is kept inside; None for points, and for strokes without one."""
    return mark.inside if isinstance(mark, Stroke) else None


def as_stroke(mark: Mark) -> Stroke:
    """A hint as the stroke of one point; a stroke as it is."""
    return mark if isinstance(mark, Stroke) else Stroke((((mark.x, mark.y),),), mark.a, mark.b, mark.size)


def points_of(marks: Sequence[Mark], max_hints: int) -> list[list[Hint]]:
    """The point hints of each mark, in the order of the marks; the ab of strokes is not projected yet.

    max_hints: the most points of all marks together; 0 for no limit. Raises HintRejected where not even one point for
    each line fits.
    """
    lines = [mark.lines if isinstance(mark, Stroke) else ((),) for mark in marks]
    wanted = [points_wanted(line) for of_mark in lines for line in of_mark]
    if max_hints and len(wanted) > max_hints:
        raise HintRejected(
            f"there is room for {max_hints} points and lines of strokes, not for {len(wanted)}; remove some"
        )
    counts = iter(fair_shares(wanted, max_hints or sum(wanted)))
    found: list[list[Hint]] = []
    for mark in marks:
        if isinstance(mark, Stroke):
            spaced = [point for line in mark.lines for point in _spaced(line, next(counts))]
            found.append([Hint(x, y, mark.a, mark.b, mark.size) for x, y in spaced])
        else:
            next(counts)
            found.append([mark])
    return found


def points_wanted(line: Line) -> int:
    """How many points carry a line: one, and another for every SPACING_PX of its length."""
    return 1 + math.ceil(_lengths(line)[-1] / SPACING_PX - 1e-9) if len(line) > 1 else 1


def fair_shares(wanted: Sequence[int], room: int) -> list[int]:
    """How many of `room` each gets: what it wants, or where that is too much for all, a common limit.

    What the limit leaves over goes to the first that lack some. Everyone gets at least one, so `room` must be at least
    their number.
    """
    limit = 0
    while sum(min(want, limit + 1) for want in wanted) <= room and limit < max(wanted, default=0):
        limit += 1
    left = room - sum(min(want, limit) for want in wanted)
    shares = []
    for want in wanted:
        extra = int(want > limit and left > 0)
        left -= extra
        shares.append(min(want, limit) + extra)
    return shares


def _spaced(line: Line, count: int) -> list[Point]:
    """`count` points on a line at equal distances of arc length, from its start to its end; its middle for one."""
    along = _lengths(line)
    total = along[-1]
    places = np.linspace(0, total, count) if count > 1 else np.array([total / 2])
    x, y = (np.interp(places, along, values) for values in np.array(line).T)
    return [(min(max(float(px), 0.0), 1.0), min(max(float(py), 0.0), 1.0)) for px, py in zip(x, y, strict=True)]


def _lengths(line: Line) -> NDArray[np.float64]:
    """Arc length from the start to each point of a line, in working pixels."""
    if not line:
        return np.zeros(1)
    steps = np.diff(np.array(line) * WORKING_PX, axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])


def _inside(line: Line, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(np.array(line) + shift, 0, 1)


def _distance(line: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    """The smallest distance (in x or y, whichever is larger) of sampled points of a line [N, 2] to a point."""
    if len(line) == 1:
        return float(np.abs(line[0] - point).max())
    start, step = line[:-1], np.diff(line, axis=0)
    squared = np.maximum((step**2).sum(1), 1e-12)
    along = np.clip(((point - start) * step).sum(1) / squared, 0, 1)[:, None]
    return float(np.abs(start + along * step - point).max(1).min())
