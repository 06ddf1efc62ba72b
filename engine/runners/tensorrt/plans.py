"""TensorRT at run time: plans made ready to run at addresses that never change.

There is one code path for TensorRT 8.6, 10.x, 11.x and TensorRT-RTX. What differs is a row of the table in versions.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DeviceError, NoDevice, OutputError
from ...files import atomic_write
from .device import Device, Stream
from .plan_folder import StalePlan
from .versions import Traits, load_target

if TYPE_CHECKING:
    import tensorrt

# TensorRT-RTX compiles its kernels for the GPU when a plan first runs, and keeps them here.
JIT_CACHE = "jit.cache"


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


def typed(module: Any):
    """A TensorRT's module, typed as full TensorRT, which has stubs. For what only TensorRT-RTX has, use `module`."""
    if TYPE_CHECKING:
        return tensorrt
    return module


class TensorRT:
    """One target of the table, imported. It makes plans ready from their bytes."""

    def __init__(self, target: str) -> None:
        """target: a name in versions.TARGETS. Raises NoDevice when it cannot be imported or is too old."""
        try:
            loaded = load_target(target)
        except NoDevice as error:
            raise NoDevice(f"{error}; or use --device cpu") from error
        self.target, self.version, self.traits = target, loaded.version, loaded.traits
        self._module = loaded.module
        self._log = collecting_log(self._module)
        self._runtime = typed(self._module).Runtime(self._log)

    def plan(self, title: str, data: bytes, jit: bytes = b"", hints: int = 0) -> LoadedPlan:
        """Make a plan ready; `bind` then gives it its addresses. Raises StalePlan when TensorRT does not take it.

        title: names the plan in errors. data: the plan. jit: its JIT cache of an earlier run, b"" for none. hints: the
        length of the hint axis where the plan leaves it open. It never changes, so a recorded graph stays valid; load
        the plan once more for another number of hints.
        """
        engine = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise StalePlan(
                f"{self.target} {self.version} does not take the plan of {title}: {self._log.last()}; "
                "build again with `livetint build MODEL --force`"
            )
        return LoadedPlan(self._module, self.traits, title, engine, self._log, jit, hints)


class LoadedPlan:
    """A plan with its context. inputs, outputs: name → Tensor. scratch_bytes: size of the scratch memory it needs."""

    def __init__(
        self, module: Any, traits: Traits, title: str, engine: tensorrt.ICudaEngine, log: Any, jit: bytes, hints: int
    ) -> None:
        self.title = title
        self._traits, self._log = traits, log
        self._engine = engine
        self._jit: Any = None
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        is_input = {name: engine.get_tensor_mode(name) == typed(module).TensorIOMode.INPUT for name in names}
        dynamic = [name for name in names if is_input[name] and -1 in engine.get_tensor_shape(name)[:]]
        context = self._make_context(module, jit, bool(dynamic))
        if context is None:
            raise DeviceError(f"the plan of {title} has no memory to run: {log.last()}; use --device cpu")
        self._context = context
        for name in dynamic:
            self._fix_shape(name, hints)
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}
        for name in names:
            dtype = np.dtype(typed(module).nptype(engine.get_tensor_dtype(name)))
            shape = context.get_tensor_shape(name) if dynamic else engine.get_tensor_shape(name)
            (self.inputs if is_input[name] else self.outputs)[name] = Tensor(shape[:], dtype)
        self.scratch_bytes = int(getattr(engine, traits.size))

    def bind(self, addresses: Mapping[str, int], scratch: int, scratch_bytes: int) -> None:
        """Set the device addresses of all inputs and outputs and of the scratch memory. They never change after this.

        Raises StalePlan when a name is missing in `addresses` or TensorRT does not take it.
        """
        for name in (*self.inputs, *self.outputs):
            if name not in addresses or not self._context.set_tensor_address(name, addresses[name]):
                raise StalePlan(f"the plan of {self.title} cannot use {name!r} here; build again")
        if self._traits.sized:
            self._context.set_device_memory(scratch, scratch_bytes)
        else:
            context: Any = self._context  # the stubs lack this write-only attribute
            context.device_memory = scratch

    def enqueue(self, device: Device, stream: Stream) -> None:
        """Put one run into a stream. Raises DeviceError or DeviceLost when TensorRT does not start it."""
        if not self._context.execute_async_v3(stream.handle):
            device.check_alive(f"running the plan of {self.title}")
            raise DeviceError(
                f"the plan of {self.title} did not run: {self._log.last()}; build again, or use --device cpu"
            )

    def jit_cache(self) -> bytes:
        """What TensorRT-RTX compiled so far; b"" for targets without a JIT cache."""
        return bytes(memoryview(self._jit.serialize())) if self._jit is not None else b""

    def close(self) -> None:
        """Free context and engine, in this order. Call it once."""
        del self._jit, self._context, self._engine

    def _fix_shape(self, name: str, hints: int) -> None:
        """Set the open axis of an input to `hints`. Raises StalePlan when it is outside of the plan's profile."""
        shape = tuple(hints if length == -1 else length for length in self._engine.get_tensor_shape(name)[:])
        if not self._context.set_input_shape(name, shape):
            raise StalePlan(f"the plan of {self.title} does not take {hints} hints: {self._log.last()}; build again")

    def _make_context(self, module: Any, jit: bytes, dynamic: bool) -> tensorrt.IExecutionContext | None:
        if self._traits.context == "without memory":
            return self._engine.create_execution_context_without_device_memory()
        ours = typed(module).ExecutionContextAllocationStrategy.USER_MANAGED
        if self._traits.context == "strategy":
            return self._engine.create_execution_context(ours)
        config: Any = self._engine.create_runtime_config()  # its cache is TensorRT-RTX's own
        config.set_execution_context_allocation_strategy(ours)
        if dynamic:  # kernels for this shape are compiled in the first run, before a graph is recorded
            eager = module.DynamicShapesKernelSpecializationStrategy.EAGER
            config.dynamic_shapes_kernel_specialization_strategy = eager
        self._jit = config.create_runtime_cache()
        if jit:
            self._jit.deserialize(jit)
        config.set_runtime_cache(self._jit)
        return self._engine.create_execution_context(config)


def read_jit_cache(folder: Path, title: str) -> bytes:
    """What an earlier run compiled for a plan; b"" if there is none."""
    try:
        return (folder / f"{title}.{JIT_CACHE}").read_bytes()
    except OSError:
        return b""


def keep_jit_cache(folder: Path, plan: LoadedPlan, before: bytes) -> None:
    """Write a plan's JIT cache if it changed. A folder that cannot be written only costs time at the next start."""
    now = plan.jit_cache()
    if now and now != before:
        with contextlib.suppress(OutputError, OSError):
            atomic_write(folder / f"{plan.title}.{JIT_CACHE}", now)


def collecting_log(module: Any) -> Any:
    """A TensorRT logger that keeps the last two errors for our own messages and prints nothing."""
    trt = typed(module)

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if int(severity) <= int(trt.ILogger.Severity.ERROR):
                self.lines = [*self.lines[-1:], msg]

        def last(self) -> str:
            return " ".join(self.lines) or "it gave no reason"

    return Log()
