"""The GPU: its context, memory, streams, kernels and graphs, each allocated once and freed in order.

pycuda does the work. What it lacks (graphs, querying a stream without an exception) is in `driver.py`. pycuda is
imported when a GPU is opened, so this module can be imported on machines without a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DeviceError, DeviceFull, DeviceLost, NoDevice
from ...kernels.table import KERNELS
from .driver import NOT_READY, NOT_SUPPORTED, OUT_OF_MEMORY, UNNAMED, Driver, driver_present, is_sticky

DEFAULT_DEADLINE_S = 10.0
# A wait polls for SPIN_S, about the time of a touch, because waking from a sleep takes a tenth of a millisecond.
SPIN_S = 0.02
SLEEP_S = 0.0002
PAGE_BYTES = 4096
RESTART_ADVICE = "start this process again"


class Device:
    """The first GPU, with its primary context (which TensorRT and others share).

    name; compute_capability, such as "8.7"; integrated: whether CPU and GPU share their memory. All work is done
    inside `at_work`, which makes the context current in the calling thread and raises the driver's errors as
    DeviceError. After a sticky error or a passed deadline, `lost` is the reason and every call raises DeviceLost.
    """

    def __init__(self, deadline_s: float = DEFAULT_DEADLINE_S) -> None:
        """deadline_s: the longest that any one wait may take. Raises NoDevice where there is no GPU to use."""
        self.deadline_s = deadline_s
        self.lost = ""
        self._cuda = _pycuda()
        self._driver = Driver()
        self._to_free: dict[int, Callable[[], None]] = {}  # in the order of allocation
        self._next_key = 0
        self._kept: list[Any] = []
        self._context: Any = None
        try:
            self._cuda.init()
            gpu = self._cuda.Device(0)
            self.name: str = gpu.name()
            self.compute_capability = ".".join(map(str, gpu.compute_capability()))
            self.integrated = bool(gpu.get_attribute(self._cuda.device_attribute.INTEGRATED))
            self._context = self._keep(gpu.retain_primary_context())
        except self._cuda.Error as error:
            raise NoDevice(f"there is no GPU to use: {error}; use --device cpu") from error

    @property
    def closed(self) -> bool:
        return self._context is None

    @property
    def held(self) -> int:
        """The number of resources that `close` would free now."""
        return len(self._to_free)

    @contextlib.contextmanager
    def at_work(self, doing: str) -> Iterator[None]:
        """Make the context current and translate errors. doing: the action that error messages name."""
        if self.lost:
            raise DeviceLost(self.lost)
        if self._context is None:
            raise DeviceError("this Device is closed; open another one")
        pushed = False
        try:
            self._context.push()
            pushed = True
            yield
        except self._cuda.Error as error:
            raise self._translated(doing, error) from error
        finally:
            if pushed:
                self._cuda.Context.pop()

    def memory(self, size_bytes: int) -> int:
        """The address of new device memory, freed by `close`. Raises DeviceFull."""
        allocation = self._keep(self._cuda.mem_alloc(max(1, size_bytes)))
        self.on_close(allocation.free)
        return int(allocation)

    def pinned(self, size_bytes: int) -> PinnedBuffer:
        """New memory that host and GPU both access, freed by `close`. Raises DeviceFull."""
        flags = self._cuda.host_alloc_flags.DEVICEMAP if self.integrated else 0
        host = self._cuda.pagelocked_empty((max(1, size_bytes),), np.uint8, mem_flags=flags)
        self.on_close(self._keep(host.base).free)
        address = int(host.base.get_device_pointer()) if self.integrated else self.memory(size_bytes)
        return PinnedBuffer(self._cuda, host, address, mapped=self.integrated)

    def locked(self, size_bytes: int) -> NDArray[np.uint8] | None:
        """New page-locked host memory, uint8 [n], for copies from the GPU. It outlives `close`, which unlocks it.

        None where the driver cannot lock memory that is not its own. Raises DeviceFull.
        """
        host = self._keep(self._cuda.aligned_empty((max(1, size_bytes),), np.uint8, alignment=PAGE_BYTES))
        code = self._driver.lock(host.ctypes.data, host.nbytes)
        if code == NOT_SUPPORTED:
            return None
        self.check(code, "locking host memory")
        self.on_close(lambda: self.check(self._driver.unlock(host.ctypes.data), "unlocking host memory"))
        return host

    def stream(self) -> Stream:
        """A new stream, freed by `close`."""
        return Stream(self, self._cuda, self._keep(self._cuda.Stream()), self._driver)

    def timer(self) -> Timer:
        """A timer between two points of a stream, by the GPU's clock."""
        return Timer(*(self._keep(self._cuda.Event()) for _ in range(2)))

    def kernels(self, image: bytes) -> Kernels:
        """The kernels of a fatbin. Raises DeviceError if it has no code for this GPU."""
        try:
            return Kernels(self._keep(self._cuda.module_from_buffer(image)), self._keep)
        except self._cuda.Error as error:
            self.check_alive("loading the kernels")
            raise DeviceError(
                f"the CUDA kernels do not run on this GPU ({self.name}, compute capability "
                f"{self.compute_capability}): {error}; install again where its nvcc is, or use --device cpu"
            ) from error

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy an array to the GPU and wait, without a deadline. Not for touches."""
        self._cuda.memcpy_htod(address, np.ascontiguousarray(array))

    def download(self, address: int, array: NDArray[Any]) -> None:
        """Copy from the GPU into a contiguous array and wait, without a deadline. Not for touches."""
        self._cuda.memcpy_dtoh(array, address)

    def check(self, code: int, doing: str) -> None:
        """Raise the error of a driver call's code; 0 is success."""
        if code:
            raise self._error(code, f"{doing}: {self._driver.message(code)}")

    def check_alive(self, doing: str) -> None:
        """Raise DeviceLost if a sticky error has occurred, for instance in TensorRT."""
        code = self._driver.query(None)
        if is_sticky(code):
            self.check(code, doing)

    def mark_lost(self, reason: str) -> DeviceLost:
        """Mark the GPU as lost to this process. Returns the error to raise."""
        self.lost = f"the GPU is lost to this process, {reason}; {RESTART_ADVICE}"
        # pycuda aborts the process if the driver refuses to free an object, so these objects are never freed.
        for resource in self._kept:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(resource))
        self._kept.clear()
        return DeviceLost(self.lost)

    def on_close(self, free: Callable[[], None]) -> Callable[[], None]:
        """Call `free` at `close`, before the resources allocated earlier.

        Returns a function that calls it now instead. Further calls of that function do nothing.
        """
        key, self._next_key = self._next_key, self._next_key + 1
        self._to_free[key] = free

        def free_now() -> None:
            if self._to_free.pop(key, None) is not None:
                free()

        return free_now

    def close(self) -> None:
        """Free all resources, the newest first. Further calls do nothing. A lost GPU is freed by the end of the process
        alone.

        An error does not stop the other frees, and nothing is freed twice. Raises DeviceError for the first error.
        """
        if self._context is None or self.lost:
            self._context = None
            return
        try:
            with self.at_work("closing the GPU"):
                failed = self._free_all()
                self.check_alive("closing the GPU")  # pycuda does not report failed frees
                self._kept.clear()
                if failed is not None:
                    raise failed
        finally:
            context, self._context = self._context, None
            if not self.lost:
                context.detach()

    def _free_all(self) -> Exception | None:
        """Free all resources, the newest first. Returns the first error, if any."""
        failed: Exception | None = None
        while self._to_free:
            _, free = self._to_free.popitem()
            try:
                free()
            except (self._cuda.Error, DeviceError) as error:
                failed = failed or error
        return failed

    def _keep(self, resource: Any) -> Any:
        """Keep a reference to a pycuda object, since it must not be freed on a lost GPU."""
        self._kept.append(resource)
        return resource

    def _translated(self, doing: str, error: Exception) -> DeviceError:
        # pycuda's exceptions have no code. A sticky error is also the answer to any later query.
        code = self._driver.query(None)
        if not is_sticky(code):
            code = OUT_OF_MEMORY if isinstance(error, self._cuda.MemoryError) else UNNAMED
        return self._error(code, f"{doing}: {error}")

    def _error(self, code: int, message: str) -> DeviceError:
        if is_sticky(code):
            return self.mark_lost(message)
        if code == OUT_OF_MEMORY:
            return DeviceFull(
                f"the GPU has too little free memory, {message}; end other programs on it, "
                "build with a smaller --precision, or use --device cpu"
            )
        return DeviceError(f"the GPU refused, {message}; {RESTART_ADVICE} or use --device cpu")


