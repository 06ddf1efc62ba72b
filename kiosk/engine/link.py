"""The server's end of the engine: ask a worker, end it when it hangs, go on with the spare one.

One task runs at a time. A worker that misses its deadline or dies is replaced at once by a second one that stands
ready, so that a visitor waits for a deadline at most, never for a start; without a spare, pauses grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import time

from ...engine.errors import LivetintError, RunnerError
from ..memory import NamelessFile
from ..messages import SHARED_BYTES, Answer, Task
from ..settings import EngineTable
from .process import WORKER_ERRORS, WorkerProcess

log = logging.getLogger("livetint.kiosk")

# A photograph's first touch decodes and encodes it, which a 64-megapixel scan makes long.
FIRST_DEADLINE_S = 30.0
# For a worker that meets a picture another one knew: what that one took, and room for a busy machine.
AGAIN_FACTOR = 3.0
BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 60.0
# The spare one starts when the first seconds, or those after a fault, are over: a visitor may be drawing.
SPARE_AFTER_S = 1.0


class EngineLost(RunnerError):
    """The worker died or hung in a task; another one takes over."""


class TaskRefused(LivetintError):
    """The worker answered that a task cannot be done; `visitor_sentence` says so to a visitor."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.error)
        self.visitor_sentence = answer.sentence


class EngineLink:
    """Owns the worker at work, the spare one, and the memory shared with them."""

    def __init__(self, settings: EngineTable, max_megapixels: float) -> None:
        self._settings = settings
        self._max_megapixels = max_megapixels
        self._memory = NamelessFile("pixels")
        os.ftruncate(self._memory.descriptor, SHARED_BYTES)
        self._shared = mmap.mmap(self._memory.descriptor, SHARED_BYTES)
        self._lock = asyncio.Lock()
        self._ready = asyncio.Event()
        self._worker: WorkerProcess | None = None
        self._spare: asyncio.Task[WorkerProcess] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._first_s: dict[str, float] = {}
        self.faults = 0
        self.last_error = ""
        self.last_success_s = -1e9

    @property
    def ready(self) -> bool:
        """Whether a worker stands and has answered."""
        return self._ready.is_set()

    @property
    def spare_ready(self) -> bool:
        """Whether a second worker stands by."""
        return self._spare is not None and self._spare.done() and self._spare.exception() is None

    @property
    def fresh_s(self) -> float:
        """Seconds since an inference last succeeded."""
        return time.monotonic() - self.last_success_s

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker at work."""
        return self._worker.pid if self._worker else None

    def start(self) -> None:
        """Start the worker and keep one alive from now on."""
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the workers and give the memory back."""
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._end()
        if self._spare:
            self._spare.cancel()
            with contextlib.suppress(asyncio.CancelledError, LivetintError, *WORKER_ERRORS):
                await (await self._spare).end()
        self._shared.close()
        self._memory.close()

    async def wait_ready(self) -> None:
        """Return once a worker stands."""
        await self._ready.wait()

    async def ask(self, task: Task) -> tuple[Answer, bytes]:
        """One task → answer and a copy of its pixels.

        Raises EngineLost when the worker died or overran its deadline, TaskRefused when it said no.
        """
        await self._ready.wait()
        async with self._lock:
            worker = self._worker
            if worker is None or not self._ready.is_set():
                raise EngineLost("the engine is starting again; send the hints again")
            started = time.monotonic()
            try:
                answer = await asyncio.wait_for(worker.exchange(task), self._deadline(worker, task))
            except WORKER_ERRORS as error:
                self._lose(f"{task.op}: {type(error).__name__} {error}".strip())
                raise EngineLost("the engine stopped answering and is being replaced; send the hints again") from error
            except asyncio.CancelledError:
                # Its answer would be taken for the next task's.
                self._lose(f"{task.op}: abandoned")
                raise
            if not answer.ok:
                raise TaskRefused(answer)
            self._note(worker, task, time.monotonic() - started)
            return answer, bytes(self._shared[: answer.length])

    async def forget(self, path: str) -> None:
        """Make the worker let go of a picture, and forget that it was ever seen."""
        self._first_s.pop(path, None)
        with contextlib.suppress(EngineLost):  # a worker that is gone has forgotten
            await self.ask(Task("forget", path))

    def _note(self, worker: WorkerProcess, task: Task, took_s: float) -> None:
        if task.op in ("edit", "pulse", "ab"):
            self.last_success_s = time.monotonic()
        if task.op == "forget":
            worker.seen.discard(task.path)
            return
        for path in {task.path, task.reference_path} - {""} - worker.seen:
            worker.seen.add(path)
            self._first_s[path] = took_s

    def _deadline(self, worker: WorkerProcess, task: Task) -> float:
        new = {task.path, task.reference_path} - {""} - worker.seen if task.op in ("edit", "ab") else set()
        if task.op != "picture" and new <= self._first_s.keys():
            return self._settings.deadline_s + AGAIN_FACTOR * sum(self._first_s[path] for path in new)
        return max(FIRST_DEADLINE_S, self._settings.deadline_s)

    def _lose(self, reason: str) -> None:
        self._ready.clear()
        self.faults += 1
        self.last_error = reason
        log.error("engine lost", extra={"facts": {"reason": reason, "faults": self.faults}})
        if self._worker:
            self._worker.kill()

    async def _keep(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            try:
                self._worker = await self._next_worker()
                self.last_success_s = time.monotonic()
                self._ready.set()
                log.info("engine ready", extra={"facts": {"start_s": round(time.monotonic() - started, 2)}})
                if self._settings.spare:
                    self._spare = asyncio.create_task(self._stand_by())
                await self._worker.ended()
            except (LivetintError, *WORKER_ERRORS) as error:
                self.last_error = f"start: {type(error).__name__} {error}"
                log.error("engine not started", extra={"facts": {"reason": self.last_error}})
            if self._ready.is_set():
                self._lose(f"worker exited with {self._worker.exit_code if self._worker else None}")
            await self._end()
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            if not self.spare_ready:
                await asyncio.sleep(BACK_OFF_S[min(max(failures - 1, 0), len(BACK_OFF_S) - 1)])

    async def _next_worker(self) -> WorkerProcess:
        """The spare one where it stands or is about to, else a new one."""
        spare, self._spare = self._spare, None
        if spare is not None:
            worker = await spare
            if worker.exit_code is None:
                return worker
        return await self._start_worker()

    async def _stand_by(self) -> WorkerProcess:
        await asyncio.sleep(SPARE_AFTER_S)
        try:
            return await self._start_worker()
        except (LivetintError, *WORKER_ERRORS) as error:
            log.warning("no spare engine", extra={"facts": {"reason": f"{type(error).__name__} {error}"}})
            raise

    async def _start_worker(self) -> WorkerProcess:
        return await WorkerProcess.start(self._settings, self._memory.descriptor, self._max_megapixels)

    async def _end(self) -> None:
        self._ready.clear()
        worker, self._worker = self._worker, None
        if worker:
            await worker.end()
