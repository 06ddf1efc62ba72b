"""`livetint bench energy`."""

from __future__ import annotations

from pathlib import Path

import click

from ...bench.latency.energy import as_lines, measure_energy, require_sensors
from ...bench.options import counts
from ...engine.files import check_writable
from ..options import model_options, open_runner
from .common import finish, json_option


@click.command()
@click.option(
    "--hints",
    default="16,128",
    show_default=True,
    help="Numbers of hints, with commas.",
    callback=lambda context, parameter, text: counts(text),
)
@json_option
@model_options
def energy(hints: tuple[int, ...], json_file: Path | None, model: str, device: str) -> None:
    """Joules of a touch, whole and above idle, where the machine has a sensor for it."""
    check_writable(json_file)
    sensors = require_sensors()
    with open_runner(model, device) as runner:
        result = measure_energy(runner, hints, sensors)
    finish(json_file, result, as_lines(result))
