"""Photographs coloured by several processes of this machine, which share its cores."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import TracebackType

import msgspec

from ..engine.cores import usable_cores
from ..engine.errors import LivetintError, RunnerError
from .colour import Result, Settings, Task
from .worker import Ready, Start

WORKER = f"{__package__}.worker"
# A task is tried again once when its process dies: perhaps another program needed the memory at that moment.
ATTEMPTS = 2


class _Process:
    """A worker process and the task it has."""

    def __init__(self, settings: Settings, threads: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)},
            )  # fmt: skip
        self.connection = Connection(ours.detach())
        self.task: Task | None = None
        self._send(Start(settings, threads, os.getpid()))

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> Ready:
        """Its first answer. Raises RunnerError where it ends before, and the error that it reports."""
        try:
            answer = msgspec.msgpack.decode(self.connection.recv_bytes(), type=Ready)
        except (EOFError, ConnectionError) as error:
            raise RunnerError(f"a process that colours photographs {self.ended()} at its start; try again") from error
        if answer.error:
            error = LivetintError(answer.error)
            error.exit_code = answer.exit_code
            raise error
        return answer

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(ConnectionError):  # a process that has died is found when its answer is read
            self._send(task)

    def result(self) -> Result | None:
        """The result of its task, which has arrived; None if the process has died."""
        try:
            return msgspec.msgpack.decode(self.connection.recv_bytes(), type=Result)
        except (EOFError, ConnectionError):
            return None

    def ended(self) -> str:
        """How the process ended, for a sentence."""
        code = self._process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def close(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _send(self, message: msgspec.Struct) -> None:
        self.connection.send_bytes(msgspec.msgpack.encode(message))


class Processes:
    """`jobs` processes, as a context manager.

    jobs: their number. device, said: of the first one's answer. pids: of the processes. Raises RunnerError and what
    `open_runner` raises.
    """

    def __init__(self, settings: Settings, jobs: int) -> None:
        self._settings, self.jobs = settings, jobs
        self._threads = max(1, usable_cores() // jobs)
        self._processes: list[_Process] = []
        try:
            for _ in range(jobs):
                self._processes.append(_Process(settings, self._threads))
            answers = [process.ready() for process in self._processes]
        except BaseException:
            self.close()
            raise
        self.device, self.said = answers[0].device, answers[0].said

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def close(self) -> None:
        """End all processes, at once."""
        for process in self._processes:
            process.close()
        self._processes.clear()

    def results(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """The results of `tasks`, as they come. A task whose process dies is tried once more in a new one."""
        waiting = deque(tasks)
        attempts = [0] * (max((task.number for task in tasks), default=-1) + 1)
        for process in self._processes:
            self._give_next(process, waiting, attempts)
        while busy := [process for process in self._processes if process.task]:
            ready = wait([process.connection for process in busy])
            for process in [process for process in busy if process.connection in ready]:
                task, result = process.task, process.result()
                assert task is not None
                if result is None:
                    how = process.ended()
                    process = self._replaced(process)
                    if attempts[task.number] < ATTEMPTS:
                        waiting.appendleft(task)
                    else:
                        result = Result(task.number, error=died(task, how))
                self._give_next(process, waiting, attempts)
                if result is not None:
                    yield result

    def _give_next(self, process: _Process, waiting: deque[Task], attempts: list[int]) -> None:
        process.task = None
        if waiting:
            task = waiting.popleft()
            attempts[task.number] += 1
            process.give(task)

    def _replaced(self, old: _Process) -> _Process:
        old.close()
        new = _Process(self._settings, self._threads)
        self._processes[self._processes.index(old)] = new
        new.ready()
        return new


def died(task: Task, how: str) -> str:
    """The error of a photograph whose process died in all attempts."""
    return (
        f"{os.fsdecode(task.name)}: the process that coloured it {how}, {ATTEMPTS} times; "
        "reduce the picture, or use fewer jobs"
    )
