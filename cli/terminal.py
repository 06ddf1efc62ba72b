"""Run a click command so that every error prints one line on stderr and sets an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ..engine.errors import LivetintError
from .interrupts import INTERRUPTED
from .process import NO_MEMORY, NO_MEMORY_SENTENCE, drop_output, lacks_memory

# What a group raises that is called without a command. Its message is the help; click 8.1 prints that itself.
NO_ARGUMENTS: tuple[type[click.ClickException], ...] = tuple(
    filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)])
)


def run(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a command and return if it succeeds. An error prints one line and ends the process with its exit code.

    name: the program's name in help. arguments: None for those of the process. Errors that are faults of Livetint are
    raised.
    """
    try:
        _call(command, name, arguments)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _exit("interrupted", INTERRUPTED)
    except click.ClickException as error:
        _exit(error.format_message(), 2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except LivetintError as error:
        _exit(str(error), error.exit_code)
    except BrokenPipeError:
        drop_output()
        sys.exit(0)
    except Exception as error:
        if lacks_memory(error):
            _exit(NO_MEMORY_SENTENCE, NO_MEMORY)
        if isinstance(error, OSError):
            _exit(_sentence(error), 2)
        raise


def _call(command: click.Command, name: str, arguments: Sequence[str] | None) -> None:
    try:
        command.main(arguments, prog_name=name, standalone_mode=False)
    except NO_ARGUMENTS as error:
        click.echo(error.format_message())
    if sys.stdout is not None:
        sys.stdout.flush()


def _sentence(error: OSError) -> str:
    """What an error of the system says. Those of standard output have no file name."""
    reason = error.strerror or str(error)
    if error.filename is None:
        drop_output()
        return f"cannot write the output: {reason}; free some space, or send it elsewhere"
    return f"{error.filename}: {reason}; check the path and its rights"


def _exit(sentence: str, code: int) -> NoReturn:
    with contextlib.suppress(OSError, ValueError):  # standard error may be full too
        click.echo("livetint: " + " ".join(sentence.split()), err=True)
    sys.exit(code)
