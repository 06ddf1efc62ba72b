"""Join the segments of a video, with its own time stamps, and copy the sound of the source."""

from __future__ import annotations

import heapq
import io
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..engine.errors import OutputError
from ..engine.files import replacing
from .encoders import container_of
from .errors import load_av, reading, writing
from .parts import Parts
from .source import Video

# A packet with the time in seconds at which it is to be written.
Timed = tuple[Fraction, int, Any]


def check_sound(video: Video, output: Path) -> int:
    """The number of sound tracks that will be copied. Raises OutputError where the container does not take one."""
    av = load_av()
    with reading(video.path), av.open(str(video.path)) as source:
        for stream in source.streams.audio:
            try:
                with av.open(io.BytesIO(), "w", format=container_of(output)) as trial:
                    trial.add_stream_from_template(stream, opaque=True)
                    trial.start_encoding()
            except (av.error.FFmpegError, ValueError) as error:
                name = stream.codec_context.name
                raise OutputError(
                    f"{output.suffix} does not take the sound of {video.path} ({name}); choose a name in .mkv"
                ) from error
        return len(source.streams.audio)


def join(video: Video, parts: Parts, output: Path, comment: str) -> None:
    """Write `output` from all segments of `parts` and the sound of `video`. Raises OutputError.

    comment: added to that of the source.
    """
    av = load_av()
    # An MP4 rounds the time of its first frame to the movie's time scale.
    scale = str(max(1000, video.time_base.denominator))
    options = {"movflags": "faststart", "movie_timescale": scale} if container_of(output) == "mp4" else {}
    with (
        replacing(output) as temporary,
        writing(output),
        av.open(str(video.path)) as source,
        av.open(str(temporary), "w", format=container_of(output), options=options) as target,
    ):
        said = source.metadata.get("comment")
        target.metadata.update({**source.metadata, "comment": f"{said}; {comment}" if said else comment})
        with av.open(str(parts.segment(0))) as first:
            stream = target.add_stream_from_template(first.streams.video[0], opaque=True)
        stream.time_base = video.time_base
        sounds = {track.index: target.add_stream_from_template(track, opaque=True) for track in source.streams.audio}
        for timed in heapq.merge(
            _pictures(video, parts, stream), _sounds(source, sounds, container_of(output) == "mp4"), key=lambda t: t[:2]
        ):
            target.mux(timed[2])


def _pictures(video: Video, parts: Parts, stream: Any) -> Iterator[Timed]:
    av = load_av()
    for number in range(parts.count()):
        record = parts.record(number)
        pts, durations = record.pts, _durations(record.pts, record.durations)
        with av.open(str(parts.segment(number))) as segment:
            for packet in segment.demux(segment.streams.video[0]):
                if packet.pts is None:
                    continue  # the end
                frame = round(packet.pts * packet.time_base * 1000)
                packet.stream = stream
                packet.pts = packet.dts = pts[frame]
                packet.duration = durations[frame]
                packet.time_base = video.time_base
                yield pts[frame] * video.time_base, -1, packet


def _durations(pts: Sequence[int], known: Sequence[int]) -> list[int]:
    """Durations up to the next frame; of the last frame of a segment what the source says."""
    steps = [b - a for a, b in itertools.pairwise(pts)]
    last = known[-1] or (steps[-1] if steps else 1)
    return [*steps, last]


def _sounds(source: Any, streams: dict[int, Any], keep_early: bool) -> Iterator[Timed]:
    """The packets of sound. Packets that end before 0 only prepare the decoder; Matroska would shift all time stamps
    for them, so they are left out there."""
    if not streams:
        return
    last = Fraction(0)
    for packet in source.demux([source.streams[index] for index in streams]):
        if packet.dts is None:
            continue
        if not keep_early and packet.dts + (packet.duration or 0) <= 0:
            continue
        last = max(last, packet.dts * packet.time_base)
        index = packet.stream.index
        packet.stream = streams[index]
        yield last, index, packet


def check_frames(parts: Parts) -> None:
    """Raise OutputError unless every segment is there."""
    missing = [parts.segment(number) for number in range(parts.count()) if not parts.segment(number).is_file()]
    if missing:
        raise OutputError(f"{missing[0]} is missing; remove {parts.folder} and run the command again")
