"""The process of a command: lack of memory, standard streams. Nothing here imports anything that takes time."""

from __future__ import annotations

import contextlib
import os
import sys

NO_MEMORY = 3
NO_MEMORY_SENTENCE = "there is not enough memory; close other programs, or give smaller photographs or fewer at a time"
# How OpenCV, ONNX Runtime, NumPy and the loader of shared libraries say it.
_MEMORY_WORDS = (
    *("insufficient memory", "bad_alloc", "bad allocation", "failed to allocate", "unable to allocate"),
    *("cannot allocate memory", "failed to map segment", "out of memory"),
)


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that memory is short."""
    while error is not None:
        if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_standard_streams() -> None:
    """Open the null device for standard streams that are closed, so that no other file gets their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number


def drop_output() -> None:
    """Send what is still buffered for standard output nowhere: it cannot be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, sys.stdout.fileno())
        os.close(null_device)
