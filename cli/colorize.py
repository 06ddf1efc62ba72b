"""`livetint colorize`: photograph and hints in, a picture out."""

from __future__ import annotations

from pathlib import Path

import click

from ..engine.image.compose import METHODS
from ..engine.image.encode import check_output, save_rgb
from .options import Wanted, open_session, session_options


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The picture to write.")
@click.option("--save-hints", type=click.Path(path_type=Path), help="Write the hints as JSON.")
@click.option("--upsampling", type=click.Choice(list(METHODS)), default="bilinear", show_default=True,
              help="How colours meet the full size; guided keeps them within edges and takes longer.")  # fmt: skip
@session_options
def colorize(photo: Path, output: Path, save_hints: Path | None, upsampling: str, wanted: Wanted) -> None:
    """Colour PHOTO at its full size, automatically or with hints."""
    check_output(output)
    session = open_session(photo, wanted)
    rgb = session.render(method=upsampling)
    save_rgb(output, rgb)
    if save_hints:
        session.save(save_hints)
