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
# Ten minutes or ten seconds: the number of frames, and the time from one to the next in units of the time base. The
# size. After WARM_UP frames memory must not grow by more than MAX_MIB.
COUNT, STEP, SIZE, WARM_UP = (15_000, 512, (1280, 720), 1500) if SOAK else (125, 1024, (64, 48), 40)
SEGMENT_FRAMES = 240 if SOAK else 25
MAX_MIB = 40.0 if SOAK else 16.0


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path: Path):
    loop = moving_frames(50, SIZE)
    frames = [loop[k % 50] for k in range(COUNT)]
    source = write_video(tmp_path / "in.mp4", frames, range(0, STEP * COUNT, STEP), sound=True)
    del loop, frames
    output = tmp_path / "out.mp4"
    model = find_model("touch") if SOAK else Bundle.load(write_stub_bundle(tmp_path / "stub"))
    found: list[float] = []
    with OnnxRunner(model) as runner:
        settings = Settings(encoder_for(output), segment_frames=SEGMENT_FRAMES)
        summary = colour_video(
            Video.open(source), output, runner, VideoEdits(), settings, lambda done, total: found.append(resident_mib())
        )
    found.append(resident_mib())
    assert summary.frames == COUNT
    assert max(found[WARM_UP:]) - max(found[:WARM_UP]) < MAX_MIB
