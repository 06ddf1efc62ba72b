"""`livetint video`: colour a video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from ..engine.colour.global_hints import GlobalHints, histogram_of
from ..engine.errors import ConfigError
from ..engine.files import check_writable
from ..engine.image.compose import METHODS
from ..engine.image.encode import check_output
from ..engine.image.photo import Photo
from ..video.carry import Ended
from ..video.encoders import CONTAINERS, Encoder, encoder_for
from ..video.hints import VideoEdits, parse_video_edits
from ..video.run import Settings, Summary, colour_video
from ..video.source import Video
from ..video.where import VideoPlace, where
from .options import model_options, open_runner, read_file
from .progress import Bars

# Hints that ended are listed up to this number.
MAX_LISTED = 40


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help=f"The video to write: {', '.join(CONTAINERS)}.")
@click.option(
    "--hints", "hints_file", type=click.Path(path_type=Path), help="Hints with times, as JSON (docs/video.md)."
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="A picture whose distribution of colours the frames should have.",
)
@click.option(
    "--vivid", type=float, help="Multiplies the automatic colours, 0.5 to 2; 1 is as trained. Hints keep their colours."
)
@click.option(
    "--upsampling",
    type=click.Choice(list(METHODS)),
    default="bilinear",
    show_default=True,
    help="How colours are enlarged to full size; guided follows edges and takes longer.",
)
@click.option("--where", "asks_where", is_flag=True, help="Print where a hint would help most, in place of -o.")
@click.option("--count", type=click.IntRange(1, 1000), default=9, show_default=True, help="How many, with --where.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with --where.")
@click.option("--encoder", help="Write with this encoder.  [default: the first with a free licence]")
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="The contact sheet of shots.  [default: OUTPUT.shots.jpg]"
)
@click.option("--overwrite", is_flag=True, help="Let results replace files that are there.")
@model_options  # fmt: skip
def video(
    clip: Path,
    output: Path | None,
    hints_file: Path | None,
    reference: Path | None,
    vivid: float | None,
    upsampling: str,
    asks_where: bool,
    count: int,
    as_json: bool,
    encoder: str | None,
    sheet: Path | None,
    overwrite: bool,
    model: str,
    device: str,
) -> None:
    """Colour the video CLIP, automatically or with hints that follow what they lie on (docs/video.md).

    The sound and the time stamps are copied. A run that was stopped continues where it was.
    """
    if asks_where == (output is not None):
        raise ConfigError("give either the video to write (-o coloured.mp4) or --where")
    chosen = None if output is None else encoder_for(output, encoder)
    if output is not None:
        sheet = sheet or output.with_name(output.name + ".shots.jpg")
        _check_places(output, sheet, (clip, hints_file, reference), overwrite)
    edits = _edits(hints_file, reference, vivid)
    source = Video.open(clip)
    for note in source.notes:
        click.echo(f"livetint: note: {clip}: {note}", err=True)
    if output is None or chosen is None:
        with open_runner(model, device) as runner, Bars() as bars:
            places = where(source, runner, edits, count, lambda done, total: bars.set("frames", done, total))
        click.echo(_as_json(places) if as_json else "\n".join(_as_line(place, source) for place in places))
        return
    settings = Settings(chosen, upsampling, sheet)
    with open_runner(model, device) as runner, Bars() as bars:
        summary = colour_video(
            source, output, runner, edits, settings, lambda done, total: bars.set("frames", done, total)
        )
        runs_on = runner.runs_on
    for line in _endings(summary.ended):
        click.echo(line, err=True)
    if summary.unused:
        click.echo(
            f"never used, because they start after the end: hints {', '.join(map(str, summary.unused))}", err=True
        )
    click.echo(_result_line(output, source, summary, chosen, runs_on), err=True)


def _as_json(places: Sequence[VideoPlace]) -> str:
    """Places as JSON: t, x and y as in a file of hints."""
    tables = [
        {
            "t": round(place.time_s, 4),
            "frame": place.frame,
            "x": round(place.x, 4),
            "y": round(place.y, 4),
            "worth": round(place.worth, 1),
            "frames": place.frames,
        }
        for place in places
    ]
    return json.dumps(tables, indent=1)


def _as_line(place: VideoPlace, source: Video) -> str:
    column, row = int(place.x * source.width), int(place.y * source.height)
    return (
        f"{place.time_s:.3f} s, frame {place.frame}, pixel {column},{row} "
        f"(t {place.time_s:.4f}, x {place.x:.4f}, y {place.y:.4f}): {place.worth:.0f} over {place.frames} frames"
    )


def _edits(hints_file: Path | None, reference: Path | None, vivid: float | None) -> VideoEdits:
    """The hints of the file, with what other options replace."""
    edits = parse_video_edits(read_file(hints_file)) if hints_file else VideoEdits()
    if reference is not None:
        histogram = histogram_of(Photo.open(reference).working_ab())
        edits = replace(edits, global_hints=GlobalHints(histogram, edits.global_hints.saturation))
    return edits if vivid is None else replace(edits, vivid=vivid)


def _check_places(output: Path, sheet: Path, inputs: Sequence[Path | None], overwrite: bool) -> None:
    """Check early that the results can be written, and that nothing is lost by that."""
    check_writable(output, inputs)
    check_output(sheet, (*inputs, output))
    if not overwrite:
        for path in (output, sheet):
            if path.exists():
                raise ConfigError(f"{path} is there already; choose another name, or replace it with --overwrite")


def _endings(ended: Sequence[Ended]) -> list[str]:
    """Where hints ended, so that a person can add some."""
    lines = [
        f"hint {end.hint} ended at {end.time_s:.3f} s (frame {end.frame}), "
        f"last at ({end.x:.3f}, {end.y:.3f}): {end.why}"
        for end in ended[:MAX_LISTED]
    ]
    more = len(ended) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def _result_line(output: Path, source: Video, summary: Summary, encoder: Encoder, runs_on: str) -> str:
    done = summary.frames - summary.resumed
    rate = f" ({done / summary.seconds:.1f} frames a second)" if done else ""
    parts = [
        f"{summary.frames} frames of {source.width} × {source.height} pixels",
        f"{summary.resumed} of them done before" if summary.resumed else "",
        "1 shot" if len(summary.shots) == 1 else f"{len(summary.shots)} shots",
        f"{encoder.codec} by {encoder.name} ({encoder.licence})",
        "sound copied" if summary.sounds else "",
        f"{summary.seconds:.1f} s on the {runs_on}{rate}",
    ]
    return f"{output}: " + ", ".join(filter(None, parts))
