"""JPEG files that lack their end marker, as some cameras and damaged copies do, though every pixel is there."""

from __future__ import annotations

import io
from typing import BinaryIO

import simplejpeg

_END = b"\xff\xd9"


def with_end(stream: BinaryIO) -> BinaryIO | None:
    """A copy of a JPEG file, in memory, with an end marker; None where more is missing than that."""
    stream.seek(0)
    data = stream.read() + _END
    try:
        space = simplejpeg.decode_jpeg_header(data)[2]
        # Strict: where the decoder reaches the marker and still needs data, it raises.
        simplejpeg.decode_jpeg(data, "CMYK" if space in ("CMYK", "YCCK") else "GRAY", strict=True)
    except ValueError:
        return None
    return io.BytesIO(data)
