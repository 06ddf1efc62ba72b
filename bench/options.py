"""Options of the bench commands, as data. The command line makes its own from them; benches read their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.errors import ConfigError

MAX_POINTS = 10_000


@dataclass(frozen=True)
class Option:
    """An option of a bench command.

    name: with its dashes, as it is typed. kind: bool for a flag, else the type of the value. multiple: it may be
    given many times, and its value is a tuple. choices: the only values allowed. low, high: bounds of a number.
    parse: turns the value into what measures read; raises ConfigError for nonsense.
    """

    name: str
    help: str
    kind: type[bool] | type[int] | type[str] = bool
    default: Any = None
    multiple: bool = False
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    parse: Callable[[Any], Any] | None = None

    @property
    def key(self) -> str:
        """The name under which its value stands in `Options`."""
        return self.name.lstrip("-").replace("-", "_")


# The parsed values of all options of a command, by `Option.key`.
Options = Mapping[str, Any]


def words(text: str) -> list[str]:
    """`a, b` → a, b."""
    return [word.strip() for word in text.split(",") if word.strip()]


def factor(text: str) -> float:
    """`1.3` → the number. Raises ConfigError."""
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a number; write for instance 1.3") from error


def counts(
    text: str, option: str = "--hints", low: int = 0, high: int = MAX_POINTS, example: str = "0,1,10,100"
) -> tuple[int, ...]:
    """`0,1,10` → the numbers, each once, in rising order. Raises ConfigError, which names the option."""
    try:
        found = sorted({int(word) for word in words(text)})
    except ValueError as error:
        raise ConfigError(f"{option} {text!r} is no list of whole numbers; write for instance {example}") from error
    if not found:
        raise ConfigError(f"{option} is empty; write for instance {example}")
    if not low <= found[0] <= found[-1] <= high:
        raise ConfigError(f"{option} {text!r} is out of range; numbers run from {low} to {high}")
    return tuple(found)
