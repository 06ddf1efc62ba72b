"""`livetint bench`: latency and accuracy, as numbers that can be quoted."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

# command: (module, attribute, one line of help)
COMMANDS = {
    "latency": ("latency", "latency", "How long a touch takes: in stages, to ab, and to full-resolution pixels."),
    "accuracy": ("accuracy", "accuracy", "PSNR against the number of points, beside baselines."),
    "report": ("report", "report", "A page and tables from result files; is this build slower?"),
}


@click.group(cls=LazyGroup, package=__package__, lazy=COMMANDS)
def bench() -> None:
    """Measure latency and accuracy."""
