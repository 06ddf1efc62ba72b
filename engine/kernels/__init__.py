"""CUDA kernels: their table, their weights, and the fatbin where it was compiled in."""

from __future__ import annotations

from pathlib import Path

from ..errors import RunnerError

FATBIN = Path(__file__).with_name("kernels.fatbin")


def load_fatbin() -> bytes:
    """The kernels for every architecture they were compiled for. Raises RunnerError where they were not."""
    try:
        return FATBIN.read_bytes()
    except OSError as error:
        raise RunnerError(
            f"the CUDA kernels are not compiled in ({FATBIN}: {error.strerror}); install with "
            "`pip install . -C cmake.define.LIVETINT_KERNELS=ON` where nvcc is, or use --device cpu"
        ) from error
