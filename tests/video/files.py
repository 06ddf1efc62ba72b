"""Small video files for tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from livetint.video.errors import load_av
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
TIME_BASE = Fraction(1, 12800)
STEP = 512


def uneven_pts(count: int) -> list[int]:
    """Time stamps of a variable frame rate, in units of TIME_BASE."""
    return [int(sum(STEP + 256 * (k % 3 == 1) for k in range(number))) for number in range(count)]


def moving_frames(count: int, size: tuple[int, int] = (96, 64), seed: int = 0) -> list[Rgb]:
    """Frames of a smooth pattern that moves by one pixel a frame; size: (width, height)."""
    width, height = size
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(width + count), np.arange(height))
    waves = sum(np.sin(x * rng.uniform(0.05, 0.3) + y * rng.uniform(0.05, 0.3) + rng.uniform(0, 6)) for _ in range(6))
    grey = np.clip(128 + 28 * waves, 0, 255).astype(np.uint8)
    return [np.repeat(grey[:, k : k + width, None], 3, 2) for k in range(count)]


def write_video(
    path: Path,
    frames: Sequence[Rgb],
    pts: Sequence[int] | None = None,
    sound: bool = False,
    encoder: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    rate: Fraction | None = None,
    interlaced: bool = False,
    **context: Any,
) -> Path:
    """Write frames. rate: for encoders that take no other time base. context: attributes of the encoder."""
    av = load_av()
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options or {"qmin": "2", "qmax": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = width, height, pix_fmt, TIME_BASE
        stream.codec_context.time_base = TIME_BASE if rate is None else 1 / rate
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        track = container.add_stream("aac", rate=48000) if sound else None
        for rgb, stamp in zip(frames, pts or range(0, STEP * len(frames), STEP), strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format=pix_fmt)
            frame = _as_fields(av, frame) if interlaced else frame
            frame.pts, frame.time_base = stamp, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            _write_sound(av, container, track, len(frames) / 25)
    return path


def _as_fields(av: Any, frame: Any) -> Any:
    """The frame, marked as two fields, the upper one first."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE)
    graph.link_nodes(source, graph.add("setfield", "tff"), graph.add("buffersink")).configure()
    frame.pts, frame.time_base = 0, TIME_BASE
    graph.push(frame)
    return graph.pull()


def _write_sound(av: Any, container: Any, track: Any, seconds: float) -> None:
    for start in range(0, int(seconds * 48000), 1024):
        wave = (8000 * np.sin((np.arange(1024) + start) / 20)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, start
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def decoded(path: Path) -> tuple[list[Fraction], list[Rgb]]:
    """Time stamps in seconds, and frames."""
    with load_av().open(str(path)) as container:
        found = [(frame.pts * frame.time_base, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [stamp for stamp, _ in found], [rgb for _, rgb in found]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time stamps and bytes of the packets of the sound."""
    with load_av().open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.pts is not None]


def turn_clockwise(path: Path) -> None:
    """Mark an MP4 as one to be shown turned by 90° clockwise: change the matrix in its track header."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    matrix = [0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000]
    data[start : start + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    path.write_bytes(bytes(data))
