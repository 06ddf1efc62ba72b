"""CUDA kernels: their table, their weights, and the compiled fatbin of installs that have one."""

from __future__ import annotations

from pathlib import Path

from ..errors import RunnerError

FATBIN = Path(__file__).with_name("kernels.fatbin")


def load_fatbin() -> bytes:
    """The compiled kernels. Raises RunnerError if this install has none."""
    try:
        return FATBIN.read_bytes()
    except OSError as error:
        raise RunnerError(
            f"the CUDA kernels are not compiled in ({FATBIN}: {error.strerror}); install with "
            "`pip install . -C cmake.define.LIVETINT_KERNELS=ON` where nvcc is, or use --device cpu"
        ) from error
