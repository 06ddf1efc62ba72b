"""Launches the compiled kernels on a GPU, with the interface of library.Library, so that the same tests run there."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from livetint.engine.kernels import load_fatbin
from livetint.engine.kernels.table import KERNELS
from numpy.typing import NDArray

from .guarded import Guarded


class GpuLibrary:
    """Launches kernels of the fatbin on copies of NumPy arrays, each between guards."""

    def __init__(self) -> None:
        self._cuda: Any = importlib.import_module("pycuda.driver")
        importlib.import_module("pycuda.autoprimaryctx")
        self._module = self._cuda.module_from_buffer(load_fatbin())

    def schedule(self, seed: int) -> None:
        """Does nothing: a GPU chooses its own schedule."""

    def launch(self, name: str, work: tuple[int, ...], *arguments: NDArray | float | None) -> None:
        """Launch a kernel of the table over `work` (columns[, rows]); arrays are written back."""
        kernel = KERNELS[name]
        assert len(arguments) == len(kernel.arguments)
        guarded = [Guarded(a) if isinstance(a, np.ndarray) else None for a in arguments]
        memory = [self._cuda.to_device(g.memory) if g else None for g in guarded]
        function = self._module.get_function(name).prepare(kernel.arguments)
        values = [
            int(m) + g.inside.start if g and m else argument or 0
            for argument, g, m in zip(arguments, guarded, memory, strict=True)
        ]
        function.prepared_call(kernel.grid(*work), kernel.block, *values)
        self._cuda.Context.synchronize()
        for buffer, copy in zip(guarded, memory, strict=True):
            if buffer is not None:
                self._cuda.memcpy_dtoh(buffer.memory, copy)
                buffer.copy_back()
