"""Builds the kernels for the CPU and launches them, with guards around every array."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from livetint.engine.kernels.table import KERNELS
from numpy.typing import NDArray

from .gpu import GpuLibrary
from .guarded import Guarded

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ROOT / "engine" / "kernels"
FAULTS = Path(__file__).with_name("faults.cu")
FLAGS = (
    *("-std=c++17", "-O2", "-fno-strict-aliasing", "-fvisibility=hidden"),
    *("-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"),
)
# Whether a multiplication and an addition are rounded as one operation, as GPUs do it wherever they can.
SEPARATE, FUSED = "separate", "fused"

DIVERGENT, BAD_LAUNCH, MISALIGNED, OUT_OF_RANGE = 1, 2, 3, 4
# Environment variable; "gpu" makes the tests launch the compiled fatbin on this machine's GPU.
KERNELS_ON = "LIVETINT_KERNELS_ON"


def roundings() -> list[str]:
    """How the kernels' arithmetic can be rounded on this machine."""
    if os.environ.get(KERNELS_ON) == "gpu":
        return ["gpu"]
    return [SEPARATE, FUSED] if _flags(FUSED) else [SEPARATE]


def _flags(rounding: str) -> tuple[str, ...]:
    """The compiler's flags for SEPARATE or FUSED; () where this CPU cannot fuse."""
    if rounding == SEPARATE:
        return ("-ffp-contract=off",)
    if platform.machine() == "aarch64":
        return ("-ffp-contract=fast",)
    cpu = Path("/proc/cpuinfo")
    has_fma = cpu.exists() and re.search(r"\bfma\b", cpu.read_text()) is not None
    return ("-ffp-contract=fast", "-mfma") if has_fma else ()


def kernel_library(source: Path = SOURCES / "kernels.cu", rounding: str = SEPARATE) -> Path:
    """The shared library of `source`, built if it has changed. Its exports: README.md of engine/kernels."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise RuntimeError("a C++ compiler is needed; mark the test with needs('c++')")
    content = b"".join(path.read_bytes() for path in [source, *sorted(SOURCES.glob("*.[ch]*"))])
    flags = (*FLAGS, *_flags(rounding))
    digest = hashlib.sha256(content + " ".join([compiler, *flags]).encode()).hexdigest()[:16]
    target = ROOT / "build" / "kernels" / f"lib{source.stem}-{rounding}-{digest}.so"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not target.exists():
            command = [compiler, *flags, "-I", SOURCES, "-x", "c++", source, "-o", target.with_suffix(".new")]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{source} does not compile:\n{done.stderr}")
            target.with_suffix(".new").rename(target)
    return target


class Library:
    """Launches kernels of a CPU library on copies of NumPy arrays, each between guards."""

    def __init__(self, source: Path = SOURCES / "kernels.cu", rounding: str = SEPARATE) -> None:
        self._library = ctypes.CDLL(str(kernel_library(source, rounding)))

    def schedule(self, seed: int) -> None:
        """0: blocks and threads in order; 1: in reverse; more: shuffled, if odd with warps as far apart as possible."""
        self._library.emu_schedule(seed)

    def signature(self, name: str) -> str:
        function = getattr(self._library, f"{name}_signature")
        function.restype = ctypes.c_char_p
        return function().decode()

    def status(
        self, name: str, grid: Sequence[int], block: Sequence[int], *arguments: NDArray | float | None, shared: int = 0
    ) -> int:
        """Launch and return the status; arrays are written back. None is the address 0."""
        guarded = [Guarded(a) if isinstance(a, np.ndarray) else None for a in arguments]
        values = [_argument(a, g) for a, g in zip(arguments, guarded, strict=True)]
        addresses = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        status = getattr(self._library, f"{name}_cpu")(*grid, *block, shared, addresses)
        for buffer in guarded:
            if buffer is not None:
                buffer.copy_back()
        return status

    def launch(self, name: str, work: tuple[int, ...], *arguments: NDArray | float | None) -> None:
        """Launch a kernel of the table over `work` (columns[, rows]); arrays are written back."""
        kernel = KERNELS[name]
        assert len(arguments) == len(kernel.arguments)
        assert self.status(name, kernel.grid(*work), kernel.block, *arguments) == 0


def _argument(value: NDArray | float | None, buffer: Guarded | None) -> ctypes.c_void_p | ctypes.c_int | ctypes.c_float:
    if value is None or buffer is not None:
        return ctypes.c_void_p(buffer.address if buffer else 0)
    return ctypes.c_int(value) if isinstance(value, int) else ctypes.c_float(float(value))


_rounding = SEPARATE


def use_rounding(rounding: str) -> None:
    """Make `kernels` return the kernels with this rounding from now on."""
    global _rounding
    _rounding = rounding


def kernels() -> Library | GpuLibrary:
    """The kernels of engine/kernels, on the CPU, or on the GPU if KERNELS_ON asks for it."""
    return _kernels(_rounding)


@functools.cache
def _kernels(rounding: str) -> Library | GpuLibrary:
    return GpuLibrary() if os.environ.get(KERNELS_ON) == "gpu" else Library(rounding=rounding)
