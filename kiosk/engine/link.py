"""The server's end of the engine: ask an engine process, end it when it hangs, go on with the spare one.

One task runs at a time, and those who wait get their turns in the order in which they asked. A page asks again after
each answer, so pages take turns.

A process that misses its deadline or dies is replaced at once by a spare one that is ready, so that a visitor waits for
a deadline at most, never for a start. Without a spare, failed starts are tried again after longer and longer pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import time
from collections import OrderedDict
from collections.abc import Callable

from msgspec.structs import replace

from ...engine.errors import ImageRejected, LivetintError, RunnerError
from ..memory import NamelessFile
from ..messages import SHARED_BYTES, Answer, PictureRef, Task
from ..settings import EngineTable
from .process import PROCESS_ERRORS, EngineProcess

log = logging.getLogger("livetint.kiosk")

# A task gets more time for each picture that it has to decode and encode first: FIRST_DEADLINE_S, enough for a
# 64-megapixel scan, or AGAIN_FACTOR times what a task took that opened the same picture before.
FIRST_DEADLINE_S = 30.0
AGAIN_FACTOR = 3.0
# Tasks that take longer than an edit also where the picture is held.
SLOW_OPS = ("heads", "features", "histogram")
KNOWN_PICTURES = 256
BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 60.0
# The spare process starts when the first seconds, or those after a fault, are over: a visitor may be drawing.
SPARE_AFTER_S = 1.0

# Opens a picture and returns a descriptor, which the link closes. Raises KeyError where the picture is gone.
OpenPicture = Callable[[PictureRef], int]


class EngineLost(RunnerError):
    """The engine process died or hung in a task; another one takes over."""


class TaskRefused(LivetintError):
    """A task cannot be done; `visitor_sentence` says so to a visitor."""

    def __init__(self, error: str, sentence: str) -> None:
        super().__init__(error)
        self.visitor_sentence = sentence


class EngineLink:
    """Owns the engine process at work, the spare one, and the memory shared with them."""

    def __init__(self, settings: EngineTable, max_megapixels: float, screens: int = 1) -> None:
        self._settings = settings
        self._screens = screens
        self._max_megapixels = max_megapixels
        self._memory = NamelessFile("pixels")
        os.ftruncate(self._memory.descriptor, SHARED_BYTES)
        self._shared = mmap.mmap(self._memory.descriptor, SHARED_BYTES)
        self._lock = asyncio.Lock()
        self._ready = asyncio.Event()
        # Tasks that run or wait, and whether there is none.
        self._asked = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._process: EngineProcess | None = None
        self._exchange: asyncio.Task[tuple[Answer, bytes]] | None = None
        self._spare: asyncio.Task[EngineProcess] | None = None
        self._keeper: asyncio.Task[None] | None = None
        # Seconds that a task took that opened the picture; the least recently opened first.
        self._opening_s: OrderedDict[PictureRef, float] = OrderedDict()
        self.faults = 0
        self.last_error = ""
        self.last_success_s = -1e9

    @property
    def ready(self) -> bool:
        """Whether an engine process runs and has answered."""
        return self._ready.is_set()

    @property
    def spare_ready(self) -> bool:
        """Whether a second process stands by."""
        return self._spare is not None and self._spare.done() and self._spare.exception() is None

    @property
    def fresh_s(self) -> float:
        """Seconds since an inference last succeeded."""
        return time.monotonic() - self.last_success_s

    @property
    def worker_pid(self) -> int | None:
        """Process id of the engine process at work."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start an engine process and keep one alive from now on."""
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the processes and give the memory back."""
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._end()
        if self._spare:
            self._spare.cancel()
            with contextlib.suppress(asyncio.CancelledError, LivetintError, *PROCESS_ERRORS):
                await (await self._spare).end()
        self._shared.close()
        self._memory.close()

    async def wait_ready(self) -> None:
        """Return once an engine process is ready."""
        await self._ready.wait()

    # Tasks

    async def ask(
        self, task: Task | Callable[[], Task], open_picture: OpenPicture | None = None
    ) -> tuple[Answer, bytes]:
        """One task → answer and a copy of its pixels.

        task: where it is a function, that is called when its turn has come, so that it may give the newest edit; its
        errors are passed on. open_picture: called for pictures of the task that the engine does not hold. A caller that
        is cancelled leaves at once; the engine ends the task meanwhile, its answer is dropped, and the next task waits
        for that.
        Raises EngineLost when the process died or overran its deadline, TaskRefused when it said no, and KeyError where
        a picture is gone.
        """
        await self._ready.wait()
        self._asked += 1
        self._idle.clear()
        try:
            await self._lock.acquire()
        except asyncio.CancelledError:
            self._leave()
            raise
        exchange = self._exchange = asyncio.create_task(self._ask(task, open_picture))
        exchange.add_done_callback(self._exchange_done)
        await asyncio.wait({exchange})
        return exchange.result()

    async def wait_idle(self) -> None:
        """Return once no task runs or waits."""
        await self._idle.wait()

    async def forget(self, picture: PictureRef) -> None:
        """Make the engine let go of all that was made of a picture, and forget that it was ever seen."""
        self._opening_s.pop(picture, None)
        with contextlib.suppress(EngineLost):  # a process that is gone has forgotten
            await self.ask(Task("forget", picture))

    def _exchange_done(self, exchange: asyncio.Task[tuple[Answer, bytes]]) -> None:
        self._exchange = None
        self._lock.release()
        self._leave()
        if not exchange.cancelled():
            exchange.exception()  # nobody may be waiting for it any more

    def _leave(self) -> None:
        """A task is done, or nobody waits for it any more."""
        self._asked -= 1
        if not self._asked:
            self._idle.set()

    async def _ask(self, task: Task | Callable[[], Task], open_picture: OpenPicture | None) -> tuple[Answer, bytes]:
        task = task if isinstance(task, Task) else task()
        process = self._process
        if process is None or not self.ready:
            raise EngineLost("the engine is starting again; send the hints again")
        missing = _missing(process, task)
        deadline_s = self._deadline_s(missing) + (FIRST_DEADLINE_S if task.op in SLOW_OPS else 0)
        descriptors = _open_all(missing, open_picture)
        started = time.monotonic()
        try:
            exchange = process.exchange(replace(task, descriptors=missing), descriptors)
            answer = await asyncio.wait_for(exchange, deadline_s)
        except PROCESS_ERRORS as error:
            self._lose(process, f"{task.op}: {type(error).__name__} {error}".strip())
            raise EngineLost("the engine stopped answering and is being replaced; send the hints again") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if not answer.ok:
            raise TaskRefused(answer.error, answer.sentence)
        self._note(answer, missing, time.monotonic() - started)
        return answer, bytes(self._shared[: answer.length])

    def _note(self, answer: Answer, opened: tuple[PictureRef, ...], took_s: float) -> None:
        if answer.inferred:
            self.last_success_s = time.monotonic()
        for picture in opened:
            self._opening_s[picture] = took_s
            self._opening_s.move_to_end(picture)
        while len(self._opening_s) > KNOWN_PICTURES:
            self._opening_s.popitem(last=False)

    def _deadline_s(self, missing: tuple[PictureRef, ...]) -> float:
        """Seconds that a task may take which has to open the `missing` pictures."""
        known = self._opening_s
        more_s = sum(AGAIN_FACTOR * known[ref] if ref in known else FIRST_DEADLINE_S for ref in missing)
        return self._settings.deadline_s + more_s

    # Processes

    def _lose(self, process: EngineProcess, reason: str) -> None:
        """Count a fault and end the process, once, whoever notices first that it is of no more use."""
        if process is not self._process or not self.ready:
            return
        self._ready.clear()
        self.faults += 1
        self.last_error = reason
        log.error("engine lost", extra={"facts": {"reason": reason, "faults": self.faults}})
        process.kill()

    async def _keep(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            try:
                process = self._process = await self._next_process()
                self.last_success_s = time.monotonic()
                self._ready.set()
                log.info("engine ready", extra={"facts": {"start_s": round(time.monotonic() - started, 2)}})
                if self._settings.spare:
                    self._spare = asyncio.create_task(self._stand_by())
                await process.ended()
                self._lose(process, f"worker exited with {process.exit_code}")
            except (LivetintError, *PROCESS_ERRORS) as error:
                self.last_error = f"start: {_in_words(error)}"
                log.error("engine not started", extra={"facts": {"reason": self.last_error}})
            await self._end()
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            if not self.spare_ready:
                await asyncio.sleep(BACK_OFF_S[min(max(failures - 1, 0), len(BACK_OFF_S) - 1)])

    async def _next_process(self) -> EngineProcess:
        """The spare process if there is one, else a new one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            process = await spare
            if process.exit_code is None:
                return process
            await process.end()
        return await self._start_process()

    async def _stand_by(self) -> EngineProcess:
        await asyncio.sleep(SPARE_AFTER_S)
        try:
            return await self._start_process()
        except (LivetintError, *PROCESS_ERRORS) as error:
            log.warning("no spare engine", extra={"facts": {"reason": _in_words(error)}})
            raise

    async def _start_process(self) -> EngineProcess:
        return await EngineProcess.start(self._settings, self._memory.descriptor, self._max_megapixels, self._screens)

    async def _end(self) -> None:
        self._ready.clear()
        process, self._process = self._process, None
        if process:
            process.kill()
            if self._exchange:  # it reads that the process is gone
                await asyncio.wait({self._exchange})
            await process.end()


