"""`livetint bench video`."""

from __future__ import annotations

from pathlib import Path

import click

from ...bench.video.run import as_lines, measure_video
from ...engine.errors import ConfigError
from ...engine.files import check_writable
from ...engine.models import bundled_folder
from ..options import model_options, open_runner
from ..progress import Bars
from .common import finish, json_option


@click.command()
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    default=bundled_folder().parent / "photos",
    help="Folder or tar of photographs; those in colour are used.  [default: the bundled ones]",
)
@click.option("--limit", type=click.IntRange(2), help="Use only so many photographs.")
@click.option("--size", default="192x144", show_default=True, metavar="WxH", help="Size of the frames in pixels.")
@click.option("--frames", type=click.IntRange(4, 1000), default=24, show_default=True, help="Frames of a clip.")
@click.option("--hints", type=click.IntRange(0, 128), default=6, show_default=True, help="Hints of a shot.")
@click.option(
    "--cost-frames", type=click.IntRange(0), default=0, help="Also measure what a frame costs, on so many; needs PyAV."
)
@json_option
@model_options  # fmt: skip
def video(
    photos: Path,
    limit: int | None,
    size: str,
    frames: int,
    hints: int,
    cost_frames: int,
    json_file: Path | None,
    model: str,
    device: str,
) -> None:
    """Hints carried through clips with known motion, beside each frame by itself with the true hints."""
    check_writable(json_file)
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit() and min(int(width), int(height)) >= 16):
        raise ConfigError(f"--size {size!r} is no size; write for instance 192x144")
    with open_runner(model, device) as runner, Bars() as bars:
        clip_size = int(width), int(height)
        result = measure_video(runner, photos, clip_size, frames, hints, limit, cost_frames, bars.set)
    finish(json_file, result, as_lines(result))
