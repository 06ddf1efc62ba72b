"""Video: hints placed once and steadied colours, beside each frame by itself with the true hints in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...calibration.photographs import photograph_files
from ...engine.colour.cielab import srgb_to_lab
from ...engine.errors import ConfigError
from ...engine.hints import DEFAULT_SIZE_PX, Hint, patch_bounds
from ...engine.image.compose import compose
from ...engine.image.photo import Photo
from ...engine.runners.base import Runner
from ...video.flow import sample
from ...video.frames import FrameColourer
from ...video.hints import VideoEdits, VideoHint
from .. import environment
from ..progress import Progress, no_progress
from .clips import CLIPS, Plane, Rgb, Shot, Size
from .cost import cost_lines, measure_cost

SCHEMA = 1
SEED = 2017
FRAME_S = 1 / 25
# Photographs with less mean chroma are grey, or have the tone of an old print.
MIN_CHROMA = 10.0
ALONE, CARRIED = METHODS = "frame by frame", "carried"


@dataclass
class Tally:
    """What one method did in a clip, one number for each frame.

    squared_error: of the sRGB pixels. warping_error: mean distance in ab to the last frame, moved by the true flow,
    where it was seen. chroma: mean. new_error: mean distance in ab to the truth where something comes into sight.
    """

    squared_error: list[float] = field(default_factory=list)
    warping_error: list[float] = field(default_factory=list)
    chroma: list[float] = field(default_factory=list)
    new_error: list[float] = field(default_factory=list)
    last: Plane | None = None

    def add(self, ab: Plane, photo: Photo, truth: Plane, sources: tuple[Plane, NDArray[np.bool_]] | None) -> None:
        """Add a frame. ab: of the working size. truth: ab [2, H, W]. sources: `Shot.sources`; None: a shot starts."""
        rgb = compose(photo.L, ab)
        self.squared_error.append(float(np.mean((rgb.astype(np.float64) - photo.rgb) ** 2)))
        self.chroma.append(float(np.hypot(*ab).mean()))
        full = np.stack([cv2.resize(plane, photo.size, interpolation=cv2.INTER_LINEAR) for plane in ab])
        if sources is not None and self.last is not None:
            places, seen = sources
            moved = np.stack([sample(plane, places) for plane in self.last])
            self.warping_error.append(float(np.hypot(*(full - moved))[seen].mean()))
            if not seen.all():
                self.new_error.append(float(np.hypot(*(full - truth))[~seen].mean()))
        self.last = full

    def result(self) -> dict[str, float]:
        return {
            "psnr_db": round(float(20 * np.log10(255 / np.sqrt(np.mean(self.squared_error)))), 3),
            "warping_error": round(float(np.mean(self.warping_error)), 4),
            "chroma": round(float(np.mean(self.chroma)), 3),
            "new_error": round(float(np.mean(self.new_error or [0.0])), 3),
        }


def measure_video(
    runner: Runner,
    photos: Path,
    size: Size,
    frames: int,
    hints: int,
    limit: int | None = None,
    cost_frames: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure all kinds of clips of the colour photographs in `photos` (folder or tar).

    size: (width, height) of the frames. hints: how many each shot gets, at random places, in its first frame. limit:
    only so many photographs. cost_frames: also measure what a frame costs, on so many; 0: do not. Raises ConfigError
    where there are fewer than two photographs in colour.
    """
    found = list(_colour_photographs(photos))[:limit]
    if len(found) < 2:
        raise ConfigError(f"{photos} holds fewer than two photographs in colour; give others with --photos")
    results = []
    for index, (name, rgb) in enumerate(found):
        other = found[(index + 1) % len(found)][1]
        for number, (kind, make) in enumerate(CLIPS.items()):
            progress("clips", index * len(CLIPS) + number, len(found) * len(CLIPS), f"{kind}, {name}")
            clip = measure_clip(runner, make(rgb, other, size, frames), hints)
            results.append({"clip": kind, "photograph": name, **clip})
    progress("clips", len(results), len(results), "")
    costs = measure_cost(runner, found[0][1], cost_frames) if cost_frames else []
    return {
        "schema": SCHEMA,
        "kind": "video",
        "size": list(size),
        "frames": frames,
        "hints": hints,
        "clips": results,
        "all": _summary(results),
        "cost": costs,
        "machine": environment.machine(),
        "versions": environment.versions(),
        "model": environment.model_table(runner.bundle),
    }


