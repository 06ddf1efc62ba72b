"""The property tests on a GPU: through the driver, with the fatbin in the CPU library's place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakecuda.standin import environment
from tests.needs import needs

from .library import ROOT, WHERE

HERE = Path(__file__).parent
ALL = ("test_hint_planes.py", "test_touch.py", "test_distribution.py", "test_compose.py")


def run(tests: tuple[str, ...], variables: dict[str, str]) -> str:
    """What pytest prints about `tests` in a process where kernels run on the GPU."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(str(HERE / name) for name in tests)]
    done = subprocess.run(command, cwd=ROOT, env={**variables, WHERE: "gpu"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_files_named_here_are_there():
    assert [name for name in ALL if not (HERE / name).is_file()] == []


@needs("c++")
@needs("pycuda")
def test_the_way_to_the_gpu_on_the_stand_in_driver():
    printed = run(("test_compose.py",), environment())
    assert "passed" in printed and "skipped" not in printed


@pytest.mark.gpu
@needs("gpu")
@needs("pycuda")
def test_every_kernel_on_the_gpu():
    assert "passed" in run(ALL, dict(os.environ))
