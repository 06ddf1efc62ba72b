"""Regions: where a hint or a stroke may colour.

Outside its region a hint says nothing, inside it has all. That is done with two answers of the network, so it works
with every network and runner: one without the hints of the region, and one with them and with more points of their
colours all over the region. The second lies on the first within the region's border (`image/layers.py`).

A border is exact (`edge_px` 0: a mask that somebody made) or drawn by hand. A hand is some pixels off. Around its line
the network decides: the region is grown by `edge_px`, its additional points stay as far inside of the line, and
between the two the network's answer says where the thing ends. That follows the thing better than GrabCut or watersheds
do (figures in docs/hints.md, `bench accuracy --inside`). The outline that the network itself gives is not filled: where
the network is wrong, more points would make it more so.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import HintRejected
from .hints import MAX_LINE_POINTS, WORKING_PX, Hint, Line, as_lines, pixel_at

# Width of the band around a line drawn by hand in which the network decides, to each side, in working pixels.
HAND_EDGE_PX = 6.0
MAX_GROW_PX, MAX_EDGE_PX = 64.0, 16.0
# Side of the grid of distances to the border.
GRID_PX = 512
# How many points fill a region where the model has room for them, and how far they stay from each other and the border.
FILL_POINTS, MIN_DEPTH_PX = 80, 3.0
# A place belongs to the outline of a hint where its share is more than this part of the largest.
# Outlines are smoothed by a median over squares of this side, in working pixels.
MIN_SHARE, SPECK_PX = 0.5, 11
# Holes of an outline that are smaller than this, in square working pixels, are filled.
MIN_HOLE_PX = 100
# How far the polygons of an outline may be off in working pixels, and those of a border that is shown in cells of the
# grid: without the steps of pixels they have a fifth of the points.
OUTLINE_TOLERANCE_PX, BORDER_TOLERANCE_PX = 1.0, 1.0
# Polygons are drawn finer than the grid by this factor, with so many fixed-point bits.
FINE, SHIFT = 4, 4


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a photograph.

    polygons: closed lines of at least three points (x, y) in 0…1; a place is inside where it lies in an odd number of
    them, so a polygon within another is a hole. grow_px: the border is moved outwards by so many working pixels (of
    256; inwards where negative). edge_px: the band to each side of the border in which the network decides; 0 for an
    exact border. fill: whether the region gets more points of its hints' colours. Raises HintRejected for all else.
    """

    polygons: tuple[Line, ...]
    grow_px: float = 0.0
    edge_px: float = HAND_EDGE_PX
    fill: bool = True

    def __post_init__(self) -> None:
        try:
            polygons = as_lines(self.polygons)
            grow, edge = float(self.grow_px), float(self.edge_px)
        except (TypeError, ValueError) as error:
            raise HintRejected("the polygons of a region are lists of points [x, y], its widths numbers") from error
        if not polygons or any(not 3 <= len(line) <= MAX_LINE_POINTS for line in polygons):
            raise HintRejected(f"a region has polygons of 3 to {MAX_LINE_POINTS} points")
        if not all(0 <= value <= 1 for line in polygons for point in line for value in point):
            raise HintRejected("a point of a region lies outside the photograph; x and y run from 0 to 1")
        if not (abs(grow) <= MAX_GROW_PX and 0 <= edge <= MAX_EDGE_PX):
            raise HintRejected(
                f"a region grows by −{MAX_GROW_PX:g} to {MAX_GROW_PX:g} px and has an edge of 0 to {MAX_EDGE_PX:g} px, "
                f"not {grow:g} and {edge:g}"
            )
        for name, value in (("polygons", polygons), ("grow_px", grow), ("edge_px", edge)):
            object.__setattr__(self, name, value)

    @staticmethod
    def from_mask(mask: NDArray[np.bool_], edge_px: float = 0.0, tolerance_px: float = 0.25) -> Region:
        """The region of a mask bool [H, W]. tolerance_px: how far its outline may be off, in pixels of the mask.

        Raises HintRejected for a mask without a place that is more than a line.
        """
        height, width = mask.shape
        # Twice as large, so that contours run between pixels.
        doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, 0), 2, 1)
        found, _ = cv2.findContours(np.pad(doubled, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        size = np.array([2 * width, 2 * height])
        polygons: list[NDArray[np.float64]] = []
        for contour in found:
            line = cv2.approxPolyDP(contour, 2 * tolerance_px, closed=True)[:, 0].astype(np.float64)
            if len(line) >= 3:
                polygons.append(np.clip((line - 0.5) / size, 0, 1))
        if not polygons:
            raise HintRejected("the mask is empty; white is where hints may colour")
        return Region(as_lines(polygons), edge_px=edge_px)

    def grown(self, pixels: float) -> Region:
        """The region with its border moved outwards by some working pixels more, as far as a region may grow."""
        return replace(self, grow_px=float(np.clip(self.grow_px + pixels, -MAX_GROW_PX, MAX_GROW_PX)))

    def contains(self, x: float, y: float) -> bool:
        """Whether a place (x, y in 0…1) lies inside the border."""
        return bool(distances(self)[pixel_at(x, y, GRID_PX, GRID_PX)] <= 0)


@functools.lru_cache(maxsize=32)
def distances(region: Region) -> NDArray[np.float32]:
    """Distance of every cell's centre to a region's border, float32 [512, 512] in working pixels, negative inside.

    Read-only. The band of `edge_px` is not part of it.
    """
    plane = _polygon_distances(region.polygons) - np.float32(region.grow_px)
    plane.setflags(write=False)
    return plane


@functools.lru_cache(maxsize=32)
def _polygon_distances(polygons: tuple[Line, ...]) -> NDArray[np.float32]:
    """`distances` to the polygons themselves: a border that grows or shrinks needs no new ones."""
    fine = np.zeros((FINE * GRID_PX, FINE * GRID_PX), np.uint8)
    # The centre of a cell lies at its index in OpenCV, which also fills the cells that a line itself runs through.
    lines = [((np.array(line) * len(fine) - 0.5) * (1 << SHIFT)).round().astype(np.int32) for line in polygons]
    cv2.fillPoly(fine, lines, 255, shift=SHIFT)
    mask = (cv2.resize(fine, (GRID_PX, GRID_PX), interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
    # Half a cell lies between the centre of the last cell inside and the border.
    outside, inside = (_depth(part) - np.float32(0.5) * part for part in (1 - mask, mask))
    return ((outside - inside) * np.float32(WORKING_PX / GRID_PX)).astype(np.float32)


def border(region: Region) -> tuple[Line, ...]:
    """The border of a region as polygons to show, as far out or in as the region is grown. () where none is left."""
    if not region.grow_px:
        return region.polygons
    mask = distances(region) <= 0
    try:
        return Region.from_mask(mask, tolerance_px=BORDER_TOLERANCE_PX).polygons
    except HintRejected:
        return ()


def layer_distances(region: Region) -> NDArray[np.float32]:
    """`distances` to the border of the region's layer: the band in which the network decides is inside of it."""
    return distances(region) - np.float32(region.edge_px)


@functools.lru_cache(maxsize=32)
def working_distances(region: Region) -> NDArray[np.float32]:
    """`layer_distances` at the working size, float32 [256, 256]."""
    resized = cv2.resize(layer_distances(region), (WORKING_PX, WORKING_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)


def outline(share: NDArray[np.float32], points: Sequence[Hint]) -> Region | None:
    """The region that a network thinks some points belong to; None where they have no influence.

    share: how much of the colour at each place comes from the points, float32 [n, n] in 0…1, of `Runner.influence`. The
    region is where it is more than half of its largest value, without specks, small holes and thin arms, as far as that
    hangs together with one of the points.
    """
    enlarged = cv2.resize(share, (WORKING_PX, WORKING_PX), interpolation=cv2.INTER_CUBIC)
    within = cv2.medianBlur((enlarged > MIN_SHARE * enlarged.max()).astype(np.uint8), SPECK_PX)
    _, labels = cv2.connectedComponents(within)
    own = {int(labels[pixel_at(point.x, point.y, *labels.shape)]) for point in points} - {0}
    mask = _without_small_holes(np.isin(labels, list(own)))
    return replace(Region.from_mask(mask, tolerance_px=OUTLINE_TOLERANCE_PX), fill=False) if mask.any() else None


def _without_small_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask whose holes smaller than MIN_HOLE_PX are filled. What touches the edge of the picture is no hole."""
    _, found = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    labels = np.asarray(found, np.intp)
    small = np.bincount(labels.ravel()) < MIN_HOLE_PX
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    small[edges] = False
    return mask | small[labels]


def filling(region: Region, points: Sequence[Hint], count: int) -> list[Hint]:
    """Up to `count` points that fill the region, each with the colour and size of the nearest of `points`."""
    own = np.array([(point.x, point.y) for point in points]) * WORKING_PX
    added: list[Hint] = []
    if not region.fill:
        return added
    for x, y in _fill_places(region)[:count]:
        distance = np.hypot(*(own - (x, y)).T)
        nearest = int(distance.argmin())
        if distance[nearest] >= MIN_DEPTH_PX:
            added.append(replace(points[nearest], x=x / WORKING_PX, y=y / WORKING_PX))
    return added


@functools.lru_cache(maxsize=32)
def _fill_places(region: Region) -> tuple[tuple[float, float], ...]:
    """Places (x, y) in working pixels that fill a region, the deepest first.

    They stay MIN_DEPTH_PX away from each other and from the border, and out of the band of a border drawn by hand.
    """
    border = cv2.resize(distances(region), (WORKING_PX, WORKING_PX), interpolation=cv2.INTER_AREA)
    free = (border < -region.edge_px).astype(np.uint8)
    depth = _depth(free)
    cells = np.arange(len(depth), dtype=np.float32)
    found: list[tuple[float, float]] = []
    while len(found) < FILL_POINTS:
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[row, column] < MIN_DEPTH_PX:
            break
        found.append((float(column) + 0.5, float(row) + 0.5))
        # The next place keeps away from this one too.
        np.minimum(depth, np.sqrt((cells[:, None] - row) ** 2 + (cells - column) ** 2), out=depth)
    return tuple(found)


def _depth(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance of every cell of `mask` to the nearest cell that is 0, limited to the side of the plane.

    The picture's edge is no border of a region.
    """
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.minimum(depth, np.float32(len(mask))).astype(np.float32)
