"""`livetint colorize`: colour a photograph and write the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..engine.files import check_writable
from ..engine.image.compose import METHODS
from ..engine.image.encode import check_output, save_rgb
from ..engine.image.metadata import read_metadata
from .options import SessionOptions, open_session, session_options


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The picture to write.")
@click.option("--save-hints", type=click.Path(path_type=Path), help="Write the hints as JSON.")
@click.option("--upsampling", type=click.Choice(list(METHODS)), default="bilinear", show_default=True,
              help="How colours are enlarged to full size; guided follows edges and takes longer.")  # fmt: skip
@click.option("--strength", type=float, help="Strength of colour of the picture, 0 (grey) to 2; 1 is as it comes.")
@click.option("--overwrite", is_flag=True, help="Let the results replace the photograph or the reference itself.")
@click.option("--keep-location", is_flag=True,
              help="Keep GPS coordinates in the picture; other metadata is kept in any case.")  # fmt: skip
@session_options
def colorize(
    photo: Path,
    output: Path,
    save_hints: Path | None,
    upsampling: str,
    strength: float | None,
    overwrite: bool,
    keep_location: bool,
    options: SessionOptions,
) -> None:
    """Colour PHOTO at its full size, automatically or with hints."""
    _check_places(output, save_hints, () if overwrite else (photo, options.reference), options.hints_file)
    session = open_session(photo, options)
    if strength is not None:
        session.set_strength(strength)
    rgb = session.render(method=upsampling)
    save_rgb(output, rgb, read_metadata(photo, keep_location=keep_location))
    if save_hints:
        session.save(save_hints)


def _check_places(
    output: Path, save_hints: Path | None, pictures: Sequence[Path | None], hints_file: Path | None
) -> None:
    """Check early that both results can be written. Neither may replace one of `pictures`, nor the other result.

    The file of --save-hints may be that of --hints: hints are read, changed and saved.
    """
    advice = "choose another name, or replace it with --overwrite"
    check_output(output, pictures, advice)
    check_writable(output, (hints_file,))
    check_writable(save_hints, pictures, advice)
    check_writable(save_hints, (output,))
