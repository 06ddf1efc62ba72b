"""Copies of arrays between guards, which reveal reads and writes beyond the array."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

GUARD_BYTES = 512
# The copy keeps the array's alignment modulo this, on which vector accesses depend.
ALIGNED_BYTES = 16
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect


class Guarded:
    """A copy of an array at `inside` of `memory` (uint8), with the array's alignment modulo 16 bytes.

    The guards before and behind the copy are bytes 0xFF, which are NaN as floats: a kernel that reads them gives NaN.
    Behind `memory`, at most 15 bytes after the copy, is a page that can neither be read nor written.
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
        """Of the copy, on the host."""
        return self.memory.ctypes.data + self.inside.start

    def copy_back(self) -> None:
        """Copy into the array if it is writeable. Raises AssertionError if a guard was overwritten."""
        before, after = self.memory[: self.inside.start], self.memory[self.inside.stop :]
        assert (before == 0xFF).all() and (after == 0xFF).all(), "a kernel wrote beyond an array"
        if self.array.flags.writeable:
            self.array.reshape(-1).view(np.uint8)[:] = self.memory[self.inside]
