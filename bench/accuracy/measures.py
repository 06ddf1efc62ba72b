"""The measures of `bench accuracy`, in the order in which they are measured and shown.

A new measure is a class in a file of its own and an entry here.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..cells import decibels
from ..measure import Result, Rows
from ..options import Option, Options
from .aging import Aging
from .chroma import Chroma
from .curve import Curve, points_head
from .extras import Extras
from .faces import Faces
from .inside import Inside
from .next_touch import NextTouch
from .opposites import Opposites
from .regions import Regions
from .run import AccuracyMeasure, Losses
from .taps import Taps

MEASURES: tuple[type[AccuracyMeasure], ...] = (
    Curve,
    Chroma,
    Aging,
    NextTouch,
    Taps,
    Regions,
    Inside,
    Opposites,
    Faces,
    Extras,
)


def options() -> Iterable[Option]:
    """The options of all measures."""
    return (option for measure in MEASURES for option in measure.options)


def wanted(options: Options) -> list[AccuracyMeasure]:
    """The measures that the options ask for."""
    return [measure for kind in MEASURES if (measure := kind.from_options(options)) is not None]


def loss_rows(result: Result) -> Rows:
    """What other builds lose on the same points, and what the network loses on aged L, paired by photograph."""
    lost: Losses = {}
    for measure in MEASURES:
        part = measure.part(result)
        lost |= measure.losses(part) if part else {}
    if not lost:
        return []
    columns = list(dict.fromkeys(n for row in lost.values() for n in row))
    rows = [[label, *(decibels(*row[n]) if n in row else "–" for n in columns)] for label, row in lost.items()]
    return [["lost on the same points, dB", *points_head(columns)], *rows]
