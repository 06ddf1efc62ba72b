"""The child that makes a file of a coloured photograph: a large one takes seconds and gigabytes.

`python -m livetint.kiosk.server.rendering SOURCE TARGET EXTENSION MEGAPIXELS CPU_S UPSAMPLING` reads the photograph
from descriptor SOURCE and the colours from standard input (ab as NumPy's .npy), and writes the file to descriptor
TARGET. Exit code 2 and one line of reason where that cannot be done.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

# Before NumPy and OpenCV: threads take address space, and the CPU cores belong to those who paint.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import numpy as np

from ...engine.errors import LivetintError
from ...engine.image.compose import compose
from ...engine.image.encode import encode_rgb
from ...engine.image.photo import Photo
from .limits import limit, yield_to_painters

# Bytes per pixel: 22 were measured for a PNG of noise; a file is hardly larger than its pixels.
WORK_BYTES, FILE_BYTES = 32, 4


def main(arguments: list[str]) -> int:
    """See above."""
    source, target, extension, megapixels, cpu_s, upsampling = arguments
    cv2.setNumThreads(1)
    yield_to_painters()
    limit(int(float(megapixels) * 1e6), int(cpu_s), WORK_BYTES, FILE_BYTES)
    ab = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    try:
        with os.fdopen(int(source), "rb") as stream:
            L = Photo.from_stream(stream, float(megapixels)).L
        data = encode_rgb(compose(L, ab, method=upsampling), extension)
    except LivetintError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    with contextlib.closing(os.fdopen(int(target), "wb")) as out:
        out.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
