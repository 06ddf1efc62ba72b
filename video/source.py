"""Read a video: upright sRGB frames with their time stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engine.errors import ImageRejected
from .errors import load_av, reading

# Transfer curves of high dynamic range (H.273): PQ and HLG.
HDR_CURVES = {16: "PQ", 18: "HLG"}
# What PyAV calls the matrices of H.273 that it knows; 6 is the same as 5.
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
# Frames of this height or more are BT.709 where a file does not say so, smaller ones BT.601.
HD_HEIGHT_PX = 720
# Decoding starts this long before the frame to resume at, so that the deinterlacer has its context.
RUN_UP_S = 1.0
DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class Frame:
    """rgb: uint8 sRGB [H, W, 3], upright. pts, duration: in units of the video's time base; duration 0: unknown."""

    rgb: NDArray[np.uint8]
    pts: int
    duration: int


@dataclass(frozen=True)
class Video:
    """A video file. Raises ImageRejected, from `open`, for what cannot be coloured.

    width, height: of upright frames of square pixels. coded_size: (width, height) in the file. rate: frames a second,
    on average. frames: an estimate of their number, 0 for unknown. start: time stamp of the first frame. quarter_turns:
    how often frames are turned by 90° to be upright, anticlockwise. notes: sentences on what is done to it.
    """

    path: Path
    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    frames: int
    start: int
    quarter_turns: int
    interlaced: bool
    coded_size: tuple[int, int]
    notes: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> Video:
        """Read the header and the first frame. Raises ImageRejected."""
        with reading(path), load_av().open(str(path)) as container:
            stream = _video_stream(container, path)
            first = next(_decoded(container, stream), None)
            if first is None:
                raise ImageRejected(f"{path} has no frame that can be decoded; check the file")
            return _described(path, container, stream, first)

    def time_s(self, pts: int) -> float:
        """Seconds from the first frame."""
        return float((pts - self.start) * self.time_base)

    def read(self, after: int | None = None) -> Iterator[Frame]:
        """The frames in their order; after: only those with later time stamps. Raises ImageRejected."""
        with reading(self.path), load_av().open(str(self.path)) as container:
            stream = _video_stream(container, self.path)
            yield from self._read(container, stream, after)

    def _read(self, container: Any, stream: Any, after: int | None) -> Iterator[Frame]:
        if after is not None and after > self.start:
            try:
                container.seek(max(self.start, after - int(RUN_UP_S / self.time_base)), stream=stream)
            except load_av().error.FFmpegError:  # not every format can
                yield from self._from_start(after)
                return
        last: int | None = None
        for frame in self._deinterlaced(_decoded(container, stream)):
            pts = self._pts(frame, last)
            if last is None and after is not None and (frame.pts is None or pts > after):
                # Without an index seeking goes too far, or nobody knows where.
                yield from self._from_start(after)
                return
            last = pts
            if after is None or pts > after:
                self._check(frame)
                yield Frame(self._upright(frame), pts, frame.duration or 0)

    def _from_start(self, after: int) -> Iterator[Frame]:
        return (frame for frame in self.read() if frame.pts > after)

    def _pts(self, frame: Any, last: int | None) -> int:
        """A frame's time stamp, after the last one's. Files without time stamps get them from the rate."""
        if last is None:
            return self.start if frame.pts is None else int(frame.pts)
        step = max(1, frame.duration or round(1 / self.rate / self.time_base))
        return last + step if frame.pts is None or frame.pts <= last else int(frame.pts)

    def _deinterlaced(self, frames: Iterator[Any]) -> Iterator[Any]:
        """The frames; those that are marked as interlaced by bwdif, one frame for two fields."""
        if not self.interlaced:
            yield from frames
            return
        av = load_av()
        graph: Any = None
        for frame in frames:
            if graph is None:
                graph = av.filter.Graph()
                source = graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=self.time_base
                )
                filtered = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
                sink = graph.add("buffersink")
                source.link_to(filtered)
                filtered.link_to(sink)
                graph.configure()
            graph.push(frame)
            yield from _pulled(av, graph)
        if graph is not None:
            graph.push(None)
            yield from _pulled(av, graph)

    def _check(self, frame: Any) -> None:
        if (frame.width, frame.height) != self.coded_size:
            before = "{} × {}".format(*self.coded_size)
            raise ImageRejected(
                f"{self.path} changes its size from {before} to {frame.width} × {frame.height} pixels; cut it there"
            )

    def _upright(self, frame: Any) -> NDArray[np.uint8]:
        # An unspecified matrix (2) is that of the frame's size.
        matrix = MATRICES.get(frame.colorspace, 1 if frame.height >= HD_HEIGHT_PX else 5)
        rgb = np.rot90(frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray(), self.quarter_turns)
        rgb = np.ascontiguousarray(rgb)
        if rgb.shape[:2] != (self.height, self.width):
            rgb = cv2.resize(rgb, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(rgb, np.uint8)


def _video_stream(container: Any, path: Path) -> Any:
    stream = next((s for s in container.streams.video if not _is_cover(s)), None)
    if stream is None:
        raise ImageRejected(f"{path} holds no video; check the file")
    stream.thread_type = "AUTO"
    return stream


def _is_cover(stream: Any) -> bool:
    """Whether a stream is the picture of a sound file."""
    return bool(getattr(stream.disposition, "name", "") and "attached_pic" in str(stream.disposition))


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """All frames of a stream. Damaged packets are passed over, as players do."""
    av = load_av()
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _pulled(av: Any, graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _described(path: Path, container: Any, stream: Any, first: Any) -> Video:
    curve = HDR_CURVES.get(int(first.color_trc or 0))
    if curve:
        raise ImageRejected(f"{path} has a high dynamic range ({curve}); convert it to SDR (BT.709) first")
    angle = first.rotation or 0
    if angle % 90:
        raise ImageRejected(f"{path} is to be shown turned by {angle}°; only quarter turns are possible")
    turns = angle // 90 % 4
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    frames = stream.frames
    if not frames and container.duration:
        frames = round(float(container.duration / 1_000_000 * rate))
    depth = first.format.components[0].bits
    notes = []
    if depth > 8:
        notes.append(f"it has {depth} bits; it is coloured in 8")
    if first.interlaced_frame:
        notes.append("it is interlaced; two fields become one frame (bwdif)")
    if turns:
        notes.append(f"it is to be shown turned by {angle}°; the coloured video is upright")
    ratio = Fraction(stream.sample_aspect_ratio or 1)
    width, height = (round(first.width * max(ratio, 1)), round(first.height / min(ratio, 1)))
    if ratio != 1:
        notes.append(
            f"its pixels are not square ({ratio.numerator}:{ratio.denominator}); it becomes {width} × {height} pixels"
        )
    width, height = (height, width) if turns % 2 else (width, height)
    return Video(
        path, width, height, stream.time_base, Fraction(rate), frames, int(first.pts or 0), turns,
        bool(first.interlaced_frame), (first.width, first.height), tuple(notes),
    )  # fmt: skip
