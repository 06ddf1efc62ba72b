"""`livetint bench gpu`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from ...bench.gpu.findings import as_lines
from ...bench.gpu.processes import without_folders, write_json
from ...bench.gpu.run import Settings, measure_gpu, quick
from ...bench.measure import Result
from ...bench.options import counts
from ...engine.files import check_writable
from .common import json_option, say

DEFAULTS = Settings()
MAX_HINTS = 128


def _size(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise click.BadParameter(f"{text!r} is no size; write WxH, for instance 1920x1080")
    return int(width), int(height)


def _hints(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    found = counts(text)
    if not 1 <= found[0] <= found[-1] <= MAX_HINTS:
        raise click.BadParameter(f"{text!r} is out of range; a touch has 1 to {MAX_HINTS} hints")
    return found


@click.command()
@click.option("--model", "models", multiple=True, default=DEFAULTS.models, show_default=True, help="Names or folders.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "int8"]),
    default=DEFAULTS.precision,
    show_default=True,
    help="Of the plans.",
)
@click.option("--quick", "in_short", is_flag=True, help="All in four minutes: 200 touches, quick builds, no sanitizer.")
@click.option("--limit", "limit_s", type=click.FloatRange(10), help="Seconds for all; with --quick 225 if not given.")
@click.option(
    "--touches", type=click.IntRange(4), default=DEFAULTS.touches, show_default=True, help="Samples of every stage."
)
@click.option(
    "--hints",
    default=",".join(map(str, DEFAULTS.hints)),
    show_default=True,
    callback=_hints,
    help="Numbers of hints of timed touches, with commas.",
)
@click.option(
    "--display",
    default="{}x{}".format(*DEFAULTS.display),
    show_default=True,
    metavar="WxH",
    callback=_size,
    help="Size of composed pictures.",
)
@click.option("--torch-python", metavar="PYTHON", help="A Python with PyTorch and NumPy, if this one has no PyTorch.")
@click.option("--skip-build", is_flag=True, help="Measure the plans that are there.")
@click.option("--optimisation", type=click.IntRange(0, 5), help="Level of the builds; --quick has low ones.")
@click.option("--all-plans", is_flag=True, help="Also build and time plans of stages that the CUDA kernels serve.")
@click.option("--skip-kernels", is_flag=True, help="Leave out the kernel lab and compute-sanitizer.")
@click.option("--lab", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The lab, if compiled.")
@click.option("--note", default="", metavar="TEXT", help="Words for the report, such as the commit.")
@json_option
def gpu(
    json_file: Path | None,
    skip_kernels: bool,
    skip_build: bool,
    in_short: bool,
    **options: Any,
) -> None:
    """Check and time Livetint on this machine's NVIDIA GPU. Exits with 1 when something answers wrongly.

    The file of --json is written after every step.
    """
    check_writable(json_file)
    settings = Settings(kernels=not skip_kernels, build=not skip_build, **options)
    command = shlex.join(["livetint", *sys.argv[1:]])

    def save(result: Result) -> None:
        if json_file is not None:
            write_json(json_file, without_folders({**result, "command": command}))

    result = measure_gpu(quick(settings) if in_short else settings, say, save)
    click.echo(as_lines(result))
    sys.exit(1 if result["wrong"] else 0)
