"""A workload's part of a round: timed in bursts, between runs of the reference that is shaped like it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from . import pacing
from .others import taken_s, waited_s
from .workloads import Workload

BURSTS = 2
# A part that takes this many times as long as foreseen is cut short.
PATIENCE = 2.0
# A burst of a reference: about this long, but within these numbers of runs.
REFERENCE_S, FEWEST, MOST = 0.02, 3, 20
# A reference is run for so long before it is timed: a stage's threads spin on for some 40 ms after their last run
# (ONNX Runtime) and would take the processors from it.
SETTLE_S = 0.05
# A part says something about the code if others took no more than this share of its time.
MOST_LOST = 0.1


@dataclass
class Part:
    """One workload in one round: its samples in ms, and those of the reference before, between and after them.

    lost: the share of the time that others took from it (see `Stopwatch.lost`); None where the system does not say.
    """

    values: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    lost: float | None = None


@dataclass(frozen=True)
class Stopwatch:
    """The clock, the processors' time that went to others so far, and the time this process waited for a processor
    (see `others`), all in seconds."""

    clock: Callable[[], float] = time.perf_counter
    taken: Callable[[], float | None] = taken_s
    waited: Callable[[], float | None] = waited_s
    processors: int = 1


class _Timing:
    """Times bursts and keeps account of what others took."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch
        self._begin, self._taken = watch.clock(), watch.taken()
        self._timed_s = 0.0
        self._waited_s: float | None = 0.0

    def burst(self, load: Workload, number: int, allowed_s: float) -> list[float]:
        """Samples in ms: `number` of them, or fewer once `allowed_s` have passed."""
        clock, waited = self.watch.clock, self.watch.waited()
        values: list[float] = []
        begin = clock()
        while len(values) < number and (not values or clock() - begin < allowed_s):
            start = clock()
            load.run()
            values.append(1e3 * (clock() - start))
        self._timed_s += clock() - begin
        now = self.watch.waited()
        if waited is None or now is None or self._waited_s is None:
            self._waited_s = None
        else:
            self._waited_s += max(now - waited, 0.0)
        return values

    def lost(self) -> float | None:
        """The share of the time for which this process waited while timed, or for which others had the processors,
        whichever is less: it did not lose what it did not want, nor to others what its own threads took."""
        taken, passed_s = self.watch.taken(), self.watch.clock() - self._begin
        if taken is None or self._taken is None or self._waited_s is None or min(passed_s, self._timed_s) <= 0:
            return None
        to_others = (taken - self._taken) / (passed_s * self.watch.processors)
        return round(float(np.clip(min(to_others, self._waited_s / self._timed_s), 0, 1)), 3)


@dataclass(frozen=True)
class Reference:
    """A reference, the seconds one run of it costs, and how many runs make a burst."""

    load: Workload
    cost_s: float
    runs: int

    @classmethod
    def of(cls, load: Workload, cost_s: float) -> Reference:
        """From the seconds that one run costs."""
        return cls(load, cost_s, int(np.clip(round(REFERENCE_S / max(cost_s, 1e-9)), FEWEST, MOST)))

    @property
    def part_s(self) -> float:
        """Seconds that it adds to a workload's part of a round."""
        return (BURSTS + 1) * (SETTLE_S + self.runs * self.cost_s)

    def burst(self, timing: _Timing) -> list[float]:
        """Samples in ms, once what ran before has settled."""
        end = timing.watch.clock() + SETTLE_S
        self.load.run()
        while timing.watch.clock() < end:
            self.load.run()
        return timing.burst(self.load, self.runs, PATIENCE * self.runs * self.cost_s)


def time_part(load: Workload, number: int, cost_s: float, watch: Stopwatch, reference: Reference | None = None) -> Part:
    """`number` samples; fewer once they have taken far longer than a run's `cost_s` promised."""
    part, left_s, timing = Part(), PATIENCE * number * cost_s, _Timing(watch)
    if reference:
        part.beside += reference.burst(timing)
    for size in _sizes(number, BURSTS if reference else 1):
        if part.values and left_s <= 0:
            break
        for _ in range(pacing.spare_runs(cost_s)):
            load.run()
        values = timing.burst(load, size, left_s)
        left_s -= sum(values) / 1e3
        part.values += values
        if reference:
            part.beside += reference.burst(timing)
    part.lost = timing.lost()
    return part


def _sizes(number: int, bursts: int) -> list[int]:
    """`number` runs in so many bursts, as even as can be, none of them empty."""
    return [len(some) for some in np.array_split(np.arange(number), min(bursts, number))]
