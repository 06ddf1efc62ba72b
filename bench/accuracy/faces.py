"""Faces whose boxes are known: does a touch stay on a face, and does a touch on the thing beside it leave it alone?

Two tests of a photograph, both as in `regions.py`: the thing is recoloured, touched, and what moves is measured. In the
first the thing is the largest face. In the second it is the region beside that face, a collar or a wall; there the
faces are watched as well. A face is the ellipse in its box. Everything is CIELAB at 256 × 256, differences are in ab.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.errors import ConfigError
from ...engine.runners.base import Runner
from ..cells import short, span
from ..measure import Result, Rows
from ..options import Option, Options
from . import regions
from .per_photo import Tally, mean, standard_error
from .protocols import Picture
from .regions import TOUCHES, RecolouredRegion
from .run import AccuracyMeasure, Run

SEED = 2020
THINGS = FACE, BESIDE = "face", "beside"
# Boxes of 146 news photographs of FDDB that training may not use; docs/bench.md says which and how they came.
FDDB = Path(__file__).with_name("fddb_faces.tsv")
COLUMNS = ("file", "left", "top", "right", "bottom")
# A region is beside a face if it has at least this share of the frame around the face, and if the faces have at most
# MAX_OVERLAP of the region. The frame is wider than the face by FRAME of its width and height on each side.
MIN_FRAME_SHARE, MAX_OVERLAP, FRAME = 0.08, 0.1, 0.6


@dataclass(frozen=True)
class Box:
    """A face: its edges in 0…1 of the upright photograph."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)

    def ellipse(self, side: int) -> NDArray[np.bool_]:
        """The pixels bool [side, side] of the squashed photograph that lie in the ellipse in the box."""
        rows, columns = ((np.arange(side) + 0.5) / side for _ in range(2))
        across = (2 * columns - self.left - self.right) / (self.right - self.left)
        down = (2 * rows - self.top - self.bottom) / (self.bottom - self.top)
        return across[None] ** 2 + down[:, None] ** 2 <= 1

    def frame(self, side: int) -> NDArray[np.bool_]:
        """The pixels bool [side, side] of the box and around it."""
        x, y = FRAME * (self.right - self.left), FRAME * (self.bottom - self.top)
        left, top, right, bottom = self.left - x, self.top - y, self.right + x, self.bottom + y
        inside = np.zeros((side, side), bool)
        rows, columns = (
            slice(max(round(low * side), 0), round(high * side)) for low, high in ((top, bottom), (left, right))
        )
        inside[rows, columns] = True
        return inside


Boxes = Mapping[str, tuple[Box, ...]]


def read_boxes(path: Path) -> Boxes:
    """File name of a photograph → its faces, from a table with tabs and the columns of COLUMNS, a face a row.

    Raises ConfigError for a file that cannot be read, for other columns and for boxes that are not in the photograph.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); give a table of boxes of faces") from error
    rows = csv.reader(io.StringIO(text), delimiter="\t")
    if tuple(next(rows, ())) != COLUMNS:
        raise ConfigError(f"{path} has other columns; its first line is {' '.join(COLUMNS)}, with tabs between")
    found: dict[str, list[Box]] = {}
    for number, row in enumerate(rows, 2):
        found.setdefault(row[0] if row else "", []).append(_box(path, number, row))
    if not found:
        raise ConfigError(f"{path} holds no boxes; give a table with a face a row")
    return {name: tuple(boxes) for name, boxes in found.items()}


def _box(path: Path, number: int, row: list[str]) -> Box:
    try:
        left, top, right, bottom = (float(word) for word in row[1:])
    except ValueError:
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ConfigError(
            f"{path}, line {number} is no box: after the name come left, top, right and bottom in 0…1 of the photograph"
        )
    return Box(left, top, right, bottom)


@dataclass(frozen=True)
class Touched:
    """A thing of a photograph to touch. faces: bool [S, S], all faces of the photograph."""

    thing: str
    region: RecolouredRegion
    faces: NDArray[np.bool_]


def things(picture: Picture, boxes: tuple[Box, ...], rng: np.random.Generator) -> Iterator[Touched]:
    """The largest face and the region beside it, where they can be recoloured and are large enough for a touch."""
    side = picture.rgb.shape[0]
    ellipses = [box.ellipse(side) for box in boxes]
    largest = max(range(len(boxes)), key=lambda index: boxes[index].area)
    faces = np.logical_or.reduce(ellipses)
    masks = {FACE: [ellipses[largest]], BESIDE: beside(picture, boxes[largest].frame(side), faces)}
    for thing in THINGS:
        region = next(filter(None, (regions.recolour(picture, mask, rng) for mask in masks[thing])), None)
        if region is not None:
            yield Touched(thing, region, faces)


def beside(picture: Picture, frame: NDArray[np.bool_], faces: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Segments with a part in `frame`, without the faces, the one with the largest part first."""
    labels = regions.segment(picture.rgb)
    count = int(labels.max()) + 1
    sizes, in_frame, in_faces = (
        np.bincount(labels[where], minlength=count) for where in (np.ones_like(faces), frame & ~faces, faces)
    )
    shares = sizes / labels.size
    fits = (shares >= regions.MIN_SHARE) & (shares <= regions.MAX_SHARE) & (in_faces <= MAX_OVERLAP * sizes)
    fits &= in_frame >= MIN_FRAME_SHARE * frame.sum()
    order = np.argsort(-in_frame, kind="stable")
    return [(labels == label) & ~faces for label in order if fits[label]]


