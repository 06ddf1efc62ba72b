"""What a frame costs: a clip is read, coloured and written, as by `livetint video`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...engine.runners.base import Runner
from ...video.encoders import MPEG4, encoder_for
from ...video.hints import VideoEdits
from ...video.run import Settings, colour_video
from ...video.segment import SegmentWriter
from ...video.source import DEFAULT_RATE, Video
from .clips import Rgb, Size, panned

SIZES: tuple[Size, ...] = ((640, 480), (1280, 720), (1920, 1080))


def measure_cost(runner: Runner, rgb: Rgb, frames: int, sizes: Sequence[Size] = SIZES) -> list[dict[str, Any]]:
    """Colour a panned photograph of `frames` frames at each size.

    frames_a_second: by the clock. cpu_ms: time of all threads, for one frame; a busy machine changes it little.
    """
    return [_cost(runner, rgb, frames, size) for size in sizes]


def cost_lines(costs: Sequence[dict[str, Any]]) -> list[str]:
    """The costs for a terminal."""
    return [
        f"{cost['size'][0]} × {cost['size'][1]}: {cost['cpu_ms']:.0f} ms of CPU time a frame, "
        f"{cost['frames_a_second']:.1f} frames a second ({cost['encoder']})"
        for cost in costs
    ]


def _cost(runner: Runner, rgb: Rgb, frames: int, size: Size) -> dict[str, Any]:
    with TemporaryDirectory() as name:
        source, output = Path(name, "source.mkv"), Path(name, "coloured.mp4")
        shot = panned(rgb, size, frames)
        with SegmentWriter(source, MPEG4, *size, DEFAULT_RATE) as writer:
            for number in range(frames):
                writer.write(shot.frame(number))
        settings = Settings(encoder_for(output))
        cpu = time.process_time()
        seconds = colour_video(Video.open(source), output, runner, VideoEdits(), settings).seconds
        cpu = time.process_time() - cpu
    return {
        "size": list(size),
        "frames": frames,
        "frames_a_second": round(frames / seconds, 2),
        "cpu_ms": round(1000 * cpu / frames, 2),
        "encoder": settings.encoder.name,
    }
