"""Colour a video: segments, then one file."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import msgspec

from ..engine.errors import ImageRejected
from ..engine.files import sha256_of
from ..engine.runners.base import Runner, check_hints, check_vivid
from .carry import Ended
from .encoders import Encoder
from .frames import FrameColourer, Shot
from .hints import VideoEdits
from .join import check_frames, check_sound, join
from .parts import Parts, Record
from .segment import SegmentWriter
from .sheet import save_picture, write_sheet
from .source import Frame, Video

# A run that is killed loses at most the work on so many frames.
SEGMENT_FRAMES = 240

# Is told how many frames are done, and of how many (an estimate).
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """How a video is coloured. upsampling: method of `compose`. sheet: where its contact sheet is written, or None."""

    encoder: Encoder
    upsampling: str = "bilinear"
    sheet: Path | None = None
    segment_frames: int = SEGMENT_FRAMES


@dataclass
class Summary:
    """What was done.

    resumed: frames of an earlier run. unused: hints that start after the end. sounds: how many tracks were copied.
    seconds: of this run.
    """

    frames: int = 0
    resumed: int = 0
    shots: list[Shot] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    unused: list[int] = field(default_factory=list)
    sounds: int = 0
    seconds: float = 0.0


def colour_video(
    video: Video,
    output: Path,
    runner: Runner,
    edits: VideoEdits,
    settings: Settings,
    progress: Progress = lambda done, total: None,
) -> Summary:
    """Colour `video` into `output`. A run that was stopped continues where it was.

    Raises HintRejected, ImageRejected and OutputError; what was done until then stays in OUT.parts.
    """
    start = time.perf_counter()
    check_vivid(runner.bundle, edits.vivid)
    check_hints(runner.bundle, [], edits.global_hints)
    sounds = check_sound(video, output)
    with Parts(output) as parts:
        resumed = parts.start(_fingerprint(video, runner, edits, settings))
        colourer = FrameColourer(
            runner, edits, settings.upsampling, lambda shot, rgb, points: save_picture(parts.picture(shot), rgb, points)
        )
        before = _colour_segments(video, parts, colourer, settings, resumed, progress)
        check_frames(parts)
        join(video, parts, output, f"coloured by Livetint {importlib.metadata.version('livetint')}")
        if settings.sheet is not None:
            write_sheet(settings.sheet, colourer.shots, parts, video)
        parts.remove()
    seconds = time.perf_counter() - start
    return Summary(colourer.frames, before, colourer.shots, colourer.ended, colourer.unused, sounds, seconds)


def _colour_segments(
    video: Video, parts: Parts, colourer: FrameColourer, settings: Settings, resumed: bool, progress: Progress
) -> int:
    """Colour what is not done yet; returns the number of frames that were done before."""
    number, after = 0, None
    if resumed:
        number = parts.count()
        record = parts.record(number - 1)
        colourer.restore(record.state, *parts.last_frame(number - 1))
        after = record.pts[-1]
    before = colourer.frames
    frames = video.read(after)
    while True:
        first = next(frames, None)
        if first is None:
            break
        rest = islice(frames, settings.segment_frames - 1)
        _colour_segment(video, parts, number, chain([first], rest), colourer, settings, progress)
        number += 1
    if not number:
        raise ImageRejected(f"{video.path} has no frame that can be decoded; check the file")
    return before


def _colour_segment(
    video: Video,
    parts: Parts,
    number: int,
    frames: Iterator[Frame],
    colourer: FrameColourer,
    settings: Settings,
    progress: Progress,
) -> None:
    pts, durations = [], []
    with SegmentWriter(parts.segment(number), settings.encoder, video.width, video.height, video.rate) as writer:
        for frame in frames:
            writer.write(colourer.colour(frame.rgb, video.time_s(frame.pts)))
            pts.append(frame.pts)
            durations.append(frame.duration)
            progress(colourer.frames, max(video.frames, colourer.frames))
    state, ab, L = colourer.state()
    parts.finish(number, Record(pts, durations, state), ab, L)


def _fingerprint(video: Video, runner: Runner, edits: VideoEdits, settings: Settings) -> str:
    """All that decides the result; a run is resumed only if it is the same."""
    status = video.path.stat()
    table = {
        "source": [str(video.path.resolve()), status.st_size, status.st_mtime_ns],
        "model": [runner.bundle.digest, runner.runs_on],
        "edits": sha256_of(repr(edits).encode()),
        "encoder": [settings.encoder.name, dict(settings.encoder.options)],
        "upsampling": settings.upsampling,
        "segment_frames": settings.segment_frames,
        "livetint": importlib.metadata.version("livetint"),
    }
    return msgspec.json.encode(table).decode()
