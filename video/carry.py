"""Carry hints through the frames of a video by optical flow, until they are lost or the shot changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine.hints import WORKING_PX, Hint
from ..engine.painter import Painter
from ..engine.strokes import Stroke, points_of
from .flow import Flow
from .hints import VideoHint, is_due

# A point is lost when the two directions of the flow disagree at it in so many frames on end.
MAX_MISSES = 3
LOST, LEFT, CUT, REPLACED = (
    "it was lost from sight",
    "it left the picture",
    "the shot changes",
    "newer hints needed its room",
)


class Point(msgspec.Struct):
    """A point hint that is carried. hint: the index of its hint. x, y: in working pixels. misses: see MAX_MISSES."""

    hint: int
    x: float
    y: float
    a: float
    b: float
    size: int
    misses: int = 0


class Ended(msgspec.Struct, frozen=True):
    """A hint ended before its time, at a frame. x, y in 0…1: where it was in the frame before. why: for people."""

    hint: int
    frame: int
    time_s: float
    x: float
    y: float
    why: str


class CarriedState(msgspec.Struct):
    """All that the next frame needs to know: the points, and how many starts and keys of each hint were used."""

    points: list[Point]
    used: list[int]


@dataclass(frozen=True)
class Step:
    """The hints of a frame. older: those without the ones that started here, or were moved by a key."""

    hints: tuple[Hint, ...]
    older: tuple[Hint, ...]

    @property
    def is_new(self) -> bool:
        """Whether a hint started here, or a key moved it."""
        return self.hints != self.older


class Carrier:
    """The hints of a video, one frame after the other. ended: hints that ended before their time."""

    def __init__(self, hints: Sequence[VideoHint], max_hints: int) -> None:
        """max_hints: the most points at a time; 0 for no limit."""
        self._hints = tuple(hints)
        self._max_hints = max_hints
        self.state = CarriedState([], [0] * len(self._hints))
        self.ended: list[Ended] = []

    @property
    def points(self) -> list[Point]:
        """The points of the last frame, with the indices of their hints."""
        return self.state.points

    @property
    def unused(self) -> list[int]:
        """The indices of hints that have not started."""
        return [index for index, used in enumerate(self.state.used) if not used]

    def step(self, flow: Flow | None, frame: int, time_s: float, painter: Painter) -> Step:
        """Go to the next frame. flow: from the last frame to it; None where a shot starts. painter: of this frame.

        Raises HintRejected where hints that start together have no room.
        """
        before = {point.hint: (point.x, point.y) for point in self.points}
        reasons = self._follow(flow)
        self.state.points = [p for p in self.points if not _is_over(self._hints[p.hint], time_s)]
        followed = {id(point) for point in self.points}
        for index in range(len(self._hints)):
            self._use_keys(index, time_s, painter)
        reasons.update(self._make_room())
        present = {point.hint for point in self.points}
        for index, why in reasons.items():
            if index not in present and not _is_over(self._hints[index], time_s):
                x, y = (min(max((v + 0.5) / WORKING_PX, 0.0), 1.0) for v in before.get(index, (0.0, 0.0)))
                self.ended.append(Ended(index, frame, time_s, round(x, 4), round(y, 4), why))
        seen = [point for point in self.points if not point.misses]
        older = tuple(_as_hint(point) for point in seen if id(point) in followed)
        return Step(tuple(map(_as_hint, seen)), older)

    def _follow(self, flow: Flow | None) -> dict[int, str]:
        """Move the points; returns why hints lost points."""
        if flow is None:
            reasons = {point.hint: CUT for point in self.points}
            self.state.points = []
            return reasons
        places, agrees = flow.follow(_places(self.points))
        kept, reasons = [], {}
        for point, (x, y), agreed in zip(self.points, places, agrees, strict=True):
            point.x, point.y, point.misses = float(x), float(y), 0 if agreed else point.misses + 1
            if not (-0.5 <= x <= WORKING_PX - 0.5 and -0.5 <= y <= WORKING_PX - 0.5):
                reasons[point.hint] = LEFT
            elif point.misses >= MAX_MISSES:
                reasons[point.hint] = LOST
            else:
                kept.append(point)
        self.state.points = kept
        return reasons

    def _use_keys(self, index: int, time_s: float, painter: Painter) -> None:
        """Start a hint, or put it where its last key that is due says."""
        hint, used = self._hints[index], self.state.used[index]
        due = int(is_due(hint.t, time_s)) and 1 + sum(is_due(key.t, time_s) for key in hint.keys)
        if due <= used or _is_over(hint, time_s):
            return
        self.state.used[index] = due
        self.state.points = [point for point in self.points if point.hint != index]
        if due > 1:
            key, mark = hint.keys[due - 2], hint.mark
            started = [Hint(key.x, key.y, mark.a, mark.b, mark.size)]
        else:
            (started,) = points_of([hint.mark], self._max_hints)
            started = list(painter.projected(started)) if isinstance(hint.mark, Stroke) else started
        self.state.points += [
            Point(index, h.x * WORKING_PX - 0.5, h.y * WORKING_PX - 0.5, h.a, h.b, h.size) for h in started
        ]

    def _make_room(self) -> dict[int, str]:
        """Drop the oldest points beyond the most that the model takes; returns why hints lost points."""
        excess = len(self.points) - self._max_hints if self._max_hints else 0
        dropped = self.points[: max(excess, 0)]
        self.state.points = self.points[len(dropped) :]
        return {point.hint: REPLACED for point in dropped}


def _is_over(hint: VideoHint, time_s: float) -> bool:
    return hint.until is not None and not is_due(time_s, hint.until)


def _places(points: Sequence[Point]) -> NDArray[np.float64]:
    return np.array([(point.x, point.y) for point in points], np.float64).reshape(-1, 2)


def _as_hint(point: Point) -> Hint:
    x, y = (min(max((v + 0.5) / WORKING_PX, 0.0), 1.0) for v in (point.x, point.y))
    return Hint(x, y, point.a, point.b, point.size)
