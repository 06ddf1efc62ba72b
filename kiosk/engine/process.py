"""One engine worker process as the server sees it: started, asked one task at a time, ended."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import msgspec

from ...engine.errors import ModelFileError
from ..messages import Answer, Task
from ..settings import EngineTable

START_DEADLINE_S = 60.0
ANSWER_LIMIT_BYTES = 1 << 20
# What an exchange with a worker raises when that worker is of no more use.
WORKER_ERRORS = (asyncio.TimeoutError, OSError, EOFError, ValueError, msgspec.DecodeError)


class WorkerProcess:
    """A worker that stands, with its model loaded. `seen` names the pictures it holds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.seen: set[str] = set()

    @classmethod
    async def start(cls, settings: EngineTable, descriptor: int, max_megapixels: float) -> WorkerProcess:
        """A worker once it has answered a first time; its pixels go into the memory behind `descriptor`.

        Raises ModelFileError when the model cannot be used, and WORKER_ERRORS.
        """
        engine = [settings.model, settings.threads, settings.device, settings.spin]
        worker = cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"{__package__}.service", *map(str, [*engine, descriptor, max_megapixels]),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                pass_fds=(descriptor,), limit=ANSWER_LIMIT_BYTES, start_new_session=True,
            )
        )  # fmt: skip
        try:
            answer = await asyncio.wait_for(worker._answer(), START_DEADLINE_S)
            if not answer.ok:
                raise ModelFileError(answer.error)
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    async def exchange(self, task: Task) -> Answer:
        """One task → its answer. Raises WORKER_ERRORS."""
        if self._process.stdin is None:
            raise EOFError("no pipes")
        self._process.stdin.write(msgspec.json.encode(task) + b"\n")
        await self._process.stdin.drain()
        return await self._answer()

    async def _answer(self) -> Answer:
        line = await self._process.stdout.readline() if self._process.stdout else b""
        if not line.endswith(b"\n"):
            raise EOFError("the worker ended")
        return msgspec.json.decode(line, type=Answer)

    async def ended(self) -> None:
        """Return once it has ended."""
        await self._process.wait()

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await self._process.wait()
