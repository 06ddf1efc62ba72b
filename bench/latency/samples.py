"""Workloads timed one after the other, in rounds that interleave everything that is compared.

Single stream as MLPerf means it: the next query starts when the last has ended. In a round the network and what it is
compared with run side by side, so that ratios come from the same minutes. Whether a build became slower is another
measurement of the same run (`paired.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import percentiles
from . import schedule
from .stopwatch import MAX_LOST, Part, Stopwatch, time_part
from .workloads import Workload

SCHEMA = 1
ROUNDS = 8
# What a block bootstrap over rounds needs.
MIN_ROUNDS = 5
TOUCHES = 1024
WARM_UP_S, WARM_UP_RUNS = 0.2, 10
WARM_UP_LIMIT_S = 1.0
# Length of the rounds in seconds: with loading, warm-up and the paired bursts, a run stays under two minutes.
RUN_S, MIN_RUN_S = 40.0, 2.0
UNSTEADY = 0.025


@dataclass
class Samples:
    """Milliseconds of every stage: name → one array per round.

    lost: stage → the share of every round's time that others took (see `stopwatch.Part`).
    """

    rounds: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    lost: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, name: str, part: Part) -> None:
        """One round's samples of a stage."""
        self.rounds.setdefault(name, []).append(np.asarray(part.values, np.float64))
        self.lost.setdefault(name, []).append(part.lost)

    @property
    def number(self) -> int:
        """Number of rounds."""
        return max((len(parts) for parts in self.rounds.values()), default=0)

    def part(self, names: Iterable[str], prefix: str = "") -> Samples:
        """The stages of these names, without the prefix that all of them have."""
        found = {name.removeprefix(prefix): name for name in names}
        return Samples(
            {short: self.rounds[name] for short, name in found.items()},
            {short: self.lost[name] for short, name in found.items() if name in self.lost},
        )

    def summaries(self) -> dict[str, dict[str, Any]]:
        """name → n, p50, p90, p99 and more, in ms."""
        return {name: percentiles.summary(rounds) for name, rounds in self.rounds.items()}

    def raw(self) -> dict[str, list[list[float]]]:
        """name → samples in ms by round, rounded to 0.1 µs, for the JSON file."""
        return {name: [_rounded(part) for part in parts] for name, parts in self.rounds.items()}


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]


def measure(
    workloads: Sequence[Workload],
    touches: int = TOUCHES,
    rounds: int = ROUNDS,
    tick: Callable[[str], object] = lambda name: None,
    watch: Stopwatch = Stopwatch(),  # noqa: B008 (frozen)
    length_s: float | None = None,
) -> Samples:
    """Time every workload in every round, forwards in even rounds and backwards in odd ones.

    Each is warmed up first (200 ms and ten runs, discarded); quick workloads are warmed up again in every round. The
    rounds together take about `length_s` (by default RUN_S for 1,024 touches, less for fewer), however slow the
    machine is; after that time five rounds are enough. `tick` is called with a workload's name before each of its
    parts.
    """
    clock = watch.clock
    costs = {load.name: warm_up(load, clock) for load in workloads}
    numbers = {load.name: schedule.wanted(load, touches, rounds) for load in workloads}
    found = Samples()
    end = clock() + (default_length_s(touches) if length_s is None else length_s)
    for turn in range(rounds):
        if turn >= MIN_ROUNDS and clock() >= end:
            break
        part = schedule.share_out(workloads, costs, numbers, (end - clock()) / (rounds - turn))
        for load in workloads if turn % 2 == 0 else reversed(workloads):
            tick(load.name)
            timed = time_part(load, part[load.name], costs[load.name], watch)
            costs[load.name] = float(np.median(timed.values)) / 1e3
            found.add(load.name, timed)
    found.rounds = {load.name: found.rounds[load.name] for load in workloads}
    return found


def default_length_s(touches: int) -> float:
    """Seconds that the rounds of a run take: RUN_S for 1,024 touches or more, less for fewer."""
    return float(np.clip(RUN_S * touches / TOUCHES, MIN_RUN_S, RUN_S))


def warm_up(load: Workload, clock: Callable[[], float] = time.perf_counter) -> float:
    """Run for 200 ms and ten times, but no longer than a second. Median seconds of the later half of the runs."""
    start, taken = clock(), []
    while len(taken) < WARM_UP_RUNS or clock() - start < WARM_UP_S:
        if taken and clock() - start >= WARM_UP_LIMIT_S:
            break
        load.prepare()
        begin = clock()
        load.run()
        taken.append(clock() - begin)
    return float(np.median(taken[len(taken) // 2 :]))


def ratios(ours: Samples, theirs: Samples) -> dict[str, dict[str, float | None]]:
    """For every stage of both: how many times as long theirs takes, with the interval.

    A network without an encoder runs as a whole at every touch, so `encode` is compared with its touch.
    """
    found = {}
    for name, rounds in theirs.rounds.items():
        if name in ours.rounds:
            found[name] = percentiles.ratio(rounds, ours.rounds[name])
    first = next((name for name in theirs.rounds if name.startswith("touch_to_ab")), None)
    if first and "encode" in ours.rounds and "encode" not in theirs.rounds:
        found["encode"] = percentiles.ratio(theirs.rounds[first], ours.rounds["encode"])
    return found


def warnings(table: dict[str, Any]) -> list[str]:
    """What a reader should know before quoting the figures."""
    found = []
    before, after = table.get("machine", {}), table.get("machine_after", {})
    busy, usable = before.get("load_1min"), before.get("usable_processors")
    if busy is not None and usable and busy > 0.5:
        found.append(f"the machine was busy before the run (load {busy} on {usable} CPUs)")
    shares = [share for rows in table.get("lost", {}).values() for share in rows if share is not None]
    disturbed = sum(share > MAX_LOST for share in shares)
    if disturbed:
        found.append(f"others took the CPU cores in {disturbed} of {len(shares)} rounds of stages")
    encode = table["stages"].get("encode")
    if encode and encode["variation"] > UNSTEADY:
        found.append(f"times vary by {encode['variation']:.0%} (encode): clocks or neighbours are unsteady")
    if before.get("governor") not in (None, "performance"):
        found.append(f"the frequency governor is {before['governor']}, not performance")
    for zone, degrees in after.get("temperatures_c", {}).items():
        if degrees - before.get("temperatures_c", {}).get(zone, degrees) > 10:
            found.append(f"{zone} grew more than 10 °C warmer during the run")
    return found
