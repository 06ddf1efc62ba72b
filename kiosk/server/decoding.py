"""The child that opens a visitor's picture: few formats, little memory, little time.

`python -m livetint.kiosk.server.decoding DESCRIPTOR MEGAPIXELS CPU_S` reads a file from standard input and writes its
upright pixels to DESCRIPTOR as binary PPM (16-bit PGM for grey scans of more than 8 bits). That has no metadata and is
not compressed, so that no other process runs a decoder on a visitor's file. Exit code 2 and one line of reason where
the file is not a picture, TOO_LARGE where it has more than MEGAPIXELS or needs more memory than the limit.

The limit allows KEPT_MEGAPIXELS: a JPEG with more is decoded at a fraction of its size, and other formats are reduced
after decoding, as long as that takes no more memory.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from dataclasses import replace

# Before NumPy: each thread of its linear algebra would take address space that the limit has to allow.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2

from ...engine.errors import ImageRejected, ImageTooLarge
from ...engine.image.decode import Pixels, decode_bytes
from .limits import limit

# The first bytes of the files that phones and cameras write. (WebP has its length between RIFF and WEBP.)
SIGNATURES = {
    "image/jpeg": (b"\xff\xd8\xff", b""),
    "image/png": (b"\x89PNG\r\n\x1a\n", b""),
    "image/webp": (b"RIFF", b"WEBP"),
}
SIGNATURE_BYTES = 12
# Bytes per pixel: the decoders took 20 (WebP the most); three are written, or two for 16-bit grey.
WORK_BYTES, FILE_BYTES = 24, 3
# A larger picture is reduced to at most this.
KEPT_MEGAPIXELS = 24.0
TOO_LARGE = 3


def kind_of(head: bytes) -> str | None:
    """The MIME type of a file by its first SIGNATURE_BYTES bytes, or None where its format is not accepted."""
    for kind, (first, then) in SIGNATURES.items():
        if head.startswith(first) and head[8:SIGNATURE_BYTES].startswith(then):
            return kind
    return None


def pnm(pixels: Pixels) -> tuple[bytes, bytes]:
    """Header and body of the picture as PPM, or as 16-bit PGM where it is grey with more than 8 bits."""
    height, width = pixels.rgb.shape[:2]
    if pixels.grey16 is not None:
        return b"P5\n%d %d\n65535\n" % (width, height), pixels.grey16.astype(">u2").tobytes()
    return b"P6\n%d %d\n255\n" % (width, height), pixels.rgb.tobytes()


def reduced(pixels: Pixels, max_pixels: float) -> Pixels:
    """The picture with at most `max_pixels`; each pixel is the mean of those that it stands for."""
    height, width = pixels.rgb.shape[:2]
    scale = math.sqrt(max_pixels / (height * width))
    if scale >= 1:
        return pixels
    size = max(1, int(width * scale)), max(1, int(height * scale))
    rgb, grey16 = (
        None if plane is None else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        for plane in (pixels.rgb, pixels.grey16)
    )
    return replace(pixels, rgb=rgb, grey16=grey16)


def main(arguments: list[str]) -> int:
    """See above."""
    descriptor, megapixels, cpu_s = int(arguments[0]), float(arguments[1]), int(arguments[2])
    kept = min(megapixels, KEPT_MEGAPIXELS)
    limit(int(kept * 1e6), cpu_s, WORK_BYTES, FILE_BYTES)
    data = sys.stdin.buffer.read()
    try:
        if kind_of(data[:SIGNATURE_BYTES]) is None:
            raise ImageRejected("the upload is not a JPEG, PNG or WebP file; choose another picture")
        parts = pnm(reduced(decode_bytes(data, "the upload", megapixels, kept), kept * 1e6))
    except ImageRejected as error:
        sys.stderr.write(f"{error}\n")
        return TOO_LARGE if isinstance(error, ImageTooLarge) else error.exit_code
    with contextlib.closing(os.fdopen(descriptor, "wb")) as out:
        for part in parts:
            out.write(part)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
