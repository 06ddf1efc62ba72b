"""The child that looks at a picture which staff add: `python -m livetint.kiosk.server.inspecting MEGAPIXELS CPU_S`.

It reads the file from standard input and decodes it within limits. Exit code 2 and one line of reason where it is no
picture that can be shown.
"""

from __future__ import annotations

import os
import sys

# Before NumPy: each thread of its linear algebra would take address space that the limit has to allow.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from ...engine.errors import ImageRejected
from ...engine.image.decode import decode_bytes
from .limits import limit

# Bytes per pixel: a float TIFF takes the most.
WORK_BYTES = 40


def main(arguments: list[str]) -> int:
    """See above."""
    megapixels, cpu_s = float(arguments[0]), int(arguments[1])
    limit(int(megapixels * 1e6), cpu_s, WORK_BYTES, 0)
    try:
        decode_bytes(sys.stdin.buffer.read(), "the picture", megapixels)
    except ImageRejected as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
