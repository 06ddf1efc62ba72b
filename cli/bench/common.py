"""What the bench commands share: options made from the registries, and the end of a command."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from ...bench.measure import Result
from ...bench.options import Option
from ...engine.files import atomic_write

json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write everything measured to a file."
)


def measure_options(options: Iterable[Option]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of a registry, in their order. Their values arrive under `Option.key`, parsed."""
    made = [_click_option(option) for option in options]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(made):
            function = option(function)
        return function

    return decorate


def _click_option(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    settings: dict[str, Any] = {"help": option.help}
    if option.kind is bool:
        return click.option(option.name, option.key, is_flag=True, **settings)
    if option.choices:
        settings["type"] = click.Choice(option.choices)
    elif option.kind is int:
        settings["type"] = click.IntRange(option.low, option.high)
    if option.default is not None:
        settings |= {"default": option.default, "show_default": True}
    if option.parse is not None:
        settings["callback"] = lambda context, parameter, value, parse=option.parse: parse(value)
    return click.option(option.name, option.key, multiple=option.multiple, metavar=option.metavar, **settings)


def finish(json_file: Path | None, result: Result, lines: str) -> None:
    """Write the result with the command line that made it, and print `lines`."""
    if json_file is not None:
        command = shlex.join(["livetint", *sys.argv[1:]])
        text = json.dumps(result | {"command": command}, indent=1, allow_nan=False)
        atomic_write(json_file, text.encode() + b"\n")
    click.echo(lines)


def say(line: str) -> None:
    """A line on standard error, for what is not the result."""
    click.echo(line, err=True)
