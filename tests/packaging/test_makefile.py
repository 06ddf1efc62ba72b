"""The commands that the Makefile's targets run, as `make -n` prints them."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def commands(*arguments: str) -> list[list[str]]:
    """The commands that make would run, each as words without assignments of variables."""
    make = ["make", "-n", "--no-print-directory", "PYTHON=python3", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "PHOTOS"}}
    script = subprocess.run(make, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    lines = script.replace("\\\n", " ").splitlines()
    return [[word for word in shlex.split(line) if "=" not in word or word.startswith("-")] for line in lines]


def subcommands(arguments: list[str]) -> list[str]:
    """The first two words of every call of `livetint`."""
    return [" ".join(words[1:3]) for words in commands(*arguments) if words[0].endswith("/livetint")]


def test_bench_measures_latency_and_reports_it():
    assert subcommands(["bench"]) == ["bench latency", "bench report"]


def test_bench_with_photographs_measures_accuracy_as_well():
    assert subcommands(["bench", "PHOTOS=some.tar"]) == ["bench latency", "bench accuracy", "bench report"]


def test_a_fresh_kiosk_says_what_takes_long_and_how_to_stop_it():
    said = [" ".join(words[1:]) for words in commands("--always-make", "kiosk") if words[0] == "echo"]
    assert len(said) == 3 and "half a minute" in said[1] and "Ctrl-C stops it" in said[2]


def test_failed_tests_are_listed_by_name():
    (options,) = [words for words in commands("pytest") if "pytest" in words]
    assert any(word.startswith("-r") and {"f", "E"} <= set(word) for word in options)


@pytest.mark.parametrize("target", ["kiosk", "lint", "test", "soak", "bench", "develop", "clean"])
def test_every_line_of_every_target_is_a_program_of_the_environment_or_a_tool_of_every_machine(target: str):
    programs = {words[0] for words in commands(target)}
    assert {name for name in programs if not name.startswith(".venv/bin/")} <= {
        "python3",
        "mkdir",
        "touch",
        "rm",
        "echo",
    }
