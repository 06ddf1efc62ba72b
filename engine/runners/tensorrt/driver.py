"""Calls of the CUDA driver that pycuda lacks, by ctypes: graphs, stream queries without exceptions, and page-locking
of NumPy's memory (pycuda 2026.1 crashes there).

Calls return the driver's code; 0 is success.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from ...errors import NoDevice

LIBRARY = "libcuda.so.1"
UNNAMED, OUT_OF_MEMORY, NOT_READY, NOT_SUPPORTED = -1, 2, 600, 801
# After one of these, every later call in the process returns it too (CUDA driver API, CUresult).
_STICKY = frozenset({214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999})
_CAPTURE_OF_THIS_THREAD = 1


def is_sticky(code: int) -> bool:
    """Whether this code makes the GPU unusable until the process ends."""
    return code in _STICKY


def driver_present() -> bool:
    """Whether an NVIDIA driver is installed. It may still find no GPU."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


class Driver:
    """The driver's library; it must have been initialised."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise NoDevice(f"there is no NVIDIA driver ({error}); use --device cpu") from error
        self._query = self._library.cuStreamQuery
        self._query.argtypes = [ctypes.c_void_p]
        self._launch = self._library.cuGraphLaunch
        self._launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def query(self, stream: int | None) -> int:
        """Whether a stream is done: 0, NOT_READY or an error."""
        return self._query(stream)

    def launch_graph(self, graph: int, stream: int) -> int:
        """Enqueue a graph in a stream."""
        return self._launch(graph, stream)

    def capture(self, stream: int, work: Callable[[], None], check: Callable[[int], None]) -> int:
        """Record what `work` enqueues in a stream. Returns the handle of a graph that is ready to launch.

        check(code) raises for codes other than 0. If `work` raises, the capture is ended first.
        """
        handle, recorded, ready = ctypes.c_void_p(stream), ctypes.c_void_p(), ctypes.c_void_p()
        check(self._library.cuStreamBeginCapture_v2(handle, _CAPTURE_OF_THIS_THREAD))
        try:
            work()
        finally:
            ended = self._library.cuStreamEndCapture(handle, ctypes.byref(recorded))
        check(ended)
        try:
            check(self._library.cuGraphInstantiateWithFlags(ctypes.byref(ready), recorded, ctypes.c_ulonglong(0)))
        finally:
            self._library.cuGraphDestroy(recorded)
        return ready.value or 0

    def free_graph(self, graph: int) -> None:
        """Free a graph."""
        self._library.cuGraphExecDestroy(ctypes.c_void_p(graph))

    def lock(self, address: int, size_bytes: int) -> int:
        """Page-lock ordinary host memory, so that copies from the GPU need no memory in between."""
        return self._library.cuMemHostRegister_v2(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), 0)

    def unlock(self, address: int) -> int:
        """End what `lock` did."""
        return self._library.cuMemHostUnregister(ctypes.c_void_p(address))

    def message(self, code: int) -> str:
        """The driver's message for a code, with the code."""
        text = ctypes.c_char_p()
        self._library.cuGetErrorString(code, ctypes.byref(text))
        return f"{(text.value or b'unknown error').decode()} ({code})"