def _missing(process: EngineProcess, task: Task) -> tuple[PictureRef, ...]:
    """The pictures whose descriptors the engine needs for a task, each once."""
    if task.op == "forget":
        return ()
    missing = []
    if task.picture is not None and task.picture not in process.held:
        missing.append(task.picture)
    # A mood shows the picture itself, for which its histogram is not enough.
    known = process.held if task.op == "mood" else process.held | process.histograms
    if task.reference is not None and task.reference not in known:
        missing.append(task.reference)
    return tuple(dict.fromkeys(missing))


def _open_all(pictures: tuple[PictureRef, ...], open_picture: OpenPicture | None) -> list[int]:
    """Their descriptors. Raises KeyError where one is gone, TaskRefused where one cannot be opened."""
    descriptors: list[int] = []
    try:
        for picture in pictures:
            if open_picture is None:
                raise KeyError(picture.id)
            descriptors.append(open_picture(picture))
    except BaseException as error:
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(error, OSError):
            reason = f"a picture cannot be opened: {error.strerror or error}"
            raise TaskRefused(reason, ImageRejected.visitor_sentence) from error
        raise
    return descriptors


def _in_words(error: BaseException) -> str:
    return str(error) if isinstance(error, LivetintError) else f"{type(error).__name__} {error}".strip()
