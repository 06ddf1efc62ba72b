"""The GPU: its context, memory, streams, kernels and graphs, each taken once and given back in order.

pycuda does the work; what it lacks (graphs, asking a stream without an exception) goes to the driver itself, by
`driver.py`. Nothing here imports pycuda before a GPU is opened, so machines without one can import all of it.
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
from .driver import NOT_READY, OUT_OF_MEMORY, UNNAMED, Driver, driver_present, sticks

DEFAULT_DEADLINE_S = 10.0
# As long as a touch may take, waiting burns a CPU: to sleep costs a tenth of a millisecond to wake from.
SPIN_S = 0.02
NAP_S = 0.0002
START_AGAIN = "start this process again"


class Device:
    """The first GPU, in its primary context (which TensorRT and others share).

    name, compute_capability ("8.7") and integrated (CPU and GPU share their memory) tell what it is.
    All work is done inside `at_work`, which makes the context current in the calling thread and turns the
    driver's errors into ours. After an error that sticks, or work that never ends, `lost` holds the reason and
    everything raises DeviceLost.
    """

    def __init__(self, deadline_s: float = DEFAULT_DEADLINE_S) -> None:
        """deadline_s: the longest that any one wait may take. Raises NoDevice where there is no GPU to use."""
        self.deadline_s = deadline_s
        self.lost = ""
        self._cuda = _pycuda()
        self._driver = Driver()
        self._to_free: dict[int, Callable[[], None]] = {}  # in the order they were taken
        self._next_key = 0
        self._taken: list[Any] = []
        self._context: Any = None
        try:
            self._cuda.init()
            gpu = self._cuda.Device(0)
            self.name: str = gpu.name()
            self.compute_capability = ".".join(map(str, gpu.compute_capability()))
            self.integrated = bool(gpu.get_attribute(self._cuda.device_attribute.INTEGRATED))
            self._context = self._take(gpu.retain_primary_context())
        except self._cuda.Error as error:
            raise NoDevice(f"there is no GPU to use: {error}; use --device cpu") from error

    @property
    def closed(self) -> bool:
        return self._context is None

    @property
    def held(self) -> int:
        """How many things `close` would give back now."""
        return len(self._to_free)

    @contextlib.contextmanager
    def at_work(self, doing: str) -> Iterator[None]:
        """Make the context current and translate errors; `doing` is what they say was going on."""
        if self.lost:
            raise DeviceLost(self.lost)
        if self._context is None:
            raise DeviceError("this GPU was given back; open another Device")
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
        """Device memory until `close`; its address. Raises DeviceFull."""
        allocation = self._take(self._cuda.mem_alloc(max(1, size_bytes)))
        self.on_close(allocation.free)
        return int(allocation)

    def pinned(self, size_bytes: int) -> PinnedBuffer:
        """Memory that host and GPU both see, until `close`. Raises DeviceFull."""
        flags = self._cuda.host_alloc_flags.DEVICEMAP if self.integrated else 0
        host = self._cuda.pagelocked_empty((max(1, size_bytes),), np.uint8, mem_flags=flags)
        self.on_close(self._take(host.base).free)
        address = int(host.base.get_device_pointer()) if self.integrated else self.memory(size_bytes)
        return PinnedBuffer(self._cuda, host, address, mapped=self.integrated)

    def stream(self) -> Stream:
        """A queue of work of its own, until `close`."""
        return Stream(self, self._cuda, self._take(self._cuda.Stream()), self._driver)

    def timer(self) -> Timer:
        """Two points in a stream, timed by the GPU's own clock."""
        return Timer(*(self._take(self._cuda.Event()) for _ in range(2)))

    def kernels(self, image: bytes) -> Kernels:
        """The kernels in a fatbin. Raises DeviceError when it holds nothing for this GPU."""
        try:
            return Kernels(self._take(self._cuda.module_from_buffer(image)), self._take)
        except self._cuda.Error as error:
            self.check_alive("loading the kernels")
            raise DeviceError(
                f"the CUDA kernels do not run on this GPU ({self.name}, compute capability "
                f"{self.compute_capability}): {error}; install again where its nvcc is, or use --device cpu"
            ) from error

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy an array to the GPU and wait, without a deadline: for what comes once, at the start."""
        self._cuda.memcpy_htod(address, np.ascontiguousarray(array))

    def download(self, address: int, array: NDArray[Any]) -> None:
        """Fill a contiguous array from the GPU and wait, without a deadline: for what is read once in a while."""
        self._cuda.memcpy_dtoh(array, address)

    def check(self, code: int, doing: str) -> None:
        """Raise what a driver call's code means; 0 is fine."""
        if code:
            raise self._error(code, f"{doing}: {self._driver.words(code)}")

    def check_alive(self, doing: str) -> None:
        """Raise DeviceLost if an error has stuck meanwhile (in a library of its own, such as TensorRT)."""
        code = self._driver.query(None)
        if sticks(code):
            self.check(code, doing)

    def lose(self, reason: str) -> DeviceLost:
        """Mark the GPU as lost to this process; what to raise."""
        self.lost = f"the GPU is lost to this process, {reason}; {START_AGAIN}"
        # pycuda aborts the process when it frees something and the driver refuses; so it never gets to.
        for held in self._taken:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
        self._taken.clear()
        return DeviceLost(self.lost)

    def on_close(self, free: Callable[[], None]) -> Callable[[], None]:
        """Have something freed at `close`, before everything taken earlier. Returns what frees it at once instead;
        calling that again does no harm."""
        key, self._next_key = self._next_key, self._next_key + 1
        self._to_free[key] = free

        def free_now() -> None:
            if self._to_free.pop(key, None) is not None:
                free()

        return free_now

    def close(self) -> None:
        """Give everything back, the newest first; a second call does no harm. A lost GPU is left alone: only the
        process's end frees it.

        One failing free stops no other, and nothing is freed twice. Raises DeviceError for the first failure.
        """
        if self._context is None or self.lost:
            self._context = None
            return
        try:
            with self.at_work("giving the GPU back"):
                failed = self._free_all()
                self.check_alive("giving the GPU back")  # pycuda keeps quiet about what it could not free
                self._taken.clear()
                if failed is not None:
                    raise failed
        finally:
            context, self._context = self._context, None
            if not self.lost:
                context.detach()

    def _free_all(self) -> Exception | None:
        """Free what was taken, the newest first; the first error, if any."""
        failed: Exception | None = None
        while self._to_free:
            _, free = self._to_free.popitem()
            try:
                free()
            except (self._cuda.Error, DeviceError) as error:
                failed = failed or error
        return failed

    def _take(self, held: Any) -> Any:
        """Remember a pycuda object: it has to outlive a lost GPU."""
        self._taken.append(held)
        return held

    def _translated(self, doing: str, error: Exception) -> DeviceError:
        # pycuda's exceptions carry no code; an error that sticks is the answer to any further question as well.
        code = self._driver.query(None)
        if not sticks(code):
            code = OUT_OF_MEMORY if isinstance(error, self._cuda.MemoryError) else UNNAMED
        return self._error(code, f"{doing}: {error}")

    def _error(self, code: int, words: str) -> DeviceError:
        if sticks(code):
            return self.lose(words)
        if code == OUT_OF_MEMORY:
            return DeviceFull(
                f"the GPU has too little free memory, {words}; end other programs on it, "
                "build with a smaller --precision, or use --device cpu"
            )
        return DeviceError(f"the GPU refused, {words}; {START_AGAIN} or use --device cpu")


