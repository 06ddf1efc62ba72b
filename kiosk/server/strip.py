"""The line of text under a saved picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .fonts import Font

_PAPER, _INK = (250, 247, 242), (40, 36, 32)
_MIN_TEXT_PX, _WIDTH_PER_TEXT = 9, 60
_MAX_LINES = 4


def with_line(rgb: NDArray[np.uint8], text: str, font: Font | None, right_to_left: bool) -> NDArray[np.uint8]:
    """The picture uint8 [H, W, 3] above a strip of paper that holds `text`, in at most 4 lines."""
    height, width = rgb.shape[:2]
    size = max(_MIN_TEXT_PX, round(min(width, 2 * height) / _WIDTH_PER_TEXT))
    face = _face(font, size)
    margin = size
    lines = _wrapped(text, face, max(1, width - 2 * margin))
    pitch = round(size * 1.5)
    strip = Image.new("RGB", (width, len(lines) * pitch + 2 * margin), _PAPER)
    draw = ImageDraw.Draw(strip)
    shapes = isinstance(face, ImageFont.FreeTypeFont) and face.layout_engine == ImageFont.Layout.RAQM
    direction = "rtl" if right_to_left and shapes else None
    for number, line in enumerate(lines):
        y = margin + number * pitch
        x, anchor = (width - margin, "ra") if right_to_left else (margin, "la")
        draw.text((x, y), line, _INK, face, anchor=anchor, direction=direction)
    return np.concatenate([rgb, np.asarray(strip)])


def _face(font: Font | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if font:
        try:
            return ImageFont.truetype(font.file, size, font.index)
        except OSError:
            pass  # removed meanwhile, or of a kind that FreeType cannot scale
    return ImageFont.load_default(size)


def _wrapped(text: str, face: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """`text` in lines of at most `width` pixels. Words too long for a line, and scripts without spaces, are cut."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width:
            lines[-1] = longer
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and face.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line][:_MAX_LINES]
