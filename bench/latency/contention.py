"""CPU time that other programs and a hypervisor took from a measurement (Linux).

A time measured while others ran says little about the code. Such times are found by their cause, not by their size.
Both accounts are needed: CPU cores may work for others while this process does not want them, and this process's
threads may wait for one another.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

MACHINE, THREADS = Path("/proc/stat"), Path("/proc/self/task")
# Columns of busy time in the line of all CPU cores: user, nice, system, irq, softirq, steal.
AT_WORK = (1, 2, 3, 6, 7, 8)


def taken_s(machine: Path = MACHINE) -> float | None:
    """Seconds of all CPU cores that went to others, since some moment; None where the system does not say.

    Only differences mean something, and only from a tenth of a second on: the system counts in hundredths.
    """
    try:
        fields = machine.read_text().split("\n", 1)[0].split()
        at_work = sum(int(fields[column]) for column in AT_WORK)
    except (OSError, ValueError, IndexError):
        return None
    return at_work / os.sysconf("SC_CLK_TCK") - time.process_time()


def waited_s(threads: Path = THREADS) -> float | None:
    """Seconds that this process's threads were ready but not running, since some moment.

    Only differences mean something. None where the system does not say.
    """
    try:
        delays = [_delay_ns(thread / "schedstat") for thread in threads.iterdir()]
    except (OSError, ValueError, IndexError):
        return None
    known = [delay for delay in delays if delay is not None]
    return sum(known) / 1e9 if known else None


def _delay_ns(file: Path) -> int | None:
    """None for a thread that has ended since it was listed, and where the kernel keeps no such times."""
    try:
        return int(file.read_text().split()[1])
    except OSError:
        return None
