"""The command `livetint` and the list of its commands."""

from __future__ import annotations

import click

from .lazy import LazyGroup

# command: (module, attribute, one line of help)
COMMANDS = {
    "kiosk": ("kiosk", "kiosk", "Open the touch application: a page to colour photographs with a finger."),
    "colorize": ("colorize", "colorize", "Colour a photograph with hints and write the picture."),
    "video": ("video", "video", "Colour a video; hints follow what they lie on."),
    "site": ("site", "site", "Publish an exhibition as static files: a page for any web server."),
    "suggest": ("suggest", "suggest", "Likely colours at a point of a photograph."),
    "calibrate": ("calibrate", "calibrate", "Measure activation ranges for INT8."),
    "build": ("build", "build", "Build a model for a back end: precision, TensorRT plans, accuracy lost."),
    "models": ("models", "models", "List, fetch and import model bundles."),
    "bench": ("bench", "bench", "Measure latency, accuracy, energy, the GPU and the touch application."),
    "train": ("train", "train", "Train a network from a TOML file."),
    "doctor": ("doctor", "doctor", "Show what is installed, what is missing and how to install it."),
}


@click.group(
    cls=LazyGroup, package=__package__, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="livetint", prog_name="livetint")
def livetint() -> None:
    """Touch a grey photograph and it takes on colour."""
