"""`livetint bench latency`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from ...bench.latency import measures
from ...bench.latency.run import Request, Run, measure_all
from ...bench.measure import lines
from ...engine.files import check_writable
from ...engine.models import find_model
from ...engine.runners.base import Runner
from ...engine.runners.open import open_runner as runner_for
from ..options import model_options
from ..progress import Bars
from .common import finish, json_option, measure_options, say


@click.command()
@measure_options(measures.options())
@json_option
@model_options
def latency(json_file: Path | None, model: str, device: str, **options: Any) -> None:
    """How long a touch takes: in stages, to ab, and to full-resolution pixels."""
    check_writable(json_file)
    threads = options["threads"][0]
    with ExitStack() as resources, Bars() as bars:

        def opened(name: str, on: str, threads: int) -> Runner:
            return resources.enter_context(open_runner(name, on, threads))

        wanted = measures.wanted(Request(options, model, device, opened))
        run = Run(opened(model, device, threads), options["hints"], threads, options["touches"], bars.set)
        result = measure_all(run, wanted)
    notes = [f"note: {text}" for text in result["warnings"]]
    finish(json_file, result, "\n".join([lines(measures.MEASURES, result), *notes]))


def open_runner(model: str, device: str, threads: int) -> Runner:
    """The runner of a model for a device. Falling back to the CPU is said on standard error."""
    return runner_for(find_model(model), device, threads, say=say)
