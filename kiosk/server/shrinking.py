"""The child that makes grey previews of photographs, one after the other, beside those who paint.

`python -m livetint.kiosk.server.shrinking SOCKET MEGAPIXELS` serves the Unix stream socket with descriptor SOCKET until
its other end is closed. A request is a JSON list of sizes in pixels, with one descriptor to read the photograph from
and one per size to write a grey JPEG to; the longer side of each is at most that size. The answer is one line:
`{}`, or `{"error": "why not"}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence

# Before NumPy and OpenCV: threads take address space, and the CPU cores belong to those who paint.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ...engine.errors import LivetintError
from ...engine.image.compose import compose, fitted, resize_lightness
from ...engine.image.photo import Photo
from .limits import limit, yield_to_painters

# Bytes per pixel: address space while a photograph is decoded; a preview is smaller than its photograph.
WORK_BYTES, FILE_BYTES = 32, 4
MAX_REQUEST_BYTES, MAX_DESCRIPTORS, MAX_ERROR_CHARACTERS = 1024, 8, 500
JPEG_QUALITY = 95
NO_COLOUR = np.zeros((2, 1, 1), np.float32)


def grey_jpeg(L: NDArray[np.float32], size_px: int, quality: int = JPEG_QUALITY) -> bytes:
    """Lightness `L` float32 [H, W] in 0…100 as a grey JPEG whose longer side is at most `size_px`."""
    height, width = L.shape
    grey = compose(resize_lightness(L, fitted((width, height), size_px)), NO_COLOUR)[..., 1:2]
    return simplejpeg.encode_jpeg(np.ascontiguousarray(grey), quality=quality, colorspace="GRAY")


def make_previews(source: int, targets: Sequence[int], sizes_px: Sequence[int], max_megapixels: float) -> None:
    """Read a photograph from descriptor `source`; write one preview to each of `targets`. Raises ImageRejected."""
    with open(source, "rb", closefd=False) as stream:
        L = Photo.from_stream(stream, max_megapixels).L
    for target, size_px in zip(targets, sizes_px, strict=True):
        with open(target, "wb", closefd=False) as out:
            out.write(grey_jpeg(L, size_px))


def serve(requests: socket.socket, max_megapixels: float) -> None:
    """Answer requests until the other end is closed."""
    while True:
        text, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, MAX_DESCRIPTORS)
        if not text:
            return
        answer = {}
        try:
            make_previews(descriptors[0], descriptors[1:], json.loads(text), max_megapixels)
        except LivetintError as error:
            answer = {"error": str(error)[:MAX_ERROR_CHARACTERS]}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        requests.sendall(json.dumps(answer).encode() + b"\n")


def main(arguments: list[str]) -> int:
    """See above."""
    descriptor, megapixels = int(arguments[0]), float(arguments[1])
    cv2.setNumThreads(1)
    yield_to_painters()
    limit(int(megapixels * 1e6), None, WORK_BYTES, FILE_BYTES)
    with socket.socket(fileno=descriptor) as requests, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(requests, megapixels)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
