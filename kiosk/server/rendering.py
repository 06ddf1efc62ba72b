"""The child that makes a file of a coloured photograph: a large one takes seconds and gigabytes, and nobody's touch.

`python -m livetint.kiosk.server.rendering PICTURE EXTENSION DESCRIPTOR MEGAPIXELS CPU_S UPSAMPLING` reads the
colours from standard input (ab as NumPy's .npy) and writes the file to DESCRIPTOR. Exit code 2 and one line of
reason where that cannot be.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

# Before NumPy and OpenCV: threads take address space, and the CPU cores belong to those who paint.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import numpy as np

from ...engine.errors import LivetintError
from ...engine.image.compose import compose
from ...engine.image.encode import encode_rgb
from ...engine.image.photo import Photo
from .limits import limit

NICENESS, FIRST_TO_GO = 10, "900"
# Bytes per pixel: 22 were measured for a PNG of noise; a file is hardly larger than its pixels.
WORK_BYTES, FILE_BYTES = 32, 4


def yield_to_painters() -> None:
    """Leave them the CPU cores and, where memory runs out, the memory."""
    cv2.setNumThreads(1)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def main(arguments: list[str]) -> int:
    """See above."""
    picture, extension, descriptor, megapixels, cpu_s, upsampling = arguments
    yield_to_painters()
    limit(int(float(megapixels) * 1e6), int(cpu_s), WORK_BYTES, FILE_BYTES)
    ab = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    try:
        L = Photo.open(picture, float(megapixels)).L
        data = encode_rgb(compose(L, ab, method=upsampling), extension)
    except LivetintError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    with contextlib.closing(os.fdopen(int(descriptor), "wb")) as out:
        out.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
