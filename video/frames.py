"""Colour the frames of a video one after the other, with all that one frame tells the next."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine.hints import Hint
from ..engine.image.compose import apply_strength, compose
from ..engine.image.photo import Photo
from ..engine.painter import Painter
from ..engine.runners.base import Runner
from .carry import CarriedState, Carrier, Ended, Point
from .flow import Flow, FlowFinder, Plane, grey_of
from .hints import VideoEdits
from .shots import is_cut
from .steady import agreement, steadied

Rgb = NDArray[np.uint8]


class Shot(msgspec.Struct):
    """A shot. start, frames: its first frame and how many it has so far. time_s: of its first frame."""

    start: int
    time_s: float
    frames: int = 0


class State(msgspec.Struct):
    """What the next frame needs, beside ab and L of the last one; it is written to disk after every segment."""

    carried: CarriedState
    ended: list[Ended]
    shots: list[Shot]
    frames: int = 0


# Is told the number of the shot, the coloured frame and the points on it, where a shot or a hint starts.
Picture = Callable[[int, Rgb, list[Point]], None]


class FrameColourer:
    """Colours frames in their order. shots, ended: what was found so far. frames: their number. hints: of the last."""

    def __init__(
        self,
        runner: Runner,
        edits: VideoEdits,
        upsampling: str = "bilinear",
        picture: Picture = lambda shot, rgb, points: None,
    ) -> None:
        self._runner, self._edits, self._upsampling, self._picture = runner, edits, upsampling, picture
        self._carrier = Carrier(edits.hints, runner.bundle.manifest.input.max_hints)
        self._flows = FlowFinder()
        self._last: tuple[Plane, Plane] | None = None  # ab and L
        self.shots: list[Shot] = []
        self.frames = 0
        self._is_new = False
        self.hints: tuple[Hint, ...] = ()

    @property
    def ended(self) -> list[Ended]:
        return self._carrier.ended

    @property
    def unused(self) -> list[int]:
        """The indices of hints that have not started."""
        return self._carrier.unused

    def colour(self, rgb: Rgb, time_s: float) -> Rgb:
        """The coloured frame, uint8 sRGB [H, W, 3]. time_s: from the start of the video."""
        photo = Photo.from_rgb(rgb)
        ab = self.next(photo, time_s)[1]
        coloured = compose(photo.L, apply_strength(ab, self._edits.strength), method=self._upsampling)
        if self._is_new:
            self._picture(len(self.shots) - 1, coloured, self._carrier.points)
        return coloured

    def next(self, photo: Photo, time_s: float) -> tuple[Painter, Plane]:
        """The painter of the next frame, and its ab, float32 [2, 256, 256]."""
        painter = Painter(photo, self._runner, self._edits.vivid)
        flow, alike = self._flow_to(photo.working_L)
        if flow is None:
            self.shots.append(Shot(self.frames, time_s))
        step = self._carrier.step(flow, self.frames, time_s, painter)
        self.hints = step.hints
        ab = painter.ab(step.hints, self._edits.global_hints)
        if flow is not None and alike is not None and self._last is not None:
            moved = flow.warp(self._last[0])
            if step.is_new:
                # A new hint shows at once: the colours of the past get the change that it makes.
                moved += ab - painter.ab(step.older, self._edits.global_hints)
            ab = steadied(ab, moved, alike)
        self._last = ab, photo.working_L
        self._is_new = step.is_new or flow is None
        self.shots[-1].frames += 1
        self.frames += 1
        return painter, ab

    def _flow_to(self, L: Plane) -> tuple[Flow | None, Plane | None]:
        """The flow from the last frame to this L, and where both agree; None where a shot starts."""
        if self._last is None:
            return None, None
        earlier_L = self._last[1]
        flow = self._flows.between(grey_of(earlier_L), grey_of(L))
        alike = agreement(flow, earlier_L, L)
        return (None, None) if is_cut(alike, earlier_L, L) else (flow, alike)

    # State

    def state(self) -> tuple[State, Plane, Plane]:
        """What the next frame needs: the state, and ab float32 [2, 256, 256] and L float32 [256, 256] of the last."""
        assert self._last is not None
        return State(self._carrier.state, self.ended, self.shots, self.frames), *self._last

    def restore(self, state: State, ab: Plane, L: Plane) -> None:
        """Continue after the frame that gave this `state`."""
        self._carrier.state, self._carrier.ended[:] = state.carried, state.ended
        self.shots, self.frames, self._last = state.shots, state.frames, (ab, L)
