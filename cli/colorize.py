"""`livetint colorize`: colour a photograph and write the picture."""

from __future__ import annotations

from pathlib import Path

import click

from ..engine.files import check_writable
from ..engine.image.compose import METHODS
from ..engine.image.encode import check_output, save_rgb
from .options import SessionOptions, open_session, session_options


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The picture to write.")
@click.option("--save-hints", type=click.Path(path_type=Path), help="Write the hints as JSON.")
@click.option("--upsampling", type=click.Choice(list(METHODS)), default="bilinear", show_default=True,
              help="How colours are enlarged to full size; guided follows edges and takes longer.")  # fmt: skip
@click.option("--strength", type=float, help="Strength of colour of the picture, 0 (grey) to 2; 1 is as it comes.")
@session_options
def colorize(
    photo: Path, output: Path, save_hints: Path | None, upsampling: str, strength: float | None, options: SessionOptions
) -> None:
    """Colour PHOTO at its full size, automatically or with hints."""
    check_output(output)
    check_writable(save_hints)
    session = open_session(photo, options)
    if strength is not None:
        session.set_strength(strength)
    rgb = session.render(method=upsampling)
    save_rgb(output, rgb)
    if save_hints:
        session.save(save_hints)
