"""Arrays between guards: what reads or writes beyond them is noticed."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

GUARD_BYTES = 512
# A wide access needs an array to keep its distance from a boundary of so many bytes.
ALIGNED_BYTES = 16
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect


class Guarded:
    """An array's copy inside `memory` uint8, at `inside`, as far from a 16-byte boundary as the array itself is.

    The guards before and behind it hold bytes 0xFF, which are NaN as floats: reading them spoils a result. Behind
    `memory`, at most 15 bytes after the copy, lies a page that may not be touched.
    """

    def __init__(self, array: NDArray) -> None:
        assert array.flags.c_contiguous
        self.array = array
        size_bytes = -(-(array.nbytes + GUARD_BYTES + ALIGNED_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE
        pages = np.frombuffer(mmap.mmap(-1, size_bytes + mmap.PAGESIZE), np.uint8)
        self.memory = pages[:size_bytes]
        forbidden = ctypes.c_void_p(self.memory.ctypes.data + size_bytes)
        if _mprotect(forbidden, ctypes.c_size_t(mmap.PAGESIZE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        start = size_bytes - array.nbytes
        start -= (start - array.ctypes.data) % ALIGNED_BYTES
        self.inside = slice(start, start + array.nbytes)
        self.memory[:] = 0xFF
        self.memory[self.inside] = array.reshape(-1).view(np.uint8)

    @property
    def address(self) -> int:
        """Of the array's copy, on the host."""
        return self.memory.ctypes.data + self.inside.start

    def give_back(self) -> None:
        """Write the copy back into the array, if it may be written; raises AssertionError if a guard was hurt."""
        before, after = self.memory[: self.inside.start], self.memory[self.inside.stop :]
        assert (before == 0xFF).all() and (after == 0xFF).all(), "a kernel wrote beyond an array"
        if self.array.flags.writeable:
            self.array.reshape(-1).view(np.uint8)[:] = self.memory[self.inside]
