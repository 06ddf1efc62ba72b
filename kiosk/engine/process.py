"""One engine process as the server sees it: started, asked one task at a time, ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import msgspec

from ...engine.errors import ModelFileError
from ..messages import Answer, PictureRef, Task
from ..settings import EngineTable
from .channel import ServerEnd

SERVICE = f"{__package__}.service"
START_DEADLINE_S = 60.0
# What an exchange with a process raises when the process has to be replaced.
PROCESS_ERRORS = (asyncio.TimeoutError, OSError, EOFError, ValueError, msgspec.DecodeError)


class EngineProcess:
    """A running engine process, with its model loaded.

    held, histograms: the pictures that it holds and those whose histogram it knows, as its last answer said.
    """

    def __init__(self, process: asyncio.subprocess.Process, channel: ServerEnd) -> None:
        self._process = process
        self._channel = channel
        self._killed = False
        self.held: frozenset[PictureRef] = frozenset()
        self.histograms: frozenset[PictureRef] = frozenset()

    @classmethod
    async def start(cls, settings: EngineTable, memory: int, max_megapixels: float, screens: int = 1) -> EngineProcess:
        """Start a process and wait for its first answer. memory: the descriptor of the memory that it writes pixels to.

        Raises ModelFileError with the process's own sentence when the model cannot be used, and PROCESS_ERRORS.
        """
        engine = [settings.model, settings.threads, settings.device, settings.spin]
        channel = ServerEnd()
        descriptors = memory, channel.theirs.fileno()
        limits = max_megapixels, settings.vivid, screens
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", SERVICE, *map(str, [*engine, *descriptors, *limits]),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=descriptors, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            channel.close()
            raise
        channel.theirs.close()
        worker = cls(process, channel)
        try:
            answer = await asyncio.wait_for(channel.receive(), START_DEADLINE_S)
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

    async def exchange(self, task: Task, descriptors: list[int]) -> Answer:
        """One task, with copies of `descriptors` → its answer. Raises PROCESS_ERRORS."""
        await self._channel.send(task, descriptors)
        answer = await self._channel.receive()
        self.held, self.histograms = frozenset(answer.held), frozenset(answer.histograms)
        return answer

    async def ended(self) -> None:
        """Return once it has ended."""
        await self._process.wait()

    def kill(self) -> None:
        """End it and all that it started at once, whatever they are doing. The process leads its group."""
        if not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill it and wait until it is gone."""
        self.kill()
        await self._process.wait()
        self._channel.close()
