"""Run a click command so that every error prints one line on stderr and sets an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ..engine.errors import LivetintError


def run(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a command and return if it succeeds. An error prints one line and ends the process with its exit code.

    name: the program's name in help. arguments: None for those of the process.
    """
    try:
        command.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.Abort:
        _exit("interrupted", 130)
    except click.ClickException as error:
        _exit(error.format_message(), 2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except LivetintError as error:
        _exit(str(error), error.exit_code)
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except BrokenPipeError:
        sys.exit(0)


def _exit(sentence: str, code: int) -> NoReturn:
    click.echo("livetint: " + " ".join(sentence.split()), err=True)
    sys.exit(code)
