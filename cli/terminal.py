"""Commands on a terminal: errors end in one line on stderr and an exit code, never in a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ..engine.errors import LivetintError


def run(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> None:
    """Run a command with `arguments`, or the process's own. Returns where all went well; else the process exits with
    the error's code after one line."""
    try:
        command.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.Abort:
        _leave("interrupted", 130)
    except click.ClickException as error:
        _leave(error.format_message(), 2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except LivetintError as error:
        _leave(str(error), error.exit_code)
    except KeyboardInterrupt:
        _leave("interrupted", 130)
    except BrokenPipeError:
        sys.exit(0)


def _leave(sentence: str, code: int) -> NoReturn:
    click.echo("livetint: " + " ".join(sentence.split()), err=True)
    sys.exit(code)
