"""`livetint bench kiosk`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...bench.kiosk.in_browser import as_lines as compared_lines
from ...bench.kiosk.in_browser import measure_in_browser
from ...bench.kiosk.latency import PIXELS, Settings, as_lines, measure_kiosk
from ...bench.kiosk.screens import MAX_SCREENS, SECONDS, measure_screens
from ...bench.kiosk.screens import as_lines as screens_as_lines
from ...bench.options import counts
from ...engine.errors import ConfigError
from ...engine.files import check_writable
from ...engine.image.compose import METHODS
from ...engine.models import find_model
from .common import finish, json_option

DEFAULTS = Settings()


@click.command()
@click.option("--model", default=DEFAULTS.model, show_default=True, help="Name or folder of a bundle.")
@click.option("--moves", type=click.IntRange(2), default=DEFAULTS.moves, show_default=True, help="Moves of the drag.")
@click.option(
    "--pixels",
    type=click.Choice(PIXELS),
    default=DEFAULTS.pixels,
    show_default=True,
    help="How colours travel to the page.",
)
@click.option(
    "--upsampling",
    type=click.Choice(list(METHODS)),
    default=DEFAULTS.upsampling,
    show_default=True,
    help="How ab is upsampled.",
)
@click.option(
    "--screens",
    metavar="N[,N]...",
    callback=lambda context, parameter, text: text and counts(text, "--screens", 1, MAX_SCREENS, "1,2,4,8"),
    help="Instead of a browser: so many scripted pages at once, one run for each number.",
)
@click.option(
    "--seconds", type=click.FloatRange(1), default=SECONDS, show_default=True, help="Length of a run with --screens."
)
@click.option("--spin", is_flag=True, help="Let the engine's threads spin between touches (engine.spin).")
@click.option("--brush", is_flag=True, help="Paint lines with the brush; otherwise a point moves.")
@click.option("--in-browser", is_flag=True, help="Compare touches answered in the page with the engine's, in turns.")
@json_option
def kiosk(
    json_file: Path | None, screens: tuple[int, ...] | None, seconds: float, in_browser: bool, **options: Any
) -> None:
    """Drag a point, or paint, in a real browser and time touch event → drawn frame."""
    check_writable(json_file)
    settings = Settings(**options)
    if screens is not None:
        found = measure_screens(find_model(settings.model), screens, seconds)
        return finish(json_file, found, screens_as_lines(found))
    if not in_browser:
        result = measure_kiosk(settings)
        return finish(json_file, result, as_lines(result))
    if settings.brush or settings.pixels == "jpeg":
        raise ConfigError("in the page there are neither strokes nor JPEGs; leave out --brush and --pixels jpeg")
    compared = measure_in_browser(settings)
    finish(json_file, compared, compared_lines(compared))
