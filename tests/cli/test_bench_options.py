"""Options of the measures on the command line, and the registries that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import pytest
from click.testing import CliRunner
from livetint.bench.accuracy import measures as accuracy
from livetint.bench.latency import measures as latency
from livetint.bench.measure import Measure, Result, lines, notes, tables
from livetint.bench.options import Option, counts
from livetint.cli.bench.common import measure_options
from livetint.engine.errors import ConfigError

OPTIONS = (
    Option("--fast", "A flag."),
    Option("--touch-count", "A number.", int, 3, low=1, high=9),
    Option("--kind", "One of two.", str, "a", choices=("a", "b")),
    Option("--hints", "Parsed.", str, "1,2", parse=counts),
    Option("--beside", "Many.", str, multiple=True, metavar="FOLDER"),
)


def call(*arguments: str) -> tuple[dict[str, Any], str, BaseException | None]:
    seen: dict[str, Any] = {}

    @click.command()
    @measure_options(OPTIONS)
    def command(**options: Any) -> None:
        seen.update(options)

    done = CliRunner().invoke(command, arguments)
    return seen, done.output, done.exception


def test_values_arrive_parsed_under_their_keys():
    defaults = {"fast": False, "touch_count": 3, "kind": "a", "hints": (1, 2), "beside": ()}
    assert call()[0] == defaults
    given = call("--fast", "--touch-count", "9", "--kind", "b", "--hints", "7,0", "--beside", "x", "--beside", "y")
    assert given[0] == {"fast": True, "touch_count": 9, "kind": "b", "hints": (0, 7), "beside": ("x", "y")}


def test_help_shows_them_in_order():
    text = call("--help")[1]
    places = [text.index(option.name) for option in OPTIONS]
    assert places == sorted(places) and "FOLDER" in text and "default: 3; 1<=x<=9" in text


@pytest.mark.parametrize("arguments", [("--touch-count", "10"), ("--kind", "c"), ("--touch-count", "x")])
def test_values_outside_their_bounds_are_refused(arguments: Sequence[str]):
    assert call(*arguments)[0] == {}


def test_errors_of_parsing_are_livetints_own():
    assert isinstance(call("--hints", "few")[2], ConfigError)


@pytest.mark.parametrize("registry", [accuracy, latency])
def test_a_registry_names_every_option_and_key_once(registry: Any):
    names = [option.name for option in registry.options()]
    keys = [measure.key for measure in registry.MEASURES]
    assert len(set(names)) == len(names) and len(set(keys)) == len(keys)


class Counted(Measure):
    """A measure that counts."""

    key = "counted"

    @staticmethod
    def lines(part: Result) -> str:
        return f"counted {part['number']}"

    @staticmethod
    def tables(part: Result) -> list[list[list[str]]]:
        return [[["number"], [str(part["number"])]], []]

    @staticmethod
    def notes(part: Result) -> list[str]:
        return ["numbers are whole"]


def test_a_measure_shows_its_part_of_a_result_and_nothing_where_that_is_missing():
    result = {"counted": {"number": 3}}
    assert lines([Counted], result) == "counted 3"
    assert tables([Counted], result) == [[["number"], ["3"]]] and tables([Counted], result, brief=True) == []
    assert notes([Counted], result) == ["numbers are whole"]
    assert (lines([Counted], {}), tables([Counted], {}), notes([Counted], {"counted": None})) == ("", [], [])