def measure_faces(
    runner: Runner,
    photographs: Iterable[tuple[str, Picture]],
    boxes: Boxes,
    tick: Callable[[], object] = lambda: None,
) -> Tally:
    """Touch the face and the thing beside it in every photograph that has boxes. Keys are (thing, touches, measure)."""
    tally = Tally()
    for index, (name, picture) in enumerate(photographs):
        if name in boxes:
            features = runner.encode(picture.L)
            before = runner.colorize(features, [])
            for touched in things(picture, boxes[name], np.random.default_rng([SEED, index])):
                for count in TOUCHES:
                    after = runner.colorize(features, touched.region.hints(count))
                    for measure, value in _changes(touched, before, after).items():
                        tally.add((touched.thing, str(count), measure), index, value)
        tick()
    return tally


def _changes(touched: Touched, before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, float]:
    found = regions.changes(touched.region, before, after)
    found = {name: found[name] for name in SHOWN if name in found}
    if touched.thing == BESIDE:
        found["moved_faces"] = float(regions.distance(before, after)[touched.faces].mean())
    return found


SHOWN = ("moved_inside", "moved_outside", "gain_inside_db")
TEXTS = {
    "face": "the largest face of a photograph (the ellipse in its box) is recoloured and touched",
    "beside": "the region beside that face with the most of its surroundings is recoloured and touched",
    "moved_faces": "how far a touch of the thing beside moved ab in the faces, mean (ΔE, ab)",
    "ratio": "moved outside over moved inside; faces_ratio: moved in the faces over moved inside",
}


def as_table(tally: Tally) -> dict[str, Any]:
    """thing → touches → measure → mean, standard error over photographs; the ratios with their 95 % intervals."""
    table: dict[str, Any] = {"texts": TEXTS, "seed": SEED}
    for key in tally.names:
        thing, count, measure = key
        values = tally.per_photo(key)
        part = table.setdefault(thing, {"photos": len(values)})
        part.setdefault(count, {})[measure] = {"mean": mean(values), "standard_error": standard_error(values)}
    for thing, count in dict.fromkeys(key[:2] for key in tally.names):
        row = table[thing][count]
        inside = tally.per_photo((thing, count, "moved_inside"))
        for name, measure in (("ratio", "moved_outside"), ("faces_ratio", "moved_faces")):
            if measure in row:
                row[name] = regions.ratio(tally.per_photo((thing, count, measure)), inside)
    return table


def _rows(table: dict[str, Any]) -> Iterator[tuple[str, int, str, dict[str, Any]]]:
    """Thing, number of photographs, touches, and their measures."""
    for thing in THINGS:
        part = table.get(thing, {})
        for count in map(str, TOUCHES):
            if count in part:
                yield thing, part["photos"], count, part[count]


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    lines = []
    for thing, photos, count, row in _rows(table):
        found = {key: "–" if cell["mean"] is None else f"{cell['mean']:.2f}" for key, cell in row.items()}
        line = (
            f"{NAMES[thing]}, touches: {count} ({photos} photographs)  moved outside / inside "
            f"{found['moved_outside']} / {found['moved_inside']} = {found['ratio']}; gain inside "
            f"{found['gain_inside_db']} dB"
        )
        if "moved_faces" in found:
            line += f"; moved faces / inside {found['moved_faces']} / {found['moved_inside']} = {found['faces_ratio']}"
        lines.append(line)
    return "\n".join(lines)


NAMES = {FACE: "a face touched", BESIDE: "the thing beside a face touched"}


def as_rows(table: dict[str, Any]) -> Rows:
    """Header and rows of the report."""
    rows = [
        ["faces", "touches", "photographs", "outside / inside", "95 % interval", "faces / inside", "95 % interval",
         "moved inside", "gain inside, dB"]
    ]  # fmt: skip
    for thing, photos, count, row in _rows(table):
        ratios = [cell for name in ("ratio", "faces_ratio") for cell in _ratio_cells(row.get(name))]
        values = [short(row[name]["mean"]) for name in ("moved_inside", "gain_inside_db")]
        rows.append([NAMES[thing], count, str(photos), *ratios, *values])
    return rows


def _ratio_cells(ratio: dict[str, float | None] | None) -> list[str]:
    return ["–", "–"] if ratio is None else [short(ratio["mean"]), span(ratio)]


@dataclass
class Faces(AccuracyMeasure):
    """The faces whose boxes a file gives, and the things beside them, recoloured and touched."""

    boxes: Boxes

    key = "faces"
    options = (
        Option(
            "--faces",
            "Also recolour and touch the faces whose boxes this table gives, and the things beside them. Columns: "
            f"{', '.join(COLUMNS)}.",
            str,
            metavar="BOXES.tsv",
            parse=lambda path: None if path is None else read_boxes(Path(path)),
        ),
    )

    @classmethod
    def from_options(cls, options: Options) -> Faces | None:
        boxes = options[cls.options[0].key]
        return None if boxes is None else cls(boxes)

    def measure(self, run: Run) -> Result:
        names = [PurePath(name).name for name in run.photos.names]
        if not set(names) & set(self.boxes):
            raise ConfigError(f"{run.photos.source} holds none of the photographs that the table of faces names")
        photographs, tick = run.photographs("touching faces")
        tally = measure_faces(run.runner, zip(names, photographs, strict=True), self.boxes, tick)
        if not tally.names:
            raise ConfigError("no face of the photographs is large enough for a touch; give larger ones")
        return {self.key: as_table(tally)}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
