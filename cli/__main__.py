"""The command `livetint`. An error prints one line on stderr and sets the exit code; it prints no traceback."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

from .terminal import run

# command: (module, attribute, one line of help). A command's module is imported only when the command is called, so
# `colorize` does not import what `bench` needs.
COMMANDS = {
    "kiosk": ("kiosk", "kiosk", "Open the touch application: a page to colour photographs with a finger."),
    "colorize": ("colorize", "colorize", "Colour a photograph with hints and write the picture."),
    "suggest": ("suggest", "suggest", "Likely colours at a point of a photograph."),
    "calibrate": ("calibrate", "calibrate", "Measure activation ranges for INT8."),
    "build": ("build", "build", "Build a model for a back end: precision, TensorRT plans, accuracy lost."),
    "models": ("models", "models", "List, fetch and import model bundles."),
    "bench": ("bench", "bench", "Measure latency and accuracy."),
    "train": ("train", "train", "Train a network from a TOML file."),
    "doctor": ("doctor", "doctor", "Show what is installed, what is missing and how to install it."),
}


class LazyGroup(click.Group):
    """A click group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        return getattr(import_module(f".{module}", __package__), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="livetint", prog_name="livetint")
def livetint() -> None:
    """Touch a grey photograph and it takes on colour."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. An error prints one line on stderr and ends the process with the error's exit code."""
    run(livetint, "livetint", arguments)


if __name__ == "__main__":
    main()
