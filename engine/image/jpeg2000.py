"""JPEG 2000 with more than 8 bits in several channels.

Pillow rounds such samples to 8 bits without a limit, so that white becomes black. OpenCV, whose wheels hold the same
decoder (OpenJPEG), gives all bits.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np

from ..errors import ImageRejected
from .convert import Deep, scale_to_16_bits

_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_CODE_STREAM = b"\xff\x4f\xff\x51"
_SIGNED = 0x80


@dataclass(frozen=True)
class Size:
    """What a code stream says of its picture: width and height in pixels, and the bits of every component."""

    width: int
    height: int
    bits: tuple[int, ...]
    signed: bool


def read_size(stream: BinaryIO) -> Size | None:
    """The size of the picture in a file, by its code stream; None where there is none."""
    start = _code_stream(stream)
    if start is None:
        return None
    stream.seek(start)
    head = stream.read(42)
    if len(head) < 42 or not head.startswith(_CODE_STREAM):
        return None
    right, bottom, left, top = struct.unpack(">4I", head[8:24])
    (count,) = struct.unpack(">H", head[40:42])
    components = stream.read(3 * count)[::3]
    bits = tuple((depth & ~_SIGNED) + 1 for depth in components)
    return Size(right - left, bottom - top, bits, any(depth & _SIGNED for depth in components))


def _code_stream(stream: BinaryIO) -> int | None:
    """Where the code stream starts: the contents of the first box of that name, or the file itself."""
    stream.seek(0, io.SEEK_END)
    end = stream.tell()
    stream.seek(0)
    if not stream.read(len(_SIGNATURE)).startswith(_SIGNATURE):
        return 0
    at = len(_SIGNATURE)
    while at < end:
        stream.seek(at)
        header = stream.read(16)
        if len(header) < 8:
            return None
        length, kind = struct.unpack(">I4s", header[:8])
        content = 8
        if length == 1 and len(header) == 16:
            length, content = struct.unpack(">Q", header[8:])[0], 16
        if kind == b"jp2c":
            return at + content
        if length < content:
            return None
        at += length
    return None


def is_deep(size: Size) -> bool:
    """Whether Pillow loses the whites of the picture."""
    return len(size.bits) > 1 and max(size.bits) > 8


def read_deep(stream: BinaryIO, size: Size, name: str) -> Deep:
    """The samples in 16 bits. Raises ImageRejected for kinds that are not read. The caller has checked `size`."""
    stream.seek(0)
    samples = None
    if len(size.bits) in (3, 4) and len(set(size.bits)) == 1 and max(size.bits) <= 16 and not size.signed:
        samples = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        if samples is None:
            raise OSError("the code stream cannot be decoded")
    if samples is None or samples.shape != (size.height, size.width, len(size.bits)) or samples.dtype != np.uint16:
        raise ImageRejected(
            f"{name} is a JPEG 2000 of a kind that is not read: {len(size.bits)} channels of {max(size.bits)} bits; "
            "save it as TIFF or PNG"
        )
    white = (1 << size.bits[0]) - 1
    channels = scale_to_16_bits(samples[..., [2, 1, 0]], 0, white)  # OpenCV has blue first
    alpha = scale_to_16_bits(samples[..., 3], 0, white) if len(size.bits) == 4 else None
    return Deep("RGB", channels, alpha)
