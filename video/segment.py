"""Encode the frames of a segment. Segments start with a key frame, so they can be joined without coding again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engine.files import sync
from .encoders import Encoder
from .errors import load_av, writing
from .priority import kept_scheduling

# BT.709 throughout (H.273), limited range.
BT709, LIMITED = 1, 1
# Frames in a segment's file are numbered by the milliseconds of its container; the true time stamps are in its record.
TICK = Fraction(1, 1000)
MAX_RATE = Fraction(120)


class SegmentWriter:
    """Writes the frames of a segment, as a context manager. An exception inside leaves no file."""

    def __init__(self, path: Path, encoder: Encoder, width: int, height: int, rate: Fraction) -> None:
        self._path, self._encoder = path, encoder
        self._partial = path.with_suffix(".partial")
        self._pad = (height % 2, width % 2) if encoder.even else (0, 0)
        self._size = (width + self._pad[1], height + self._pad[0])
        self._rate = min(max(rate, Fraction(1)), MAX_RATE).limit_denominator(1001)
        self._count = 0

    def __enter__(self) -> SegmentWriter:
        with writing(self._path):
            self._container: Any = load_av().open(str(self._partial), "w", format="matroska")
            self._stream: Any = self._container.add_stream(
                self._encoder.name, rate=self._rate, options=dict(self._encoder.options)
            )
            self._stream.width, self._stream.height = self._size
            self._stream.pix_fmt = "yuv420p"
            context = self._stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED
            with kept_scheduling():
                context.open()
        return self

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Add a frame, sRGB uint8 [H, W, 3]. Raises OutputError."""
        if any(self._pad):
            rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE), np.uint8)
        av = load_av()
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=BT709)
        frame.pts, frame.time_base = self._count, 1 / self._rate
        frame.color_range = LIMITED
        self._count += 1
        with writing(self._path):
            self._mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._container.close()
            self._partial.unlink(missing_ok=True)
            return
        with writing(self._path):
            self._mux(self._stream.encode(None))
            self._container.close()
            sync(self._partial)
            self._partial.replace(self._path)

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            number = round(packet.pts * packet.time_base * self._rate)
            packet.pts = packet.dts = number
            packet.time_base = TICK
            packet.duration = 1
            self._container.mux(packet)
