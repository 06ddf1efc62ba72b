"""What others on the machine took from a measurement: programs beside this one, and a hypervisor (Linux).

A time measured while others ran says little about the code; this tells such times by their cause, not by their size.
Two accounts are kept, because each alone misleads: CPUs may work for others without this process wanting them,
and this process's threads may wait for one another.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

MACHINE, THREADS = Path("/proc/stat"), Path("/proc/self/task")
# Columns of the line of all CPU cores that count time at work: user, nice, system, irq, softirq, steal.
AT_WORK = (1, 2, 3, 6, 7, 8)


def taken_s(machine: Path = MACHINE) -> float | None:
    """Seconds of all CPU cores, since some past moment, that went to others; None where the system does not say.

    Only differences mean something, and those of less than a tenth of a second little: the system counts in
    hundredths.
    """
    try:
        fields = machine.read_text().split("\n", 1)[0].split()
        at_work = sum(int(fields[column]) for column in AT_WORK)
    except (OSError, ValueError, IndexError):
        return None
    return at_work / os.sysconf("SC_CLK_TCK") - time.process_time()


def waited_s(threads: Path = THREADS) -> float | None:
    """Seconds, since some past moment, that this process's threads stood ready and were not let run.

    Only differences mean something. None where the system does not say.
    """
    try:
        delays = [_delay_ns(thread / "schedstat") for thread in threads.iterdir()]
    except (OSError, ValueError, IndexError):
        return None
    known = [delay for delay in delays if delay is not None]
    return sum(known) / 1e9 if known else None


def _delay_ns(file: Path) -> int | None:
    """None for a thread that ended between listing and reading, and where the kernel keeps no such times."""
    try:
        return int(file.read_text().split()[1])
    except OSError:
        return None
