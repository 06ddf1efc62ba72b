"""Limits of a child process that works on pictures: memory, time, and its priority below those who paint."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

# Address space of Python with its libraries: 0.4 GiB were measured.
BASE_BYTES = 512 << 20
NICENESS, FIRST_TO_GO = 10, "900"


def limit(pixels: int, cpu_s: int | None, work_bytes: int, file_bytes: int) -> None:
    """Limit this process to what a picture of so many pixels needs. More memory is refused.

    cpu_s: the process is ended after so many seconds of CPU time; None: never, for a process that does many pictures.
    work_bytes and file_bytes: address space and size of a file, per pixel.
    """
    bounds = [
        (resource.RLIMIT_AS, BASE_BYTES + pixels * work_bytes),
        (resource.RLIMIT_FSIZE, (1 << 16) + pixels * file_bytes),
        (resource.RLIMIT_CORE, 0),  # a picture in a crash dump would outlive its visitor
    ]
    if cpu_s is not None:
        bounds.append((resource.RLIMIT_CPU, cpu_s))
    for what, most in bounds:
        resource.setrlimit(what, (most, most))


def yield_to_painters() -> None:
    """Leave the CPU cores to those who paint and, where memory runs out, the memory."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