class PinnedBuffer:
    """One block that the host writes or reads and the GPU reads or writes.

    host uint8 [n]: pinned. address: the GPU's. On an integrated GPU both are the same memory and nothing is
    copied; on a discrete one `to_device` and `to_host` put a copy into a stream.
    """

    def __init__(self, cuda: Any, host: NDArray[np.uint8], address: int, mapped: bool) -> None:
        self.host, self.address, self.mapped = host, address, mapped
        self._cuda = cuda

    def to_device(self, stream: Stream, size_bytes: int | None = None) -> None:
        """Put the copy of the first `size_bytes` (None: all) to the GPU into `stream`."""
        if not self.mapped:
            self._cuda.memcpy_htod_async(self.address, self.host[:size_bytes], stream.pycuda)

    def to_host(self, stream: Stream, size_bytes: int | None = None) -> None:
        """Put the copy of the first `size_bytes` (None: all) from the GPU into `stream`."""
        if not self.mapped:
            self._cuda.memcpy_dtoh_async(self.host[:size_bytes], self.address, stream.pycuda)


class Kernels:
    """The kernels of a loaded module, launched as `kernels/table.py` says."""

    def __init__(self, module: Any, take: Callable[[Any], Any]) -> None:
        self._functions = {name: take(module.get_function(name)) for name in KERNELS}
        for name, function in self._functions.items():
            function.prepare(KERNELS[name].arguments)

    def launch(self, stream: Stream, name: str, columns: int, rows: int, *arguments: float) -> None:
        """Put one kernel into a stream; columns and rows as README.md gives them for the grid."""
        kernel = KERNELS[name]
        self._functions[name].prepared_async_call(kernel.grid(columns, rows), kernel.block, stream.pycuda, *arguments)


class Stream:
    """A queue of work, done in order."""

    def __init__(self, device: Device, cuda: Any, stream: Any, driver: Driver) -> None:
        self._device, self._cuda, self._driver = device, cuda, driver
        self.pycuda = stream
        self.handle = int(self.pycuda.handle)

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Copy on the GPU."""
        self._cuda.memcpy_dtod_async(to, source, size_bytes, self.pycuda)

    def wait(self, doing: str) -> None:
        """Until all of it is done. Raises DeviceLost for an error that sticks, or past the GPU's deadline."""
        started = time.perf_counter()
        while (code := self._driver.query(self.handle)) == NOT_READY:
            waited = time.perf_counter() - started
            if waited > self._device.deadline_s:
                raise self._device.lose(f"{doing} did not end within {self._device.deadline_s:g} s")
            if waited > SPIN_S:
                time.sleep(NAP_S)
        self._device.check(code, doing)

    def graph(self, work: Callable[[], None], doing: str) -> Graph:
        """Record what `work` puts into this stream; nothing of it runs. Run it once before, to warm up."""
        handle = self._driver.capture(self.handle, work, lambda code: self._device.check(code, doing))
        return Graph(self, handle, self._device.on_close(functools.partial(self._driver.free_graph, handle)))


class Timer:
    """Time between two points of a stream."""

    def __init__(self, first: Any, last: Any) -> None:
        self._first, self._last = first, last

    def start(self, stream: Stream) -> None:
        """Here it begins."""
        self._first.record(stream.pycuda)

    def stop(self, stream: Stream) -> None:
        """Here it ends."""
        self._last.record(stream.pycuda)

    def ms(self) -> float:
        """Milliseconds between the two, once the stream has been waited for."""
        return float(self._first.time_till(self._last))


class Graph:
    """Work recorded once, launched as a whole as often as wanted."""

    def __init__(self, stream: Stream, handle: int, free: Callable[[], None]) -> None:
        """free: gives the graph back, once."""
        self._stream, self._handle, self.free = stream, handle, free

    def launch(self, doing: str) -> None:
        """Put all of it into its stream."""
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
