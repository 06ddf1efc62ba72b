"""All that a person asked of a photograph, and its JSON form (docs/hints.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from .colour.global_hints import GlobalHints
from .errors import ConfigError
from .files import decode_text
from .hints import DEFAULT_SIZE_PX, Hint, Line
from .regions import HAND_EDGE_PX, Region
from .runners.base import NO_GLOBAL_HINTS
from .strokes import Mark, Stroke, as_stroke, region_of

SCHEMA = 1


@dataclass(frozen=True)
class Edits:
    """All that a person asked of a photograph.

    hints: points and strokes, in the order they were placed. vivid: factor of the automatic colours, in 0.5…2.
    strength: factor of the finished ab, in 0…2. 1 changes nothing.
    """

    hints: tuple[Mark, ...] = ()
    global_hints: GlobalHints = NO_GLOBAL_HINTS
    vivid: float = 1.0
    strength: float = 1.0


class RegionRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The JSON form of a `Region`."""

    polygons: tuple[Line, ...]
    grow_px: float = 0.0
    edge_px: float = HAND_EDGE_PX
    fill: bool = True


class HintRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The JSON form of a hint. A point has x and y, a stroke has lines."""

    a: float
    b: float
    size: int = DEFAULT_SIZE_PX
    x: float | None = None
    y: float | None = None
    lines: tuple[Line, ...] | None = None
    inside: RegionRecord | None = None


class _GlobalRecord(msgspec.Struct, forbid_unknown_fields=True):
    histogram: list[float] | None = None
    saturation: float | None = None


class _EditsRecord(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON form. Positions are x, y in 0…1. Files of earlier versions have neither `vivid` nor `strength`."""

    schema: int
    hints: list[HintRecord]
    global_: _GlobalRecord = msgspec.field(default_factory=_GlobalRecord, name="global")
    vivid: float = 1.0
    strength: float = 1.0


def edits_to_json(edits: Edits) -> str:
    """Edits as JSON text."""
    histogram = edits.global_hints.histogram
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "hints": [_as_table(hint) for hint in edits.hints],
        "global": {
            "histogram": None if histogram is None else [float(v) for v in histogram],
            "saturation": edits.global_hints.saturation,
        },
        "vivid": edits.vivid,
        "strength": edits.strength,
    }
    return json.dumps(table, indent=1)


def parse_edits(text: str | bytes) -> Edits:
    """JSON of `edits_to_json` → edits. Raises ConfigError or HintRejected."""
    try:
        record = msgspec.json.decode(decode_text(text) if isinstance(text, bytes) else text, type=_EditsRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the hints file is not usable: {error}; write one with --save-hints") from error
    if record.schema != SCHEMA:
        raise ConfigError(f"the hints file has schema {record.schema}; this version reads {SCHEMA}")
    histogram = record.global_.histogram
    shares = None if histogram is None else np.asarray(histogram, np.float32)
    hints = tuple(mark_of(hint) for hint in record.hints)
    return Edits(hints, GlobalHints(shares, record.global_.saturation), record.vivid, record.strength)


def _as_table(hint: Mark) -> dict[str, Any]:
    places = {"lines": hint.lines} if isinstance(hint, Stroke) else {"x": hint.x, "y": hint.y}
    region = region_of(hint)
    inside = {"inside": msgspec.to_builtins(region)} if region else {}
    return {**places, "a": hint.a, "b": hint.b, "size": hint.size, **inside}


def mark_of(record: HintRecord) -> Mark:
    """The point or stroke of a JSON record; a point with a region is a stroke of one point.

    Raises ConfigError for a record with both forms or none, HintRejected for impossible numbers.
    """
    inside = record.inside and Region(*msgspec.structs.astuple(record.inside))
    if record.lines is not None and record.x is None and record.y is None:
        return Stroke(record.lines, record.a, record.b, record.size, inside)
    if record.lines is None and record.x is not None and record.y is not None:
        point = Hint(record.x, record.y, record.a, record.b, record.size)
        return replace(as_stroke(point), inside=inside) if inside else point
    raise ConfigError("the hints file is not usable: a hint has x and y, or lines, and not both")
