"""`livetint bench accuracy`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from ...bench.accuracy import measures
from ...bench.accuracy.curve import Curve
from ...bench.accuracy.photo_set import PhotoSet
from ...bench.accuracy.run import Run, measure_all
from ...bench.measure import lines
from ...engine.files import check_writable
from ..options import model_options, open_runner
from ..progress import Bars
from .common import finish, json_option, measure_options


@click.command()
@click.option("--photos", required=True, type=click.Path(path_type=Path), help="Folder or tar of photographs.")
@measure_options(measures.options())
@click.option("--limit", type=click.IntRange(1), help="Only the first N photographs.")
@json_option
@model_options
def accuracy(photos: Path, limit: int | None, json_file: Path | None, model: str, device: str, **options: Any) -> None:
    """PSNR against the number of points, beside baselines on the same photographs and points."""
    check_writable(json_file, (photos,))
    photo_set, plan = PhotoSet(photos, limit), Curve.plan(options)
    photo_set.check()
    with ExitStack() as resources, Bars() as bars:
        runner = resources.enter_context(open_runner(model, device))
        beside = {name: resources.enter_context(open_runner(name, device)) for name in options["beside"]}
        result = measure_all(Run(runner, photo_set, plan, beside, bars.set), measures.wanted(options))
    finish(json_file, result, lines(measures.MEASURES, result))