class PinnedBuffer:
    """A block of memory that host and GPU both access.

    host: uint8 [n], pinned. address: on the GPU. On an integrated GPU both are the same memory and nothing is copied.
    On a discrete one, `to_device` and `to_host` enqueue a copy.
    """

    def __init__(self, cuda: Any, host: NDArray[np.uint8], address: int, mapped: bool) -> None:
        self.host, self.address, self.mapped = host, address, mapped
        self._cuda = cuda

    def to_device(self, stream: Stream, size_bytes: int | None = None) -> None:
        """Enqueue a copy of the first `size_bytes` (None for all) to the GPU."""
        if not self.mapped:
            self._cuda.memcpy_htod_async(self.address, self.host[:size_bytes], stream.pycuda)

    def to_host(self, stream: Stream, size_bytes: int | None = None) -> None:
        """Enqueue a copy of the first `size_bytes` (None for all) from the GPU."""
        if not self.mapped:
            self._cuda.memcpy_dtoh_async(self.host[:size_bytes], self.address, stream.pycuda)


class Kernels:
    """The kernels of a loaded module, with the arguments, blocks and grids of `kernels/table.py`."""

    def __init__(self, module: Any, keep: Callable[[Any], Any]) -> None:
        self._functions = {name: keep(module.get_function(name)) for name in KERNELS}
        for name, function in self._functions.items():
            function.prepare(KERNELS[name].arguments)

    def launch(self, stream: Stream, name: str, columns: int, rows: int, *arguments: float) -> None:
        """Enqueue one kernel. columns, rows: the extent that its grid covers (kernels/README.md)."""
        kernel = KERNELS[name]
        self._functions[name].prepared_async_call(kernel.grid(columns, rows), kernel.block, stream.pycuda, *arguments)


