"""The contact sheet of a video: its shots, each with the hints that were used in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..engine.colour.cielab import lab_to_srgb
from ..engine.files import atomic_write
from ..engine.hints import WORKING_PX
from ..engine.image.compose import fitted
from ..engine.image.encode import encode_rgb
from .carry import Point
from .frames import Shot
from .parts import Parts
from .source import Video

PICTURE_PX, COLUMNS, GAP_PX, LINE_PX = 320, 4, 12, 40
# A sheet shows at most so many shots; the first ones. Each needs about 0.2 MB of memory.
MAX_SHOTS = 400
# Dots have the colour of the hint at this L.
RADIUS_PX, DOT_L = 5, 65.0
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def save_picture(path: Path, rgb: NDArray[np.uint8], points: Sequence[Point]) -> None:
    """Write the small picture of a shot, with a circle in the hint's colour at each point."""
    height, width = rgb.shape[:2]
    size = fitted((width, height), PICTURE_PX)
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    for point in points:
        place = tuple(
            round((v + 0.5) / WORKING_PX * side - 0.5) for v, side in zip((point.x, point.y), size, strict=True)
        )
        rgb_of_hint = lab_to_srgb(np.array([DOT_L, point.a, point.b]))
        _dot(small, place, tuple(round(255 * float(value)) for value in rgb_of_hint), str(point.hint))
    atomic_write(path, encode_rgb(small, ".jpg"))


def _dot(picture: NDArray[np.uint8], place: tuple[int, ...], colour: tuple[int, ...], label: str) -> None:
    for radius, fill in ((RADIUS_PX + 2, WHITE), (RADIUS_PX + 1, BLACK), (RADIUS_PX, colour)):
        cv2.circle(picture, place, radius, fill, -1, cv2.LINE_AA)
    beside = (place[0] + RADIUS_PX + 4, place[1] + RADIUS_PX)
    for fill, width in ((BLACK, 3), (WHITE, 1)):
        cv2.putText(picture, label, beside, cv2.FONT_HERSHEY_SIMPLEX, 0.4, fill, width, cv2.LINE_AA)


def write_sheet(path: Path, shots: Sequence[Shot], parts: Parts, video: Video) -> None:
    """Write the contact sheet as a picture. Raises OutputError."""
    shown = shots[:MAX_SHOTS]
    width, height = fitted((video.width, video.height), PICTURE_PX)
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    cell = width + GAP_PX, height + LINE_PX
    sheet = Image.new("RGB", (GAP_PX + columns * max(cell[0], 200), GAP_PX + rows * cell[1]), (24, 24, 24))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, shot in enumerate(shown):
        x = GAP_PX + number % columns * max(cell[0], 200)
        y = GAP_PX + number // columns * cell[1]
        with Image.open(parts.picture(number)) as picture:
            sheet.paste(picture, (x, y))
        frames = "1 frame" if shot.frames == 1 else f"{shot.frames} frames"
        draw.text((x, y + height + 6), f"shot {number + 1}   {shot.time_s:.2f} s   {frames}", (230, 230, 230), font)
    if len(shots) > len(shown):
        draw.text((GAP_PX, sheet.height - 16), f"the first {MAX_SHOTS} of {len(shots)} shots", (230, 230, 230), font)
    atomic_write(path, encode_rgb(np.asarray(sheet, np.uint8), path.suffix))
