"""TensorRT at run time: which one is here, and plans made ready to run at addresses that never change.

One code path over TensorRT 8.6, 10.x, 11.x and TensorRT-RTX; what differs is a row of RUNTIMES.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DeviceError, NoDevice, OutputError
from ...files import atomic_write
from .device import Device, Stream
from .plan_folder import StalePlan

if TYPE_CHECKING:
    import tensorrt

# flavour: Python module
MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
OLDEST = (8, 6)
# TensorRT-RTX compiles its kernels for the GPU when a plan first runs, and keeps them here.
JIT_CACHE = "jit.cache"


@dataclass(frozen=True)
class Traits:
    """How one TensorRT makes an execution context that takes its scratch memory from us.

    context: "without memory" a method of its own, "strategy" an argument, "config" a runtime configuration (which
    also carries the JIT cache). size: the engine's attribute that says how much. sized: the setter wants it too.
    """

    context: str
    size: str
    sized: bool


# (flavour, from version): traits; the last row that is not newer than the version counts.
RUNTIMES = {
    ("tensorrt", (8, 6)): Traits("without memory", "device_memory_size", sized=False),
    ("tensorrt", (10, 0)): Traits("strategy", "device_memory_size", sized=False),
    ("tensorrt", (11, 0)): Traits("strategy", "device_memory_size_v2", sized=True),
    ("tensorrt-rtx", (1, 0)): Traits("config", "device_memory_size_v2", sized=True),
}


def traits_of(flavour: str, version: tuple[int, ...]) -> Traits:
    """The row of RUNTIMES for a version. Raises NoDevice below the oldest."""
    rows = [traits for (name, since), traits in RUNTIMES.items() if name == flavour and since <= version]
    if not rows:
        raise NoDevice(f"{flavour} {'.'.join(map(str, version))} is too old; TensorRT 8.6 or newer is needed")
    return rows[-1]


def installed_flavours() -> list[str]:
    """Flavours whose module can be found, full TensorRT first; nothing is imported."""
    return [flavour for flavour, module in MODULES.items() if importlib.util.find_spec(module)]


@dataclass(frozen=True)
class Tensor:
    """An input or output of a plan."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize


def typed(module: Any):
    """A TensorRT's module. The type checker takes it for full TensorRT, whose stubs it reads; what only TensorRT-RTX
    has is asked of `module` itself."""
    if TYPE_CHECKING:
        return tensorrt
    return module


class TensorRT:
    """One flavour, imported: its version, and plans from bytes."""

    def __init__(self, flavour: str) -> None:
        """Raises NoDevice when it cannot be imported or is too old."""
        try:
            self._module = importlib.import_module(MODULES[flavour])
        except (ImportError, OSError) as error:
            raise NoDevice(
                f"{flavour} cannot be imported ({error}); see docs/building.md, or use --device cpu"
            ) from error
        self.flavour = flavour
        self.version: str = self._module.__version__
        numbers = tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])
        self.traits = traits_of(flavour, numbers)
        self._log = collecting_log(self._module)
        self._runtime = typed(self._module).Runtime(self._log)

    def plan(self, title: str, data: bytes, jit: bytes = b"") -> LoadedPlan:
        """A plan made ready, still without addresses. Raises StalePlan when TensorRT does not take it."""
        engine = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise StalePlan(
                f"{self.flavour} {self.version} does not take the plan of {title}: {self._log.last()}; "
                "build again with `livetint build MODEL --force`"
            )
        return LoadedPlan(self._module, self.traits, title, engine, self._log, jit)


class LoadedPlan:
    """A plan with its context. inputs, outputs: name → Tensor. scratch_bytes: what it needs beside them."""

    def __init__(
        self, module: Any, traits: Traits, title: str, engine: tensorrt.ICudaEngine, log: Any, jit: bytes
    ) -> None:
        self.title = title
        self._traits, self._log = traits, log
        self._engine = engine
        self._jit: Any = None
        context = self._make_context(module, jit)
        if context is None:
            raise DeviceError(f"the plan of {title} has no room to run: {log.last()}; use --device cpu")
        self._context = context
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            dtype = np.dtype(typed(module).nptype(engine.get_tensor_dtype(name)))
            tensor = Tensor(engine.get_tensor_shape(name)[:], dtype)
            is_input = engine.get_tensor_mode(name) == typed(module).TensorIOMode.INPUT
            (self.inputs if is_input else self.outputs)[name] = tensor
        self.scratch_bytes = int(getattr(engine, traits.size))

    def bind(self, addresses: Mapping[str, int], scratch: int, scratch_bytes: int) -> None:
        """Give every input and output, and the scratch memory, its address, for good."""
        for name in (*self.inputs, *self.outputs):
            if name not in addresses or not self._context.set_tensor_address(name, addresses[name]):
                raise StalePlan(f"the plan of {self.title} has no use for {name!r} here; build again")
        if self._traits.sized:
            self._context.set_device_memory(scratch, scratch_bytes)
        else:
            context: Any = self._context  # the stubs do not know what can only be set
            context.device_memory = scratch

    def enqueue(self, device: Device, stream: Stream) -> None:
        """Put one run into a stream."""
        if not self._context.execute_async_v3(stream.handle):
            device.check_alive(f"running the plan of {self.title}")
            raise DeviceError(
                f"the plan of {self.title} did not run: {self._log.last()}; build again, or use --device cpu"
            )

    def jit_cache(self) -> bytes:
        """What TensorRT-RTX compiled so far; empty for the others."""
        return bytes(memoryview(self._jit.serialize())) if self._jit is not None else b""

    def close(self) -> None:
        """Give context and engine back, in this order; once."""
        del self._jit, self._context, self._engine

    def _make_context(self, module: Any, jit: bytes) -> tensorrt.IExecutionContext | None:
        if self._traits.context == "without memory":
            return self._engine.create_execution_context_without_device_memory()
        ours = typed(module).ExecutionContextAllocationStrategy.USER_MANAGED
        if self._traits.context == "strategy":
            return self._engine.create_execution_context(ours)
        config: Any = self._engine.create_runtime_config()  # its cache is TensorRT-RTX's own
        config.set_execution_context_allocation_strategy(ours)
        self._jit = config.create_runtime_cache()
        if jit:
            self._jit.deserialize(jit)
        config.set_runtime_cache(self._jit)
        return self._engine.create_execution_context(config)


def read_jit_cache(folder: Path, title: str) -> bytes:
    """What an earlier run compiled for a plan; empty where there is none."""
    try:
        return (folder / f"{title}.{JIT_CACHE}").read_bytes()
    except OSError:
        return b""


def keep_jit_cache(folder: Path, plan: LoadedPlan, before: bytes) -> None:
    """Write what was compiled, if anything new was; a folder that cannot be written only costs time next time."""
    now = plan.jit_cache()
    if now and now != before:
        with contextlib.suppress(OutputError, OSError):
            atomic_write(folder / f"{plan.title}.{JIT_CACHE}", now)


def collecting_log(module: Any) -> Any:
    """A TensorRT logger that keeps the last errors for our own messages instead of printing them."""
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
