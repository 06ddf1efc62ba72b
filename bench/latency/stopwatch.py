"""A workload's part of a round: its samples, and what others took of the time meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from . import schedule
from .contention import taken_s, waited_s
from .workloads import Workload

# A part that takes this many times as long as foreseen is cut short.
PATIENCE = 2.0
# A part says something about the code if others took no more than this share of its time.
MAX_LOST = 0.1


@dataclass
class Part:
    """One workload in one round: its samples in ms.

    lost: the share of the time that others took from it (see `Stopwatch.lost`); None where the system does not say.
    """

    values: list[float] = field(default_factory=list)
    lost: float | None = None


class Mark(NamedTuple):
    """One moment: the clock, the CPU cores' time that went to others, the time waited for a CPU; seconds."""

    clock: float
    taken: float | None
    waited: float | None


@dataclass(frozen=True)
class Stopwatch:
    """The clock, the CPU cores' time that went to others so far, and the time this process waited for a CPU
    (see `others`), all in seconds."""

    clock: Callable[[], float] = time.perf_counter
    taken: Callable[[], float | None] = taken_s
    waited: Callable[[], float | None] = waited_s
    processors: int = 1

    def lost(self, since: Mark) -> float | None:
        """The share of the time since a `mark` for which this process waited, or for which others had the CPU cores,
        whichever is less: it did not lose what it did not want, nor to others what its own threads took."""
        now = self.mark()
        passed_s = now.clock - since.clock
        if passed_s <= 0 or now.taken is None or now.waited is None or since.taken is None or since.waited is None:
            return None
        to_others = (now.taken - since.taken) / (passed_s * self.processors)
        waiting = (now.waited - since.waited) / passed_s
        return round(float(np.clip(min(to_others, waiting), 0, 1)), 3)

    def mark(self) -> Mark:
        """What the clock and the two accounts say now."""
        return Mark(self.clock(), self.taken(), self.waited())


def time_part(load: Workload, number: int, cost_s: float, watch: Stopwatch) -> Part:
    """`number` samples; fewer once they have taken far longer than a run's `cost_s` promised."""
    for _ in range(schedule.spare_runs(cost_s)):
        load.run()
    values: list[float] = []
    before = watch.mark()
    end = watch.clock() + PATIENCE * number * cost_s
    while len(values) < number and (not values or watch.clock() < end):
        start = watch.clock()
        load.run()
        values.append(1e3 * (watch.clock() - start))
    return Part(values, watch.lost(before))
