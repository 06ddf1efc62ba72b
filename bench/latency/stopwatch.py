"""A workload's part of a round: its samples, and the share of the time that others took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from . import schedule
from .contention import taken_s, waited_s
from .workloads import Workload

# A part that takes this many times as long as expected is cut short.
PATIENCE = 2.0
# A part in which others took more than this share of the time says little about the code.
MAX_LOST = 0.1


@dataclass
class Part:
    """One workload in one round: its samples in ms.

    lost: the share of the time that others took (see `Stopwatch.lost`); None where the system does not say.
    """

    values: list[float] = field(default_factory=list)
    lost: float | None = None


class Mark(NamedTuple):
    """A moment: the clock, the CPU time that went to others, and the time waited for a CPU, in seconds."""

    clock: float
    taken: float | None
    waited: float | None


@dataclass(frozen=True)
class Stopwatch:
    """The clock, the CPU time that went to others, and the time that this process waited for a CPU (see `contention`),
    all in seconds since some moment."""

    clock: Callable[[], float] = time.perf_counter
    taken: Callable[[], float | None] = taken_s
    waited: Callable[[], float | None] = waited_s
    processors: int = 1

    def lost(self, since: Mark) -> float | None:
        """The share of the time since a `mark` that others took: the smaller of the share that this process waited and
        the share of the CPU cores that others had. It lost no time that it did not want, and none to its own threads.
        """
        now = self.mark()
        passed_s = now.clock - since.clock
        if passed_s <= 0 or now.taken is None or now.waited is None or since.taken is None or since.waited is None:
            return None
        to_others = (now.taken - since.taken) / (passed_s * self.processors)
        waiting = (now.waited - since.waited) / passed_s
        return round(float(np.clip(min(to_others, waiting), 0, 1)), 3)

    def mark(self) -> Mark:
        """The clock and the two accounts now."""
        return Mark(self.clock(), self.taken(), self.waited())


def time_part(load: Workload, number: int, cost_s: float, watch: Stopwatch) -> Part:
    """`number` samples, or fewer if they take far longer than `cost_s` each."""
    for _ in range(schedule.spare_runs(cost_s)):
        load.prepare()
        load.run()
    values: list[float] = []
    before = watch.mark()
    end = watch.clock() + PATIENCE * number * cost_s
    while len(values) < number and (not values or watch.clock() < end):
        load.prepare()
        start = watch.clock()
        load.run()
        values.append(1e3 * (watch.clock() - start))
    return Part(values, watch.lost(before))
