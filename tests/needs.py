"""What a test needs beyond Python packages, and what to type where it is missing.

A bare machine skips such tests and names the command that supplies what is missing. Where
LIVETINT_REQUIRE=all is set, as in CI, a missing piece is a failure instead (a GPU excepted).
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest


def _has_gpu() -> bool:
    try:
        return ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
    except OSError:
        return False


def _can_trace() -> bool:
    """Whether strace is there and may trace a process."""
    strace = shutil.which("strace")
    return bool(strace) and subprocess.run([strace, "-qq", "-o", os.devnull, "true"], check=False).returncode == 0


# need: (how to tell, the command that supplies it)
NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "torch": (lambda: importlib.util.find_spec("torch") is not None, "pip install 'livetint[train]'"),
    "scipy": (lambda: importlib.util.find_spec("scipy") is not None, "pip install 'livetint[bench]'"),
    "matplotlib": (lambda: importlib.util.find_spec("matplotlib") is not None, "pip install 'livetint[bench]'"),
    "skimage": (lambda: importlib.util.find_spec("skimage") is not None, "pip install 'livetint[bench]'"),
    "ray": (lambda: importlib.util.find_spec("ray") is not None, "pip install 'livetint[cluster]'"),
    "tensorrt_rtx": (lambda: importlib.util.find_spec("tensorrt_rtx") is not None, "pip install 'livetint[rtx]'"),
    "pi_heif": (lambda: importlib.util.find_spec("pi_heif") is not None, "pip install 'livetint[heif]'"),
    "av": (lambda: importlib.util.find_spec("av") is not None, "pip install 'livetint[video]'"),
    "chromium": (
        lambda: bool(shutil.which("chromium") or shutil.which("chromium-browser")),
        "sudo apt-get install chromium",
    ),
    "systemd-analyze": (lambda: bool(shutil.which("systemd-analyze")), "sudo apt-get install systemd"),
    "c++": (lambda: bool(shutil.which("c++") or shutil.which("g++")), "sudo apt-get install g++"),
    "pycuda": (lambda: importlib.util.find_spec("pycuda") is not None, "sh tests/fakecuda/install_pycuda.sh"),
    "cmake": (lambda: bool(shutil.which("cmake") and shutil.which("ctest")), "sudo apt-get install cmake"),
    "gpu": (_has_gpu, "install LIVETINT_KERNELS=ON on a machine with an NVIDIA GPU and its driver"),
    "nvcc": (lambda: bool(shutil.which("nvcc")), "install the CUDA toolkit, version 12 or later"),
    "strace": (_can_trace, "sudo apt-get install strace"),
    "nginx": (lambda: bool(shutil.which("nginx")), "sudo apt-get install nginx-light"),
    "openssl": (lambda: bool(shutil.which("openssl")), "sudo apt-get install openssl"),
    "exiftool": (lambda: bool(shutil.which("exiftool")), "sudo apt-get install libimage-exiftool-perl"),
    "cc": (lambda: bool(shutil.which("cc")), "sudo apt-get install gcc"),
    "node": (lambda: bool(shutil.which("node")), "sudo apt-get install nodejs"),
    "clang": (lambda: bool(shutil.which("clang") and shutil.which("wasm-ld")), "sudo apt-get install clang lld"),
    "tsc": (lambda: bool(shutil.which("tsc")), "sudo npm install -g typescript"),
}

# Even where everything is required: an install without a GPU or a CUDA toolkit is sound.
OPTIONAL = {"nvcc", "gpu"}


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test (or, as `pytestmark`, a module) where `name` is missing; fail where everything is required."""
    available, command = NEEDS[name]
    missing = not available() and (name in OPTIONAL or os.environ.get("LIVETINT_REQUIRE") != "all")
    return pytest.mark.skipif(missing, reason=_reason(name, command))


def import_or_skip(name: str) -> Any:
    """A module that whole test files hang on; skips the file, or fails where everything is required."""
    available, command = NEEDS[name]
    if not available() and os.environ.get("LIVETINT_REQUIRE") != "all":
        pytest.skip(_reason(name, command), allow_module_level=True)
    return importlib.import_module(name)


def _reason(name: str, command: str) -> str:
    return f"{name} is missing; to run this: {command}"
