"""The property tests on a GPU: they launch the fatbin through the driver instead of the CPU library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakecuda.standin import environment
from tests.needs import needs

from .library import KERNELS_ON, ROOT

HERE = Path(__file__).parent
ALL = ("test_hint_planes.py", "test_touch.py", "test_distribution.py", "test_compose.py")


def run(tests: tuple[str, ...], variables: dict[str, str]) -> str:
    """Run `tests` in a process whose kernels run on the GPU; returns what pytest prints."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(str(HERE / name) for name in tests)]
    done = subprocess.run(command, cwd=ROOT, env={**variables, KERNELS_ON: "gpu"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_named_files_exist():
    assert [name for name in ALL if not (HERE / name).is_file()] == []


@needs("c++")
@needs("pycuda")
def test_launches_through_the_stand_in_driver():
    printed = run(("test_compose.py",), environment())
    assert "passed" in printed and "skipped" not in printed


@pytest.mark.gpu
@needs("gpu")
@needs("pycuda")
def test_every_kernel_on_the_gpu():
    assert "passed" in run(ALL, dict(os.environ))
