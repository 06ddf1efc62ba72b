"""`livetint bench gpu`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ...bench.gpu.run import Settings, as_lines, measure_gpu
from ...engine.files import check_writable
from .common import finish, json_option, say

DEFAULTS = Settings()


def _size(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise click.BadParameter(f"{text!r} is no size; write WxH, for instance 1920x1080")
    return int(width), int(height)


@click.command()
@click.option("--model", "models", multiple=True, default=DEFAULTS.models, show_default=True, help="Names or folders.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default=DEFAULTS.precision,
    show_default=True,
    help="Of the plans.",
)
@click.option(
    "--touches", type=click.IntRange(8), default=DEFAULTS.touches, show_default=True, help="Samples of every stage."
)
@click.option(
    "--hints", type=click.IntRange(1, 128), default=DEFAULTS.hints, show_default=True, help="Hints of a timed touch."
)
@click.option(
    "--display",
    default="{}x{}".format(*DEFAULTS.display),
    show_default=True,
    metavar="WxH",
    callback=_size,
    help="Size of composed pictures.",
)
@click.option("--skip-kernels", is_flag=True, help="Leave out the kernel lab and compute-sanitizer (minutes).")
@json_option
def gpu(json_file: Path | None, skip_kernels: bool, **options: Any) -> None:
    """Check and time Livetint on this machine's NVIDIA GPU. Exits with 1 when something answers wrongly."""
    check_writable(json_file)
    result = measure_gpu(Settings(kernels=not skip_kernels, **options), say)
    finish(json_file, result, as_lines(result))
    sys.exit(1 if result["wrong"] else 0)
