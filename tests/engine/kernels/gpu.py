"""The same launches on a GPU: how the property tests run where there is one."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from livetint.engine.kernels import load_fatbin
from livetint.engine.kernels.table import KERNELS
from numpy.typing import NDArray

from .guarded import Guarded


class GpuLibrary:
    """Launches the compiled kernels on NumPy arrays through the driver; arrays lie between guards there too."""

    def __init__(self) -> None:
        self._cuda: Any = importlib.import_module("pycuda.driver")
        importlib.import_module("pycuda.autoprimaryctx")
        self._module = self._cuda.module_from_buffer(load_fatbin())

    def schedule(self, seed: int) -> None:
        """A GPU schedules as it likes."""

    def launch(self, name: str, work: tuple[int, ...], *arguments: NDArray | float | None) -> None:
        """A kernel of the table over `work` (columns[, rows]) with its own block and grid; it must succeed."""
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
                buffer.give_back()