class Stream:
    """A CUDA stream: work is done in order."""

    def __init__(self, device: Device, cuda: Any, stream: Any, driver: Driver) -> None:
        self._device, self._cuda, self._driver = device, cuda, driver
        self.pycuda = stream
        self.handle = int(self.pycuda.handle)

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Enqueue a copy on the GPU."""
        self._cuda.memcpy_dtod_async(to, source, size_bytes, self.pycuda)

    def download(self, to: NDArray[np.uint8], source: int) -> None:
        """Enqueue a copy from the GPU into page-locked host memory."""
        self._cuda.memcpy_dtoh_async(to, source, self.pycuda)

    def wait(self, doing: str) -> None:
        """Wait until all work is done. Raises DeviceLost for a sticky error, or past the device's deadline."""
        started = time.perf_counter()
        while (code := self._driver.query(self.handle)) == NOT_READY:
            waited = time.perf_counter() - started
            if waited > self._device.deadline_s:
                raise self._device.mark_lost(f"{doing} did not end within {self._device.deadline_s:g} s")
            if waited > SPIN_S:
                time.sleep(SLEEP_S)
        self._device.check(code, doing)

    def graph(self, work: Callable[[], None], doing: str) -> Graph:
        """Record what `work` enqueues, without running it. `work` must have run once before."""
        handle = self._driver.capture(self.handle, work, lambda code: self._device.check(code, doing))
        return Graph(self, handle, self._device.on_close(functools.partial(self._driver.free_graph, handle)))


class Timer:
    """The time between two points of a stream."""

    def __init__(self, first: Any, last: Any) -> None:
        self._first, self._last = first, last

    def start(self, stream: Stream) -> None:
        """Enqueue the first point."""
        self._first.record(stream.pycuda)

    def stop(self, stream: Stream) -> None:
        """Enqueue the second point."""
        self._last.record(stream.pycuda)

    def ms(self) -> float:
        """Milliseconds between the two points, after the stream was waited for."""
        return float(self._first.time_till(self._last))


class Graph:
    """A CUDA graph: work recorded once, launched as a whole any number of times."""

    def __init__(self, stream: Stream, handle: int, free: Callable[[], None]) -> None:
        """free: frees the graph. Further calls do nothing."""
        self._stream, self._handle, self.free = stream, handle, free

    def launch(self, doing: str) -> None:
        """Enqueue the graph in its stream."""
        stream = self._stream
        stream._device.check(stream._driver.launch_graph(self._handle, stream.handle), doing)


def _pycuda() -> Any:
    if not driver_present():
        raise NoDevice("there is no NVIDIA driver here (libcuda.so.1); install one, or use --device cpu")
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise NoDevice(
            f"pycuda cannot be imported ({error}); pip install 'livetint[gpu]', or use --device cpu"
        ) from error
