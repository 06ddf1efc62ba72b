"""The frames and places of a video where a hint would help most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..engine.image.photo import Photo
from ..engine.next_touch import Place
from ..engine.runners.base import Runner, check_hints, check_vivid, distribution_table
from .frames import FrameColourer
from .hints import VideoEdits
from .source import Video

# A shot is asked at its first frame, then again after this time, and where a hint was lost.
EVERY_S = 4.0
PLACES_A_FRAME = 3


@dataclass(frozen=True)
class VideoPlace:
    """A place for a hint.

    frame, time_s: of the frame. x, y: in 0…1. worth: of `Place`, times the number of frames, in squared CIELAB units.
    frames: how many the hint is counted for: up to the next frame that was asked.
    """

    frame: int
    time_s: float
    x: float
    y: float
    worth: float
    frames: int


@dataclass
class _Asked:
    """A frame that was asked."""

    frame: int
    time_s: float
    shot: int
    ended: int
    places: tuple[Place, ...]


def where(
    video: Video,
    runner: Runner,
    edits: VideoEdits,
    count: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[VideoPlace]:
    """The `count` places where a hint would help most, given the hints of `edits`; the best first.

    Raises HintRejected and ImageRejected, and ModelFileError for a model without a distribution.
    """
    distribution_table(runner.bundle)
    check_vivid(runner.bundle, edits.vivid)
    check_hints(runner.bundle, [], edits.global_hints)
    colourer = FrameColourer(runner, edits)
    best: list[VideoPlace] = []
    asked: _Asked | None = None
    for frame in video.read():
        time_s = video.time_s(frame.pts)
        painter, _ = colourer.next(Photo.from_rgb(frame.rgb), time_s)
        shot, ended = len(colourer.shots), len(colourer.ended)
        if asked is None or shot != asked.shot or ended != asked.ended or time_s - asked.time_s >= EVERY_S:
            best = _best(best, asked, colourer.frames - 1, count)
            places = painter.next_touches(colourer.hints, edits.global_hints, min(count, PLACES_A_FRAME))
            asked = _Asked(colourer.frames - 1, time_s, shot, ended, places)
        progress(colourer.frames, max(video.frames, colourer.frames))
    return _best(best, asked, colourer.frames, count)


def _best(best: list[VideoPlace], asked: _Asked | None, end: int, count: int) -> list[VideoPlace]:
    """The `count` best of the places so far and those of a frame, which stands for the frames up to `end`."""
    if asked is None:
        return best
    frames = end - asked.frame
    found = [
        VideoPlace(asked.frame, asked.time_s, place.x, place.y, place.worth * frames, frames) for place in asked.places
    ]
    return sorted([*best, *found], key=lambda place: -place.worth)[:count]
