"""One region of a photograph is recoloured and touched: does its colour change, and nothing else's?

The region comes from Felzenszwalb's segmentation (scikit-image), not from the clusters that training recolours by. Only
the touches say its new colour. Inside the region the error to the recoloured truth should fall; outside of it nothing
should change. Everything is CIELAB at 256 × 256. Differences are CIE76 in ab, since L is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...calibration.visitor import Patches, reveal
from ...engine.colour.cielab import project_into_gamut
from ...engine.errors import ConfigError
from ...engine.hints import DEFAULT_SIZE_PX, Hint
from ...engine.runners.base import Runner
from ..cells import short, span
from ..measure import Result, Rows
from ..options import Option
from ..percentiles import RESAMPLES, bounds
from . import quality
from .levin import Optimiser
from .per_photo import Tally, mean, standard_error
from .protocols import PROTOCOLS, Picture
from .run import AccuracyMeasure, Run

SEED = 2004
TOUCHES = (1, 5)
SCALE, SIGMA, MIN_SIZE_PX = 200, 0.8, 200
MIN_SHARE, MAX_SHARE = 0.02, 0.25
# A touch lies so deep in its region that its whole patch is inside.
MIN_DEPTH_PX = 5.0
SHIFT, MIN_SHIFT, ANGLES = 50.0, 25.0, 12
# A mean squared error below this (a hundredth of an 8-bit step, squared) counts as this: gains stay finite.
MIN_ERROR = (0.01 / 255) ** 2
METHODS = MODEL, FILLED, LEVIN = "network", "filled", "levin"

Colouring = Callable[[list[Hint]], NDArray[np.float32]]


@dataclass(frozen=True)
class RecolouredRegion:
    """A photograph whose region `mask` bool [S, S] has another colour; `picture` is the new truth.

    places: centres of the touches int64 [N, 2] as (row, column) in pixels, the deepest in the region first.
    """

    picture: Picture
    mask: NDArray[np.bool_]
    places: NDArray[np.int64]

    def hints(self, count: int) -> list[Hint]:
        """The first `count` touches, each with the mean of the new colour under its patch."""
        corners = self.places[:count] - DEFAULT_SIZE_PX // 2
        sizes = np.full(len(corners), DEFAULT_SIZE_PX)
        patches = Patches(corners[:, 0].astype(np.float64), corners[:, 1].astype(np.float64), sizes)
        return reveal(self.picture.ab, patches)


def recoloured(picture: Picture, rng: np.random.Generator) -> RecolouredRegion | None:
    """One region of 2 to 25 % of a photograph, recoloured within the gamut; None where no region fits.

    Regions are tried in random order. A region's ab is shifted by 50 in one direction and projected into the gamut
    at each pixel's own L. A region does not fit if its mean ab moves by less than 25 in every direction tried.
    """
    labels = segment(picture.rgb)
    sizes = np.bincount(labels.ravel()) / labels.size
    fitting = np.nonzero((sizes >= MIN_SHARE) & (sizes <= MAX_SHARE))[0]
    return next(filter(None, (recolour(picture, labels == label, rng) for label in rng.permutation(fitting))), None)


def recolour(picture: Picture, mask: NDArray[np.bool_], rng: np.random.Generator) -> RecolouredRegion | None:
    """A photograph whose region `mask` bool [S, S] has another colour; None where the region has no place for a touch
    or no other colour."""
    places = deepest(mask, max(TOUCHES))
    lab = _other_colour(picture.lab, mask, rng) if len(places) else None
    return None if lab is None else RecolouredRegion(replace(picture, lab=lab), mask, places)


def segment(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Felzenszwalb's segments of a picture uint8 [H, W, 3]: labels int64 [H, W] from 0. Raises ConfigError."""
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise ConfigError("the regions need scikit-image; pip install 'livetint[bench]'") from error
    return np.asarray(felzenszwalb(rgb, scale=SCALE, sigma=SIGMA, min_size=MIN_SIZE_PX), np.int64)


def deepest(mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """`count` points (row, column) int64 [N, 2], each as far as possible from the region's edge and the points before.

    Fewer, or none, where no pixel of the region is 5 pixels from both.
    """
    free = np.pad(mask, 1).astype(np.uint8)
    found: list[tuple[int, int]] = []
    while len(found) < count:
        depth = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] < MIN_DEPTH_PX:
            break
        found.append((int(row) - 1, int(column) - 1))
        free[row, column] = 0
    return np.array(found, np.int64).reshape(-1, 2)