def measure_clip(runner: Runner, shots: Sequence[Shot], hints: int) -> dict[str, Any]:
    """Colour a clip in both ways; returns what each did, the shots that were found, and hints that ended early."""
    rng = np.random.default_rng(SEED)
    placed = [_random_hints(shot, hints, rng) for shot in shots]
    starts = np.cumsum([0, *map(len, shots)])
    asked = [
        VideoHint(hint, float(start * FRAME_S))
        for start, of_shot in zip(starts, placed, strict=False)
        for hint in of_shot
    ]
    colourer = FrameColourer(runner, VideoEdits(tuple(asked)))
    tallies = {method: Tally() for method in METHODS}
    for start, shot, of_shot in zip(starts, shots, placed, strict=False):
        for number in range(len(shot)):
            photo = Photo.from_rgb(shot.frame(number))
            painter, carried = colourer.next(photo, float((start + number) * FRAME_S))
            alone = painter.ab(_true_hints(shot, of_shot, number))
            truth = srgb_to_lab(photo.rgb.astype(np.float32) / np.float32(255))[..., 1:].transpose(2, 0, 1)
            sources = shot.sources(number) if number else None
            for method, ab in ((ALONE, alone), (CARRIED, carried)):
                tallies[method].add(ab, photo, truth, sources)
    early = [end for end in colourer.ended if "shot" not in end.why]
    return {
        **{method: tally.result() for method, tally in tallies.items()},
        "shots_found": [found.start for found in colourer.shots],
        "ended": len(early),
    }


def as_lines(result: dict[str, Any]) -> str:
    """The result for a terminal: a line for each kind of clip, and the whole."""
    kinds = dict.fromkeys(clip["clip"] for clip in result["clips"])
    rows = [(kind, _summary([clip for clip in result["clips"] if clip["clip"] == kind])) for kind in kinds]
    lines = [
        f"{kind:10} {whole['steadier']:5.2f} × as steady, PSNR {whole['psnr_db'][CARRIED]:.2f} dB "
        f"(frame by frame {whole['psnr_db'][ALONE]:.2f}), {whole['chroma']:.2f} × the chroma, "
        f"error where things come into sight {whole['new_error'][CARRIED]:.1f} ({whole['new_error'][ALONE]:.1f})"
        for kind, whole in [*rows, ("all", result["all"])]
    ]
    width, height = result["size"]
    lines.append(
        f"{len(result['clips'])} clips of {result['frames']} frames, {width} × {height}, {result['hints']} hints"
    )
    return "\n".join([*lines, *cost_lines(result["cost"])])


def _summary(clips: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over clips. steadier: warping error of frame by frame over that of carried. chroma: carried over alone."""

    def mean(method: str, key: str) -> float:
        return float(np.mean([clip[method][key] for clip in clips]))

    return {
        "psnr_db": {method: round(mean(method, "psnr_db"), 3) for method in METHODS},
        "steadier": round(mean(ALONE, "warping_error") / max(mean(CARRIED, "warping_error"), 1e-6), 3),
        "chroma": round(mean(CARRIED, "chroma") / mean(ALONE, "chroma"), 3),
        "new_error": {method: round(mean(method, "new_error"), 3) for method in METHODS},
    }


def _colour_photographs(source: Path) -> Iterator[tuple[str, Rgb]]:
    for name, data in photograph_files(source):
        photo = Photo.from_bytes(data, name=name)
        if np.hypot(*photo.working_ab()).mean() >= MIN_CHROMA:
            yield name, photo.rgb


def _random_hints(shot: Shot, count: int, rng: np.random.Generator) -> list[Hint]:
    """Hints at random places of the first frame, with the mean of the true ab under their patches."""
    ab = Photo.from_rgb(shot.frame(0)).working_ab()
    hints = []
    for x, y in rng.uniform(0.1, 0.9, (count, 2)):
        top, bottom, left, right = patch_bounds(x, y, DEFAULT_SIZE_PX, *ab.shape[1:])
        a, b = (float(value) for value in ab[:, top:bottom, left:right].mean((1, 2)))
        hints.append(Hint(float(x), float(y), a, b))
    return hints


def _true_hints(shot: Shot, hints: Sequence[Hint], number: int) -> list[Hint]:
    """The hints of the first frame at their true places in another; without those that are not seen."""
    width, height = shot.size
    found = []
    for hint in hints:
        place = shot.follow(hint.x * width - 0.5, hint.y * height - 0.5, number)
        if place is not None:
            found.append(Hint((place[0] + 0.5) / width, (place[1] + 0.5) / height, hint.a, hint.b, hint.size))
    return found
