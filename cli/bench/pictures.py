"""`livetint bench sheets` and `livetint bench readme-figure`: pictures to look at, which no figure replaces."""

from __future__ import annotations

from pathlib import Path

import click

from ...bench.accuracy import sheets as contact_sheets
from ...bench.report import readme_figure as figure
from ...engine.image.encode import check_output, save_rgb
from ...engine.models import DEFAULT_MODEL, find_model
from ...engine.runners.onnx import OnnxRunner
from ..progress import Bars

output_option = click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The picture to write."
)
model_option = click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of a bundle.")


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@output_option
@model_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Photographs at most.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take every n-th photograph.")
def sheets(photos: Path, output: Path, model: str, limit: int, every: int) -> None:
    """Write a contact sheet of PHOTOS, a folder or tar file of colour photographs.

    Each is shown in grey, automatic, after one touch, after five, and as it was. The touches are those that the
    engine would ask for next, revealed from the truth.
    """
    check_output(output, (photos,))
    with OnnxRunner(find_model(model)) as runner, Bars() as bars:
        save_rgb(output, contact_sheets.sheet(runner, photos, limit, every, bars.set))


@click.command()
@output_option
@click.option(
    "--photo",
    default=figure.PHOTO,
    show_default=True,
    type=click.Path(path_type=Path),
    help="The photograph; the touches are made for the default.",
)
@model_option
def readme_figure(output: Path, photo: Path, model: str) -> None:
    """Draw the README's picture: an old photograph as it is, coloured automatically, and with five touches.

    Draw it again after every change of the weights: -o docs/readme-figure.jpg.
    """
    check_output(output, (photo,))
    with OnnxRunner(find_model(model)) as runner:
        save_rgb(output, figure.draw(runner, photo))
