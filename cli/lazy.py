"""Groups that import a command's module when the command is called: `colorize` does not import what `bench` needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from .interrupts import ExitOnInterrupt

# name: (module inside the group's package, attribute, one line of help)
Commands = Mapping[str, tuple[str, str, str]]


class LazyGroup(click.Group):
    """`@click.group(cls=LazyGroup, package=__package__, lazy=COMMANDS)`."""

    def __init__(self, *arguments: Any, package: str, lazy: Commands, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.package, self.lazy = package, lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, attribute, _ = self.lazy[cmd_name]
        with ExitOnInterrupt():
            return getattr(import_module(f".{module}", self.package), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self.lazy.items()])
