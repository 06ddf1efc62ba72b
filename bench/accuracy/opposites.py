"""Two hints of opposite colours near one another: are both obeyed, and where does one colour turn into the other?

The hints lie at the ends of a straight line of d working pixels whose L is even, or even except for an edge in its
middle. Without an edge the colour should change smoothly along the line; with one it should change at the edge.
Everything is CIELAB at 256 × 256.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...engine.colour.cielab import project_into_gamut
from ...engine.hints import DEFAULT_SIZE_PX, Hint
from ...engine.runners.base import Runner
from ..cells import plus_minus
from ..measure import Result, Rows
from ..options import Options
from . import quality
from .levin import Optimiser
from .per_photo import Tally, mean, standard_error
from .protocols import Picture
from .regions import LEVIN, MODEL, SEED, Colouring, Regions
from .run import AccuracyMeasure, Run

DISTANCES_PX = (16, 32, 64)
KINDS = ("even", "edge")
CHROMA = 40.0
# Differences of L between neighbours: a line is even below EVEN_L, and there is an edge from EDGE_L on.
EVEN_L, EDGE_L = 4.0, 12.0
# L is checked in a band of BAND_PX around a line and up to BEYOND_PX beyond its ends. The edge lies within MIDDLE_PX of
# the middle.
BAND_PX, BEYOND_PX, MIDDLE_PX = 5, 3, 3


@dataclass(frozen=True)
class Line:
    """`length_px` pixels from (row, column) to the right; with `down` from (column, row) downwards."""

    row: int
    column: int
    length_px: int
    down: bool

    def along(self, plane: NDArray[np.floating]) -> NDArray[np.floating]:
        """Values [..., d + 1] of a plane [..., H, W] on the line."""
        turned = np.swapaxes(plane, -1, -2) if self.down else plane
        return turned[..., self.row, self.column : self.column + self.length_px + 1]

    def ends(self, side: int) -> list[tuple[float, float]]:
        """x, y in 0…1 of both ends."""
        points = [(column + 0.5, self.row + 0.5) for column in (self.column, self.column + self.length_px)]
        return [(y / side, x / side) if self.down else (x / side, y / side) for x, y in points]


def find_line(L: NDArray[np.floating], length_px: int, kind: str, rng: np.random.Generator) -> Line | None:
    """A random line among all that fit, to the right or downwards; None where there is none."""
    fits = [_starts(plane, length_px, kind) for plane in (L, L.T)]
    places = [np.argwhere(found) for found in fits]
    total = sum(len(some) for some in places)
    if not total:
        return None
    number = int(rng.integers(total))
    down = number >= len(places[0])
    row, column = places[1][number - len(places[0])] if down else places[0][number]
    return Line(int(row), int(column), length_px, down)


def _starts(L: NDArray[np.floating], length_px: int, kind: str) -> NDArray[np.bool_]:
    """Pixels [H, W] where a line to the right may begin."""
    steps = np.abs(np.diff(L.astype(np.float32), axis=1))
    band = cv2.dilate(steps, np.ones((BAND_PX, 1), np.uint8))
    uneven, strong = (_counts(band >= limit) for limit in (EVEN_L, EDGE_L))
    height, width = L.shape
    margin = max(BEYOND_PX, DEFAULT_SIZE_PX)
    first = np.arange(margin, width - length_px - margin)
    last, middle = first + length_px, first + length_px // 2
    found = np.zeros((height, width), bool)
    if kind == "even":
        good = _between(uneven, first - BEYOND_PX, last + BEYOND_PX) == 0
    else:
        good = _between(strong, middle - MIDDLE_PX, middle + MIDDLE_PX) > 0
        good &= _between(uneven, first - BEYOND_PX, middle - MIDDLE_PX) == 0
        good &= _between(uneven, middle + MIDDLE_PX, last + BEYOND_PX) == 0
    found[:, first] = good
    found[:margin] = found[height - margin :] = False
    return found


def _counts(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.pad(mask.cumsum(1), ((0, 0), (1, 0)))


def _between(counts: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    return counts[:, stop] - counts[:, start]


def opposite_hints(L: NDArray[np.floating], line: Line, rng: np.random.Generator) -> list[Hint]:
    """Opposite colours of chroma 40, projected into the gamut at the L under each end."""
    angle = rng.uniform(0, 2 * np.pi)
    hints = []
    for sign, (x, y), under in zip((1, -1), line.ends(L.shape[0]), line.along(L)[[0, -1]], strict=True):
        wanted = np.array([under, sign * CHROMA * np.cos(angle), sign * CHROMA * np.sin(angle)])
        _, a, b = project_into_gamut(wanted)
        hints.append(Hint(x, y, float(a), float(b)))
    return hints


def judge(ab: NDArray[np.floating], line: Line, hints: list[Hint]) -> dict[str, float]:
    """at_hints: colour difference at the ends (ΔE); sharpest: the largest share of the change within one pixel;
    on_middle: the share of all movement within 4 pixels of the line's middle."""
    first, last = (np.array([hint.a, hint.b]) for hint in hints)
    direction = (last - first) / np.linalg.norm(last - first)
    steps = np.abs(np.diff(direction @ line.along(ab)))
    total = max(float(steps.sum()), 1e-6)
    middle = line.length_px // 2
    near = steps[middle - MIDDLE_PX - 1 : middle + MIDDLE_PX + 1]
    found = {"sharpest": float(steps.max()) / total, "on_middle": float(near.sum()) / total}
    difference = quality.at_hints(ab.astype(np.float32), hints)
    return found | ({} if difference is None else {"at_hints": difference})


