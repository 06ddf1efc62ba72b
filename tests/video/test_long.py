"""A long video needs no more memory than a short one. `make soak` colours ten minutes at 720p."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner
from livetint.video.encoders import encoder_for
from livetint.video.hints import VideoEdits
from livetint.video.run import Settings, colour_video
from livetint.video.source import Video

from ..kiosk.stub_bundle import write_stub_bundle
from ..needs import import_or_skip
from .files import moving_frames, write_video

import_or_skip("av")
SOAK = bool(os.environ.get("LIVETINT_SOAK"))
# Seconds at 25 frames a second, the size, and after how many frames memory should not grow by more than MAX_MIB.
SECONDS, SIZE, WARM_UP = (600, (1280, 720), 1500) if SOAK else (10, (64, 48), 60)
SEGMENT_FRAMES = 240 if SOAK else 30
MAX_MIB = 40.0 if SOAK else 16.0


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path: Path):
    loop = moving_frames(50, SIZE)
    source = write_video(tmp_path / "in.mp4", [loop[k % 50] for k in range(25 * SECONDS)], sound=True)
    del loop
    output = tmp_path / "out.mp4"
    model = find_model("touch") if SOAK else Bundle.load(write_stub_bundle(tmp_path / "stub"))
    found: list[float] = []
    with OnnxRunner(model) as runner:
        settings = Settings(encoder_for(output), segment_frames=SEGMENT_FRAMES)
        summary = colour_video(
            Video.open(source), output, runner, VideoEdits(), settings, lambda done, total: found.append(resident_mib())
        )
    found.append(resident_mib())
    assert summary.frames == 25 * SECONDS
    assert max(found[WARM_UP:]) - max(found[:WARM_UP]) < MAX_MIB
