"""Numbers of threads: read from the command line, and set for OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from ...engine.cores import usable_cores
from ...engine.errors import ConfigError
from ...engine.runners.sessions import default_threads
from ..options import words


def numbers_of_threads(text: str) -> list[int]:
    """`all,1,2` → numbers of threads, each once, in the order given. Raises ConfigError for more than the CPU cores."""
    most = usable_cores()
    found = [str(default_threads()) if word == "all" else word for word in words(text)]
    if not found or not all(word.isdecimal() and 1 <= int(word) <= most for word in found):
        raise ConfigError(
            f"--threads {text!r} is not possible; write numbers from 1 to {most} (the CPU cores here), or all"
        )
    return list(dict.fromkeys(int(word) for word in found))


@contextmanager
def opencv_threads(number: int) -> Iterator[None]:
    """OpenCV on `number` threads while the context is entered."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(number)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