def measure_opposites(
    runner: Runner, photographs: Iterable[Picture], levin: bool = False, tick: Callable[[], object] = lambda: None
) -> Tally:
    """Keys are (method, even or edge, distance, measure). A photograph without a fitting line has no value there."""
    tally = Tally()
    for index, picture in enumerate(photographs):
        features = runner.encode(picture.L)
        ways: dict[str, Colouring] = {MODEL: lambda hints, f=features: runner.colorize(f, hints)}
        if levin:
            ways[LEVIN] = Optimiser(picture.L).colorize
        rng = np.random.default_rng([SEED, index])
        for kind in KINDS:
            for distance in DISTANCES_PX:
                line = find_line(picture.L, distance, kind, rng)
                if line is None:
                    continue
                hints = opposite_hints(picture.L, line, rng)
                for way, colour in ways.items():
                    for name, value in judge(colour(hints), line, hints).items():
                        tally.add((way, kind, str(distance), name), index, value)
        tick()
    return tally


TEXTS = {
    "at_hints": "colour difference at both touches to what was asked (ΔE, ab)",
    "sharpest": "largest share of the change between the touches within one pixel: 1/d is perfectly smooth",
    "on_middle": "share of the change within 4 pixels of the middle, where the edge is: 8/d is evenly spread",
}


def as_table(tally: Tally) -> dict[str, Any]:
    """method → kind → distance in px → measure → mean, standard error over photographs, n."""
    table: dict[str, Any] = {"texts": TEXTS}
    for key in tally.names:
        values = tally.per_photo(key)
        way, kind, distance, name = key
        row = {"mean": mean(values), "standard_error": standard_error(values), "n": len(values)}
        table.setdefault(way, {}).setdefault(kind, {}).setdefault(distance, {})[name] = row
    return table


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    lines = []
    for way in (MODEL, LEVIN):
        for kind, rows in table.get(way, {}).items():
            for distance, row in rows.items():
                cells = ", ".join(f"{name} {row[name]['mean']:.3f}" for name in TEXTS if name in row)
                lines.append(
                    f"{way}, opposite touches {distance} px apart, {kind} (n = {row['sharpest']['n']}): {cells}"
                )
    return "\n".join(lines)


COLUMNS = {"at_hints": "ΔE at the touches", "sharpest": "sharpest pixel", "on_middle": "turns in the middle"}


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report."""
    rows = [["two opposite touches", "line", "apart, px", *COLUMNS.values(), "photographs"]]
    for method in (MODEL, LEVIN):
        for kind, distances in table.get(method, {}).items():
            for distance, row in distances.items():
                cells = [plus_minus(row[name]) if name in row else "–" for name in COLUMNS]
                rows.append([method, kind, distance, *cells, str(max(cell["n"] for cell in row.values()))])
    return rows


class Opposites(AccuracyMeasure):
    """Two hints of opposite colours; measured with the regions."""

    key = "opposites"

    @classmethod
    def from_options(cls, options: Options) -> Opposites | None:
        return cls() if options[Regions.option.key] else None

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("opposing hints")
        return {self.key: as_table(measure_opposites(run.runner, photographs, run.plan.levin, tick))}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
