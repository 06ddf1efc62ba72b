"""The recoloured regions of `regions.py` again: touches that are kept inside a region, and strokes of a brush.

A region is given exactly, or by a hand that is 5 px off, or by the network itself. The `ideal` is the region filled
with the touch's colour (`regions.filled`). A stroke follows the region's skeleton from end to end, in the colour of the
first touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engine.errors import ConfigError
from ...engine.hints import WORKING_PX, Hint, Line
from ...engine.image.photo import Photo
from ...engine.painter import Painter
from ...engine.regions import HAND_EDGE_PX, Region
from ...engine.runners.base import Runner
from ...engine.strokes import Mark, Stroke, as_stroke
from ..cells import short, span
from ..measure import Result, Rows
from ..options import Option
from . import regions
from .per_photo import Tally
from .regions import RecolouredRegion
from .run import AccuracyMeasure, Run

# How far a hand is off, in pixels of 256.
OFF_PX = 5.0
NETWORK, IDEAL, EXACT, MOVED, OUTLINE, STROKE = "network", "filled", "exact", "moved", "outline", "stroke"
METHODS = {
    NETWORK: "touches alone",
    IDEAL: "the region filled with the colour of the nearest touch",
    EXACT: "touches kept inside the region",
    MOVED: f"touches kept inside the region as a hand draws it, {OFF_PX:g} px off in one direction",
    OUTLINE: "touches kept inside what the network thinks each belongs to",
    STROKE: "a stroke along the region's skeleton, in the colour of one touch",
}


def measure_inside(
    runner: Runner, found: Iterable[RecolouredRegion | None], tick: Callable[[], object] = lambda: None
) -> tuple[Tally, int]:
    """Touch every region in all ways. Returns the tally, keys (method, touches, measure), and the number left out."""
    tally, left_out = Tally(), 0
    for index, region in enumerate(found):
        if region is None:
            left_out += 1
        else:
            _measure(tally, index, region, runner)
        tick()
    return tally, left_out


def _measure(tally: Tally, index: int, region: RecolouredRegion, runner: Runner) -> None:
    painter = Painter(Photo.from_rgb(region.picture.rgb), runner)
    before = painter.ab()
    rng = np.random.default_rng([regions.SEED, index])
    kept = {EXACT: Region.from_mask(region.mask), MOVED: Region.from_mask(moved(region.mask, rng), HAND_EDGE_PX)}

    def add(method: str, count: int, after: NDArray[np.float32]) -> None:
        for name, value in regions.changes(region, before, after).items():
            tally.add((method, str(count), name), index, value)

    for count in regions.TOUCHES:
        hints = region.hints(count)
        add(NETWORK, count, painter.ab(hints))
        add(IDEAL, count, regions.filled(region, before)(hints))
        for method, border in kept.items():
            add(method, count, painter.ab([replace(as_stroke(hint), inside=border) for hint in hints]))
        add(OUTLINE, count, painter.ab(outlined(painter, hints)))
    hint = region.hints(1)[0]
    add(STROKE, 1, painter.ab([Stroke((skeleton(region.mask),), hint.a, hint.b, hint.size)]))


def outlined(painter: Painter, hints: Sequence[Hint]) -> list[Mark]:
    """Hints, each kept inside the outline that the network gives it among them."""
    marks: list[Mark] = []
    for index, hint in enumerate(hints):
        border = painter.outline(index, hints)
        marks.append(hint if border is None else replace(as_stroke(hint), inside=border))
    return marks


def moved(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask bool [H, W] moved by OFF_PX in a random direction; what leaves the picture is cut off."""
    angle = rng.uniform(0, 2 * np.pi)
    shift = np.array([[1, 0, OFF_PX * np.cos(angle)], [0, 1, OFF_PX * np.sin(angle)]])
    shifted = cv2.warpAffine(mask.astype(np.uint8), shift, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    return np.asarray(shifted, bool)


def skeleton(mask: NDArray[np.bool_]) -> Line:
    """The longest way along the skeleton of a mask bool [256, 256], as a line of points (x, y) in 0…1.

    Raises ConfigError without scikit-image.
    """
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise ConfigError("strokes need scikit-image; pip install 'livetint[bench]'") from error
    thin = {(int(row), int(column)) for row, column in np.argwhere(skeletonize(mask))}
    start = _way(thin, min(thin))[-1]
    return tuple(((column + 0.5) / WORKING_PX, (row + 0.5) / WORKING_PX) for row, column in _way(thin, start))


def _way(pixels: set[tuple[int, int]], start: tuple[int, int]) -> list[tuple[int, int]]:
    """The shortest way from `start` to the pixel that is farthest from it, over neighbouring `pixels`."""
    came_from: dict[tuple[int, int], tuple[int, int] | None] = {start: None}
    queue = [start]
    for row, column in queue:
        for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
            if near in pixels and near not in came_from:
                came_from[near] = (row, column)
                queue.append(near)
    way: list[tuple[int, int]] = []
    at: tuple[int, int] | None = queue[-1]
    while at is not None:
        way.append(at)
        at = came_from[at]
    return way[::-1]


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    lines = [f"kept inside a region: {table['photos']} photographs, {table['left_out']} without a fitting region"]
    for method, touches, row in _rows(table):
        lines.append(
            f"{method + ', touches: ' + touches:<22} moved outside / inside = {short(row['ratio']['mean'])}; "
            f"gain inside {short(row['gain_inside_db']['mean'])} dB"
        )
    return "\n".join(lines)


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report."""
    rows = [["kept inside a region", "touches", "outside / inside", "95 % interval", "gain inside, dB"]]
    for method, touches, row in _rows(table):
        gain = short(row["gain_inside_db"]["mean"])
        rows.append([method, touches, short(row["ratio"]["mean"]), span(row["ratio"]), gain])
    return rows


def _rows(table: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, touches, row) for method in METHODS for touches, row in table.get(method, {}).items()]


class Inside(AccuracyMeasure):
    """One region of every photograph, recoloured, and touched with the region given."""

    key = "inside"
    option = Option("--inside", "Also keep the touches of --regions inside their regions, and paint strokes.")
    options = (option,)

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("keeping touches inside")
        table = regions.as_table(*measure_inside(run.runner, regions.recoloured_regions(photographs), tick))
        return {self.key: {**table, "texts": METHODS}}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
