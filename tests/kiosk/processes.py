"""What tests ask about processes of a kiosk; one that ends while it is looked at counts as ended."""

from __future__ import annotations

import psutil


def alive(process: int) -> bool:
    """Whether a process runs (a dead one whose parent has not asked yet does not)."""
    try:
        return psutil.Process(process).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def children(process: int, word: str = "") -> list[int]:
    """Ids of the children of a process whose command line holds `word`."""
    found = []
    for child in psutil.Process(process).children():
        try:
            if word in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.NoSuchProcess:
            pass
    return found


def resident_kib(process: int) -> int:
    return psutil.Process(process).memory_info().rss // 1024


def facts_of(process: int) -> tuple[int, int, int]:
    """Resident KiB, descriptors and threads of a process."""
    one = psutil.Process(process)
    return resident_kib(process), one.num_fds(), one.num_threads()
