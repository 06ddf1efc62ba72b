"""Hints of a video: the hints of a photograph's JSON (docs/hints.md) with times (docs/video.md)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import msgspec

from ..engine.colour.global_hints import GlobalHints
from ..engine.edits import Edits, parse_edits
from ..engine.errors import ConfigError
from ..engine.hints import Hint
from ..engine.runners.base import NO_GLOBAL_HINTS
from ..engine.strokes import Mark

# A time of a file of hints means the first frame that is not earlier by more than this: people round times.
ROUNDING_S = 0.0006
_TIMES = ("t", "until", "keys")


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a hint is at a time: t in seconds from the start of the video; x, y in 0…1."""

    t: float
    x: float
    y: float


class _Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    t: float = 0.0
    until: float | None = None
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class VideoHint:
    """A hint of a video.

    mark: the point or stroke, as it is at `t`. t, until: in seconds from the start of the video; until None: as long as
    it can be followed. keys: later places of a point, in the order of their times.
    """

    mark: Mark
    t: float = 0.0
    until: float | None = None
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class VideoEdits:
    """All that a person asked of a video. The fields are those of `Edits`."""

    hints: tuple[VideoHint, ...] = ()
    global_hints: GlobalHints = NO_GLOBAL_HINTS
    vivid: float = 1.0
    strength: float = 1.0


def parse_video_edits(text: str | bytes) -> VideoEdits:
    """JSON of a video's hints → edits. Raises ConfigError for malformed text, HintRejected for impossible hints."""
    try:
        table = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the hints file is not usable: {error}; docs/video.md shows its form") from error
    records = table.get("hints") if isinstance(table, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ConfigError("the hints file is not usable: it needs a list `hints`; docs/video.md shows its form")
    times = [_times_of(number, record) for number, record in enumerate(records)]
    plain = [{key: value for key, value in record.items() if key not in _TIMES} for record in records]
    for number, record in enumerate(plain):
        if record.get("inside") is not None:
            raise ConfigError(f"hint {number} has a region (`inside`), which cannot move with a video; remove it")
    edits: Edits = parse_edits(json.dumps({**table, "hints": plain}))
    hints = tuple(_checked(number, *pair) for number, pair in enumerate(zip(edits.hints, times, strict=True)))
    return VideoEdits(hints, edits.global_hints, edits.vivid, edits.strength)


def is_due(t: float, time_s: float) -> bool:
    """Whether a time of a file of hints has come at a frame's time."""
    return t <= time_s + ROUNDING_S


def _times_of(number: int, record: dict[str, Any]) -> _Times:
    try:
        return msgspec.convert({key: record[key] for key in _TIMES if key in record}, _Times)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the times of hint {number} are not usable: {error}; docs/video.md shows their form"
        ) from error


def _checked(number: int, mark: Mark, times: _Times) -> VideoHint:
    if not (math.isfinite(times.t) and times.t >= 0):
        raise ConfigError(f"hint {number} starts at {times.t} s; the start of the video is 0")
    if times.until is not None and not times.until > times.t:
        raise ConfigError(f"hint {number} ends at {times.until} s, but starts at {times.t} s; choose a later end")
    if times.keys and not isinstance(mark, Hint):
        raise ConfigError(f"hint {number} is a stroke and has keys; only points have keys")
    for key in times.keys:
        Hint(key.x, key.y, mark.a, mark.b, mark.size)  # raises HintRejected for a place outside
        if not (math.isfinite(key.t) and key.t > times.t):
            raise ConfigError(f"a key of hint {number} is at {key.t} s; keys come after the hint's start, {times.t} s")
    return VideoHint(mark, times.t, times.until, tuple(sorted(times.keys, key=lambda key: key.t)))
