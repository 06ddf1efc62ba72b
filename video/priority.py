"""Encoders must not change how the system schedules this process.

SVT-AV1 makes the thread that opens it, and its own threads, real-time with the highest priority where the user is root.
They would then go before everything else on the machine, and so would every child of this process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def kept_scheduling() -> Iterator[None]:
    """All threads of this process have the scheduling of the calling thread at the end of the block. Linux only."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in threads():
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def threads() -> list[int]:
    """The ids of the threads of this process."""
    return [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
