"""PNG in grey with alpha, 16 bits each: Pillow reads only the upper 8."""

from __future__ import annotations

from typing import BinaryIO

import cv2
import numpy as np

from .convert import Deep

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY_ALPHA = 4


def is_deep_grey_alpha(head: bytes) -> bool:
    """Whether a file that starts with `head` is such a PNG, by the depth and colour type in IHDR, its first chunk."""
    return head.startswith(_SIGNATURE) and head[12:16] == b"IHDR" and head[24:26] == bytes([16, _GREY_ALPHA])


def read_deep(stream: BinaryIO) -> Deep:
    """The samples. The caller has checked the size, and that the file is whole. Raises OSError."""
    stream.seek(0)
    samples = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    # OpenCV repeats the grey in three channels.
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3 or samples.shape[2] != 4:
        raise OSError("the samples cannot be decoded")
    return Deep("GRAY", samples[..., :1].astype(np.uint16), samples[..., 3].astype(np.uint16))
