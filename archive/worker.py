"""A process that colours photographs: `python -m livetint.archive.worker DESCRIPTOR`.

It reads its settings and then tasks from a socket, and answers each with a result. It ends with the process that
started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection

import cv2
import msgspec

from ..engine.errors import LivetintError
from ..engine.models import find_model
from ..engine.runners.base import Runner
from ..engine.runners.open import open_runner
from .colour import Colourist, Settings, Task

_PR_SET_PDEATHSIG = 1


class Start(msgspec.Struct, frozen=True):
    """The first message: settings, and the CPU threads of this process. parent: the process that sent it."""

    settings: Settings
    threads: int
    parent: int


class Ready(msgspec.Struct, frozen=True):
    """The first answer. device: that photographs are coloured on. said: what the runner reported, for the terminal.

    error, exit_code: why no photograph can be coloured, and the exit code for that; "" if they can.
    """

    device: str = ""
    said: list[str] = []
    error: str = ""
    exit_code: int = 0


def open_for(settings: Settings, threads: int, said: list[str]) -> Runner:
    """The runner of a process that has `threads` CPU threads. It does not spin: other processes use the cores too."""
    cv2.setNumThreads(threads)
    bundle = find_model(settings.model)
    return open_runner(bundle, settings.device, threads, say=said.append, spin=False)


def main(descriptor: int) -> None:
    """Serve until the socket is closed."""
    with Connection(descriptor) as connection:
        start = msgspec.msgpack.decode(connection.recv_bytes(), type=Start)
        _end_with(start.parent)
        said: list[str] = []
        try:
            runner = open_for(start.settings, start.threads, said)
        except LivetintError as error:
            connection.send_bytes(msgspec.msgpack.encode(Ready(error=str(error), exit_code=error.exit_code)))
            return
        with runner:
            connection.send_bytes(msgspec.msgpack.encode(Ready(runner.runs_on, said)))
            colourist = Colourist(runner, start.settings)
            with contextlib.suppress(EOFError, ConnectionError):
                while True:
                    task = msgspec.msgpack.decode(connection.recv_bytes(), type=Task)
                    connection.send_bytes(msgspec.msgpack.encode(colourist.do(task)))


def _end_with(parent: int) -> None:
    """Let the system end this process when `parent` dies, so that no picture is written for a run that is over."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
