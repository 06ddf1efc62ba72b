"""Latency of a touch and of its stages: one after the other, in rounds that interleave everything compared.

Single stream as MLPerf means it: the next query starts when the last has ended. Rounds put the network and what it is
compared with side by side, so that ratios come from the same minutes. Whether a build became slower is another
measurement, in the same run: `relative`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import environment, percentiles
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
# Length of the rounds in seconds: with loading, warming up and `relative`, a run stays under two minutes.
RUN_S, MIN_RUN_S = 40.0, 8.0
UNSTEADY = 0.025


@dataclass
class Samples:
    """Milliseconds of every stage: name → one array per round.

    lost: stage → the share of every round's time that others took (see `parts.Part`).
    """

    rounds: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    lost: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, name: str, part: Part) -> None:
        """One round's samples of a stage."""
        self.rounds.setdefault(name, []).append(np.asarray(part.values, np.float64))
        self.lost.setdefault(name, []).append(part.lost)

    @property
    def number(self) -> int:
        """How many rounds there were."""
        return max((len(parts) for parts in self.rounds.values()), default=0)

    def part(self, prefix: str, without: tuple[str, ...] = ()) -> Samples:
        """The stages whose names begin with `prefix` (taken off) and with none of `without`."""
        names = [name for name in self.rounds if name.startswith(prefix) and not name.startswith(without or "\0")]
        return Samples(
            {name.removeprefix(prefix): self.rounds[name] for name in names},
            {name.removeprefix(prefix): self.lost[name] for name in names if name in self.lost},
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

    Each is warmed up first (200 ms and ten runs, discarded), and what is quick again in every round. The rounds
    together take about `length_s` (by default RUN_S for 1,024 touches, less for fewer), however slow the machine
    is; once that is over, five rounds are enough. `tick` is told the name before each workload's part of a round.
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
    """How long the rounds of a run take at most: its whole length for 1,024 touches, less for fewer, never more."""
    return float(np.clip(RUN_S * touches / TOUCHES, MIN_RUN_S, RUN_S))


def warm_up(load: Workload, clock: Callable[[], float] = time.perf_counter) -> float:
    """Run until 200 ms and ten runs have passed, but no longer than a second. Seconds that a late run took."""
    start, taken = clock(), []
    while len(taken) < WARM_UP_RUNS or clock() - start < WARM_UP_S:
        if taken and clock() - start >= WARM_UP_LIMIT_S:
            break
        begin = clock()
        load.run()
        taken.append(clock() - begin)
    return float(np.median(taken[len(taken) // 2 :]))


def ratios(ours: Samples, theirs: Samples) -> dict[str, dict[str, float | None]]:
    """For every stage both have: how many times theirs takes ours, with its interval.

    A network without an encoder pays its whole self at every touch, so `encode` is compared with its touch.
    """
    found = {}
    for name, rounds in theirs.rounds.items():
        if name in ours.rounds:
            found[name] = percentiles.ratio(rounds, ours.rounds[name])
    first = next((name for name in theirs.rounds if name.startswith("touch_to_ab")), None)
    if first and "encode" in ours.rounds and "encode" not in theirs.rounds:
        found["encode"] = percentiles.ratio(theirs.rounds[first], ours.rounds["encode"])
    return found


def as_table(
    model: dict[str, Any], samples: Samples, against: tuple[dict[str, Any], Samples] | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """The measurements as plain data for JSON. All times in ms."""
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "latency",
        "scenario": "single-stream",
        "unit": "ms",
        **settings,
        "model": model,
        "model_sha256": model["sha256"],
        "stages": samples.summaries(),
        "memory_mib": environment.memory_mib(),
        "samples": samples.raw(),
        "lost": samples.lost,
    }
    if against:
        other, theirs = against
        table["against"] = {"model": other, "stages": theirs.summaries(), "samples": theirs.raw()}
        table["ratios"] = ratios(samples, theirs)
    table["warnings"] = warnings(table)
    return table


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


def as_lines(table: dict[str, Any]) -> str:
    """A table for the terminal; a percentile that lacks samples is a dash."""
    rows = ["ms".ljust(30) + "".join(word.rjust(10) for word in ("n", "p50", "p90", "p99", "worst"))]
    rows += [_line(name, row) for name, row in table["stages"].items()]
    if "against" in table:
        name = table["against"]["model"]["name"]
        rows += [_line(f"{name} {stage}", row) for stage, row in table["against"]["stages"].items()]
        for stage, found in table["ratios"].items():
            span = "" if found["low"] is None else f" ({found['low']:.4g} to {found['high']:.4g})"
            rows.append(f"{name} takes {found['ratio']:.4g}{span} times as long as {stage}")
    rows += [f"note: {text}" for text in table["warnings"]]
    return "\n".join(rows)


def _line(name: str, row: dict[str, Any]) -> str:
    cells = [row["n"], row["p50"], row["p90"], row["p99"], row["worst"]]
    return name.ljust(30) + "".join(("–" if cell is None else f"{cell:g}").rjust(10) for cell in cells)
