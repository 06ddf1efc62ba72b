"""`livetint bench`: latency, accuracy and more, as numbers that can be quoted."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

# command: (module, attribute, one line of help)
COMMANDS = {
    "latency": ("latency", "latency", "How long a touch takes: in stages, to ab, and to full-resolution pixels."),
    "accuracy": ("accuracy", "accuracy", "PSNR against the number of points, beside baselines."),
    "gpu": ("gpu", "gpu", "Check and time everything on this machine's NVIDIA GPU."),
    "kiosk": ("kiosk", "kiosk", "From touch event to drawn frame, in a real browser."),
    "energy": ("energy", "energy", "Joules of a touch, where the machine has a sensor for it."),
    "archive": ("archive", "archive", "Photographs a second of `colorize FOLDER`, by one process and by several."),
    "video": ("video", "video", "Hints carried through clips with known motion: PSNR and steadiness."),
    "report": ("report", "report", "A page and tables from result files; is this build slower?"),
    "sheets": ("pictures", "sheets", "Contact sheets of photographs in grey, coloured, touched, and as they were."),
    "readme-figure": ("pictures", "readme_figure", "Draw the picture at the top of the README again."),
}


@click.group(cls=LazyGroup, package=__package__, lazy=COMMANDS)
def bench() -> None:
    """Measure latency, accuracy, energy, the GPU and the touch application."""
