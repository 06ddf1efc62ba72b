"""`livetint bench archive`."""

from __future__ import annotations

from pathlib import Path

import click

from ...bench.archive import as_lines, measure_archive
from ...engine.files import check_writable
from ...engine.models import bundled_folder, find_model
from ..options import model_options
from ..progress import Bars
from .common import finish, json_option


@click.command()
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    default=bundled_folder().parent / "photos",
    help="Folder of photographs.  [default: the bundled ones]",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    default=48,
    show_default=True,
    help="How many are coloured; the folder's are taken in turn.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Numbers of processes; may be given many times.",
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds in turns.")
@json_option
@model_options  # fmt: skip
def archive(
    photos: Path, count: int, jobs: tuple[int, ...], rounds: int, json_file: Path | None, model: str, device: str
) -> None:
    """How many photographs a second `colorize FOLDER` colours, by one process and by several."""
    check_writable(json_file)
    with Bars() as bars:
        result = measure_archive(find_model(model), device, photos, count, jobs, rounds, bars.set)
    finish(json_file, result, as_lines(result))