def _other_colour(
    lab: NDArray[np.float64], mask: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64] | None:
    start = rng.uniform(0, 2 * np.pi)
    for turn in rng.permutation(ANGLES):
        angle = start + 2 * np.pi * turn / ANGLES
        inside = lab[mask] + SHIFT * np.array([0, np.cos(angle), np.sin(angle)])
        inside = project_into_gamut(inside)
        if np.linalg.norm(inside[:, 1:].mean(0) - lab[mask][:, 1:].mean(0)) >= MIN_SHIFT:
            changed = lab.copy()
            changed[mask, 1:] = inside[:, 1:]
            return changed
    return None


def recoloured_regions(photographs: Iterable[Picture], seed: int = SEED) -> Iterator[RecolouredRegion | None]:
    """The test set: a region of every photograph, always the same for one seed and set; None where no region fits."""
    for index, picture in enumerate(photographs):
        yield recoloured(picture, np.random.default_rng([seed, index]))


def measure_regions(
    runner: Runner,
    found: Iterable[RecolouredRegion | None],
    levin: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> tuple[Tally, int]:
    """Touch every region and measure what changed. Returns the tally and the number of photographs left out.

    Keys are (method, touches, measure). Differences are means over the pixels inside or outside the region.
    """
    tally, left_out = Tally(), 0
    for index, region in enumerate(found):
        if region is None:
            left_out += 1
        else:
            features = runner.encode(region.picture.L)
            before = runner.colorize(features, [])
            _touch(tally, index, region, MODEL, before, lambda hints, f=features: runner.colorize(f, hints))
            _touch(tally, index, region, FILLED, before, filled(region, before))
            if levin:
                optimiser = Optimiser(region.picture.L)
                _touch(tally, index, region, LEVIN, optimiser.colorize([]), optimiser.colorize)
        tick()
    return tally, left_out


def filled(region: RecolouredRegion, before: NDArray[np.float32]) -> Colouring:
    """Fills exactly the region with the colour of the nearest touch and leaves the rest as `before` [2, S, S].

    The error that remains inside is what one colour per touch cannot say. It bounds methods that spread colours
    without knowing what is in the picture; it is no reference to beat."""

    def colour(hints: list[Hint]) -> NDArray[np.float32]:
        places = np.argwhere(region.mask)
        far = np.linalg.norm(places[:, None] - region.places[None, : len(hints)], axis=2)
        ab = before.copy()
        ab[:, region.mask] = np.array([[hint.a, hint.b] for hint in hints], np.float32)[far.argmin(1)].T
        return ab

    return colour


def _touch(
    tally: Tally, index: int, region: RecolouredRegion, method: str, before: NDArray[np.float32], colour: Colouring
) -> None:
    for count in TOUCHES:
        after = colour(region.hints(count))
        for name, value in changes(region, before, after).items():
            tally.add((method, str(count), name), index, value)


def changes(region: RecolouredRegion, before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, float]:
    """What touches changed, measure → value: `before` and `after` are ab [2, S, S]. TEXTS says what they mean."""
    inside, truth = region.mask, region.picture.ab
    moved, error, was = (distance(*pair) for pair in ((before, after), (after, truth), (before, truth)))
    found = {}
    for name, plane in (("moved", moved), ("error", error), ("error_before", was)):
        found[f"{name}_inside"] = float(plane[inside].mean())
        found[f"{name}_outside"] = float(plane[~inside].mean())
    found["gain_inside_db"] = _gain_inside(region, after)
    bleeding = quality.bleeding(region.picture.lab, after)
    return found | ({} if bleeding is None else {"bleeding": bleeding})


def distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance [S, S] of two ab [2, S, S]."""
    return np.sqrt(((first - second) ** 2).sum(0))


def _gain_inside(region: RecolouredRegion, ab: NDArray[np.float32]) -> float:
    """PSNR of the region's sRGB over that of grey, in dB."""
    protocol = PROTOCOLS["zhang17"]
    planes = (ab, np.zeros_like(ab), region.picture.ab)
    coloured, grey, truth = (protocol.rgb(region.picture, plane)[region.mask] for plane in planes)
    errors = [max(float(np.mean((some - truth) ** 2)), MIN_ERROR) for some in (coloured, grey)]
    return float(10 * np.log10(errors[1] / errors[0]))


TEXTS = {
    "moved_inside": "how far the touch moved ab inside the touched region, mean (ΔE, ab)",
    "moved_outside": "how far it moved ab outside the region, mean (ΔE, ab)",
    "ratio": "moved outside over moved inside: 0 is a touch that stops at its region",
    "error_inside": "colour error inside after the touch (ΔE, ab); error_before_inside: before it",
    "error_outside": "colour error outside after the touch (ΔE, ab); error_before_outside: before it",
    "gain_inside_db": "PSNR inside the region over grey, dB",
    "bleeding": "colour error within two pixels of an edge of L minus that elsewhere (ΔE, ab)",
}


def as_table(tally: Tally, left_out: int, seed: int = SEED) -> dict[str, Any]:
    """method → touches → measure → mean, standard error over photographs; and the ratio with its 95 % interval."""
    table: dict[str, Any] = {"texts": TEXTS, "seed": seed, "left_out": left_out, "photos": 0}
    for method, count, measure in tally.names:
        values = tally.per_photo((method, count, measure))
        row = table.setdefault(method, {}).setdefault(count, {})
        row[measure] = {"mean": mean(values), "standard_error": standard_error(values)}
        table["photos"] = max(table["photos"], len(values))
    for method, count in dict.fromkeys(name[:2] for name in tally.names):
        pair = [tally.per_photo((method, count, f"moved_{side}")) for side in ("outside", "inside")]
        table[method][count]["ratio"] = ratio(*pair)
    return table


def ratio(outside: NDArray[np.float64], inside: NDArray[np.float64]) -> dict[str, float | None]:
    """Ratio of the means over photographs, with a bootstrap interval; None where nothing moved."""
    if not inside.mean():
        return {"mean": None, "low": None, "high": None}
    picks = np.random.default_rng(SEED).integers(0, len(inside), (RESAMPLES, len(inside)))
    low, high = bounds(outside[picks].mean(1) / np.maximum(inside[picks].mean(1), 1e-9))
    return {"mean": round(float(outside.mean() / inside.mean()), 4), "low": round(low, 4), "high": round(high, 4)}


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    lines = [f"one region touched: {table['photos']} photographs, {table['left_out']} without a fitting region"]
    lines += [_line(f"{way}, touches: {n}", row) for way in METHODS for n, row in table.get(way, {}).items()]
    return "\n".join(lines)


def _line(name: str, row: dict[str, Any]) -> str:
    found = {key: "–" if cell["mean"] is None else f"{cell['mean']:.2f}" for key, cell in row.items()}
    return (
        f"{name:<20} moved outside / inside {found['moved_outside']} / {found['moved_inside']} = {found['ratio']}; "
        f"error inside {found['error_before_inside']} → {found['error_inside']}, "
        f"outside {found['error_before_outside']} → {found['error_outside']}; "
        f"gain inside {found['gain_inside_db']} dB"
    )


COLUMNS = ("moved_inside", "moved_outside", "error_inside", "error_outside", "gain_inside_db", "bleeding")


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report: what one and five touches change, inside their region and outside."""
    words = [name.replace("_db", ", dB").replace("_", " ") for name in COLUMNS]
    rows = [["one region touched", "touches", "outside / inside", "95 % interval", *words]]
    for method in METHODS:
        for touches, row in table.get(method, {}).items():
            cells = [short(row[name]["mean"]) if name in row else "–" for name in COLUMNS]
            rows.append([method, touches, short(row["ratio"]["mean"]), span(row["ratio"]), *cells])
    return rows


class Regions(AccuracyMeasure):
    """One region of every photograph, recoloured and touched."""

    key = "regions"
    option = Option("--regions", "Also recolour and touch one region of every photograph, and see what else changes.")
    options = (option,)

    def measure(self, run: Run) -> Result:
        photographs, tick = run.photographs("touching regions")
        return {self.key: as_table(*measure_regions(run.runner, recoloured_regions(photographs), run.plan.levin, tick))}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
