"""The stand-in driver: built when its sources changed, the environment of processes that run on it, its controls."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from ..engine.kernels.library import ROOT, kernel_library

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-Wl,-soname,libcuda.so.1")
HANG, ILLEGAL_ADDRESS, LAUNCH_FAILED, OUT_OF_MEMORY = -1, 700, 719, 2
CHILD = "FAKECUDA_CHILD"


def driver_folder() -> Path:
    """The folder of the stand-in's libcuda.so.1."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise RuntimeError("a C++ compiler is needed; mark the test with needs('c++')")
    content = b"".join((HERE / name).read_bytes() for name in ("driver.cpp", "standin.h", "unused_calls.inc"))
    folder = ROOT / "build" / "fakecuda" / hashlib.sha256(content + " ".join(FLAGS).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "libcuda.so.1"
    with FileLock(folder / ".lock"):
        if not target.exists():
            command = [compiler, *FLAGS, HERE / "driver.cpp", "-o", folder / "new", "-ldl"]
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"the stand-in driver does not compile:\n{done.stderr}")
            (folder / "new").rename(target)
    return folder


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that finds the stand-ins as if they were the driver and TensorRT."""
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(driver_folder()),
        "FAKECUDA_KERNELS": str(kernel_library()),
        "PYTHONPATH": os.pathsep.join([str(HERE / "site"), str(ROOT)]),
        **more,
    }


class Standin:
    """Controls of the stand-in driver in this process, which must run in `environment()`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self._library.standin_calls.restype = ctypes.c_long

    def fail(self, name: str, nth: int = 1, code: int = LAUNCH_FAILED) -> None:
        """Make the nth call of a driver function from now fail ("run": a piece of work on a stream, "*": any).

        Memory runs out twice in a row: after the first time pycuda collects garbage and tries again.
        """
        for _ in range(2 if code == OUT_OF_MEMORY else 1):
            self._library.standin_fail(name.encode(), ctypes.c_long(nth), code)

    def reset(self) -> None:
        """Forget faults, counts and the error that stuck."""
        self._library.standin_reset()

    def calls(self, name: str = "") -> int:
        """Calls of a driver function since the reset; of all of them without a name."""
        if not name:
            return int(self._library.standin_all_calls())
        return int(self._library.standin_calls(name.encode()))

    def integrated(self, yes: bool) -> None:
        """Whether the GPU shares the CPU's memory."""
        self._library.standin_integrated(int(yes))

    def limit(self, size_bytes: int) -> None:
        """The GPU's memory."""
        self._library.standin_limit(ctypes.c_long(size_bytes))

    @property
    def allocations(self) -> int:
        """Allocations of device and pinned memory since the reset."""
        return int(self._library.standin_allocations())

    @property
    def held_bytes(self) -> tuple[int, int]:
        """Device and pinned memory that is taken now."""
        return int(self._library.standin_device_bytes()), int(self._library.standin_pinned_bytes())

    @property
    def stuck(self) -> int:
        """The code of the error that stuck, HANG for a stream that never ends, 0 for none."""
        return int(self._library.standin_stuck())

    @property
    def damage(self) -> int:
        """Allocations that something wrote behind, as found when they were freed."""
        return int(self._library.standin_damage())


@functools.cache
def standin() -> Standin:
    """The one stand-in of this process."""
    return Standin()
