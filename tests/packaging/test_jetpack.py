"""CI's checks for JetPack 6: the pins are within pyproject's bounds, and the scripts do what they say."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
AARCH64 = runpy.run_path(str(ROOT / ".ci/aarch64.py"))
PINS = {"numpy": "2.2.6", "onnxruntime": "1.23.2", "pillow": "12.3.0"}
# A Python 3.10 that notes how it is called; as `-m venv` it puts itself into the new environment.
FAKE = """#!/bin/sh
echo "$* | require=$LIVETINT_REQUIRE" >>"{log}"
case "$*" in
    "-m venv"*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    "-m pytest"*) exit {status} ;;
esac
"""


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints-jetpack6.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def run_script(tmp_path: Path, status: int | None) -> tuple[int, str, list[str]]:
    """Exit code, output and calls of .ci/jetpack6. status: how its Python 3.10 ends pytest, None without a 3.10."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "sh", "dirname", "env", "mkdir", "cp"):
        (programs / name).symlink_to(str(shutil.which(name)))
    log = tmp_path / "log"
    if status is not None:
        (programs / "python3.10").write_text(FAKE.format(log=log, status=status))
        (programs / "python3.10").chmod(0o755)
    environment = {
        "PATH": str(programs), "HOME": str(tmp_path), "LIVETINT_REQUIRE": "all",
        "JETPACK6_VENV": str(tmp_path / "venv"),
    }  # fmt: skip
    done = subprocess.run([ROOT / ".ci/jetpack6"], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr, log.read_text().splitlines() if log.exists() else []


def test_the_pins_are_jetpack_6s_last_wheels_and_within_the_bounds_of_the_project():
    assert pins() == PINS
    bounds = {r.name: r.specifier for r in map(Requirement, AARCH64["dependencies"]())}
    for name, version in PINS.items():
        assert bounds[name].contains(version)


def test_every_base_dependency_is_resolved_whatever_python_runs_pip():
    names = {Requirement(line).name for line in AARCH64["dependencies"]()}
    assert {"tomli", "numpy", "onnxruntime", "uvicorn"} <= names and "livetint" not in names
    words = AARCH64["command"]("somewhere")
    assert "--only-binary=:all:" in words and words[words.index("--python-version") + 1] == "3.10"
    assert [words[i + 1] for i, word in enumerate(words) if word == "--platform"] == [
        "manylinux_2_28_aarch64", "manylinux2014_aarch64",
    ]  # fmt: skip


def test_the_base_is_installed_with_the_pins_and_the_engines_tests_run(tmp_path: Path):
    code, said, calls = run_script(tmp_path, 0)
    assert code == 0, said
    asked, made, installed, tested = calls
    assert "(3, 10)" in asked and made.startswith("-m venv --clear")
    assert "-c constraints-jetpack6.txt . pytest hypothesis" in installed
    assert "-m pytest" in tested and "tests/engine" in tested and tested.endswith("| require="), "nothing is required"


def test_a_failing_test_fails_the_script(tmp_path: Path):
    assert run_script(tmp_path, 1)[0] == 1


def test_without_a_python_3_10_one_line_says_so(tmp_path: Path):
    code, said, calls = run_script(tmp_path, None)
    assert (code, calls) == (0, [])
    assert said == "jetpack6: no Python 3.10 on PATH, in pyenv or in uv; not run\n"


def test_ci_runs_both():
    script = (ROOT / ".ci/run").read_text()
    assert ".ci/jetpack6 " in script and ".ci/aarch64.py" in script
    assert os.access(ROOT / ".ci/jetpack6", os.X_OK)
