"""What a measure is to the command line and to the report: options, lines, tables, notes.

A measure is a class in a file of its own and one entry in the registry of its bench (`accuracy/measures.py`,
`latency/measures.py`).
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from .options import Option

# A table of the report: the header, then the rows.
Rows = list[list[str]]
# What a bench found, as plain data for JSON.
Result = dict[str, Any]


class Measure(ABC):
    """One thing that a bench measures. The static methods show `part`, the measure's part of a result."""

    # The measure's key in a result.
    key: ClassVar[str]
    options: ClassVar[tuple[Option, ...]] = ()
    # Whether its tables are shown where there is little space, as in a README.
    in_brief: ClassVar[bool] = False

    @classmethod
    def part(cls, result: Result) -> Result | None:
        """What the static methods read of a result; None where it lacks the measure."""
        return result.get(cls.key)

    @staticmethod
    def lines(part: Result) -> str:
        """Lines for the terminal."""
        return ""

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        """Tables of the report. Those without rows are left out."""
        return []

    @staticmethod
    def notes(part: Result) -> list[str]:
        """What the report says below its tables."""
        return []


Measures = Sequence[type[Measure]]


def lines(measures: Measures, result: Result) -> str:
    """A result for the terminal."""
    return "\n".join(text for measure, part in _parts(measures, result) if (text := measure.lines(part)))


def tables(measures: Measures, result: Result, brief: bool = False) -> list[Rows]:
    """All tables of a result that have rows; brief: only those for places with little space."""
    shown = [measure for measure in measures if measure.in_brief or not brief]
    return [rows for measure, part in _parts(shown, result) for rows in measure.tables(part) if rows]


def notes(measures: Measures, result: Result) -> list[str]:
    """All notes of a result."""
    return [note for measure, part in _parts(measures, result) for note in measure.notes(part)]


def _parts(measures: Measures, result: Result) -> Iterator[tuple[type[Measure], Result]]:
    for measure in measures:
        part = measure.part(result)
        if part:
            yield measure, part
