"""What a child may use that works on one picture."""

from __future__ import annotations

import resource

# Address space of Python with its libraries: 0.4 GiB were measured.
BASE_BYTES = 512 << 20


def limit(pixels: int, cpu_s: int, work_bytes: int, file_bytes: int) -> None:
    """Bound this process to what a picture of so many pixels needs. Memory over that is refused, time ends it.

    work_bytes and file_bytes: address space and size of a file, per pixel.
    """
    for what, most in (
        (resource.RLIMIT_AS, BASE_BYTES + pixels * work_bytes),
        (resource.RLIMIT_FSIZE, (1 << 16) + pixels * file_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),  # a picture in a crash dump would outlive its visitor
    ):
        resource.setrlimit(what, (most, most))
