"""The page's kernels (kiosk/web/touch/kernels), compiled for this machine, used as touch.js uses them."""

from __future__ import annotations

import ctypes
import gzip
import json
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from livetint.engine.hints import Hint
from numpy.typing import NDArray

SOURCES = Path(__file__).parents[2] / "kiosk/web/touch/kernels"
FLAGS = "-std=c11 -O2 -ffp-contract=off -Wall -Wextra -Werror -shared -fPIC"
MAX_HINTS, BINS, CELLS, PIXELS = 128, 313, 64 * 64, 256 * 256


def compile_kernels(folder: Path) -> Path:
    """A shared library in `folder`."""
    library = folder / "kernels.so"
    subprocess.run(["cc", *FLAGS.split(), "-o", library, *sorted(SOURCES.glob("*.c"))], check=True)
    return library


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and content of a packed file."""
    plain = gzip.decompress(data)
    (length,) = struct.unpack("<I", plain[:4])
    return json.loads(plain[4 : 4 + length]), plain[4 + length :]


def weights_in(heads: bytes) -> NDArray[np.float32]:
    """All numbers of a packed file of heads, in its order."""
    header, content = unpack(heads)
    found, at = [], 0
    for _, shape, kind in header["tensors"]:
        size = int(np.prod(shape))
        found.append(np.frombuffer(content, kind, size, at).astype(np.float32))
        at += -(-size * np.dtype(kind).itemsize // 4) * 4
    assert at == len(content)
    return np.concatenate(found)


class NativeTouch:
    """One copy of the kernels for all objects: they keep their state in global variables."""

    def __init__(self, library: Path, heads: bytes) -> None:
        self.kernels = ctypes.CDLL(str(library))
        self.kernels.open_photograph.argtypes = [ctypes.c_float]
        self.kernels.distribution.argtypes = [ctypes.c_float, ctypes.c_float, ctypes.c_int]
        self.weights = self._array("weights", np.float32, self.kernels.weights_count())
        self.weights[:] = weights_in(heads)
        self.features = self._array("features", np.float32, 96 * CELLS)
        self.hints = self._array("hints", np.float64, 5 * MAX_HINTS)
        self.slots = self._array("slots", np.int32, MAX_HINTS)
        self.fresh = self._array("fresh", np.int32, MAX_HINTS)
        self.global_hints = self._array("global_hints", np.float32, BINS + 3)
        self.probabilities = self._array("probabilities", np.float32, BINS)
        self.ab = self._array("ab", np.float32, 2 * PIXELS).reshape(2, 256, 256)
        self.halves = self._array("halves", np.float16, 2 * PIXELS).reshape(256, 256, 2)

    def _array(self, name: str, dtype: type, count: int) -> NDArray[Any]:
        start = getattr(self.kernels, f"{name}_start")
        start.restype = ctypes.c_void_p
        memory = (ctypes.c_char * (count * np.dtype(dtype).itemsize)).from_address(start())
        return np.frombuffer(memoryview(memory), dtype)

    def open(self, features: NDArray[np.float32], vivid: float = 1.0) -> None:
        self.features[:] = features.ravel()
        self.kernels.open_photograph(vivid)
        self.use_global_hints(np.zeros(BINS + 3, np.float32))

    def use_global_hints(self, vector: NDArray[np.float32]) -> None:
        self.global_hints[:] = vector
        self.kernels.use_global_hints()

    def place(self, hints: Sequence[Hint], fresh: Sequence[int] | None = None) -> None:
        """Give the kernels hints, each in the slot of its number; `fresh` ones (all) are new there."""
        new = range(len(hints)) if fresh is None else fresh
        self.hints[: 5 * len(hints)] = np.array([(h.x, h.y, h.a, h.b, h.size) for h in hints], np.float64).ravel()
        self.slots[: len(hints)] = np.arange(len(hints))
        self.fresh[: len(new)] = new
        self.kernels.add_hints(len(new), len(hints))

    def colorize(self, hints: Sequence[Hint], fresh: Sequence[int] | None = None) -> NDArray[np.float32]:
        """ab float32 [2, 256, 256], a copy."""
        self.place(hints, fresh)
        self.kernels.colorize(len(hints))
        self.kernels.match_hints(len(hints))
        return self.ab.copy()

    def distribution(self, hints: Sequence[Hint], x: float, y: float) -> NDArray[np.float32]:
        """Probabilities float32 [313], a copy."""
        self.place(hints)
        self.kernels.distribution(x, y, len(hints))
        return self.probabilities.copy()
