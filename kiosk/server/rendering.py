"""The child that makes a file of a coloured photograph: a large one takes seconds and gigabytes.

`python -m livetint.kiosk.server.rendering SOURCE TARGET EXTENSION SIDE_PX MEGAPIXELS CPU_S UPSAMPLING LABEL`
reads the photograph from descriptor SOURCE and the colours (of `pack_colours`) from standard input, and writes the
file to descriptor TARGET, with the texts of LABEL (JSON of `labels.FileLabel`). Nothing else that the photograph's own
file says of itself gets into it. SIDE_PX: the longer side at most; 0: full size. Exit code 2 and one line of reason
where that cannot be done.
"""

from __future__ import annotations

import contextlib
import os
import sys

# Before NumPy and OpenCV: threads take address space, and the CPU cores belong to those who paint.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from ...engine.errors import LivetintError
from ...engine.image.compose import compose
from ...engine.image.encode import encode_rgb
from ...engine.image.metadata import Metadata
from ...engine.image.photo import Photo
from ..colours import unpack_colours
from .labels import FileLabel
from .limits import limit, yield_to_painters
from .strip import with_line

# Bytes per pixel: 22 were measured for a PNG of noise; a file is hardly larger than its pixels.
WORK_BYTES, FILE_BYTES = 32, 4


def main(arguments: list[str]) -> int:
    """See above."""
    source, target, extension, side_px, megapixels, cpu_s, upsampling, text = arguments
    label = msgspec.json.decode(text, type=FileLabel)
    cv2.setNumThreads(1)
    yield_to_painters()
    limit(int(float(megapixels) * 1e6), int(cpu_s), WORK_BYTES, FILE_BYTES)
    ab, layers = unpack_colours(sys.stdin.buffer.read())
    try:
        with os.fdopen(int(source), "rb") as stream:
            L = Photo.from_stream(stream, float(megapixels)).L
        rgb = compose(L, ab, method=upsampling, layers=layers)
        rgb = _at_most(rgb, int(side_px))
        if label.line:
            rgb = with_line(rgb, label.line, label.font, label.right_to_left)
        data = encode_rgb(rgb, extension, Metadata.of_texts(**label.fields), label.note)
    except LivetintError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    with contextlib.closing(os.fdopen(int(target), "wb")) as out:
        out.write(data)
    return 0


def _at_most(rgb: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """The picture uint8 [H, W, 3], reduced where its longer side has more than `side_px` pixels; 0: as it is."""
    height, width = rgb.shape[:2]
    scale = side_px / max(height, width) if side_px else 1.0
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
