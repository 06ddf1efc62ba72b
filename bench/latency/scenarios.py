"""Touches as visitors make them: after a pause, and faster than they can be answered.

after-idle: 64 touches, one a second. Clocks fall and caches are used by others in between, as they do for a visitor.
open-loop: touches arrive at 60, 120 or 240 Hz whether the last is answered or not. The newest waits, older ones are
dropped (latest wins), as in the touch application.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..cells import short
from ..environment import machine
from ..measure import Result, Rows
from ..options import Option
from ..percentiles import summary
from ..progress import Steps
from .run import SINGLE_STREAM, LatencyMeasure, Request, Run, Timed
from .samples import warm_up
from .workloads import touches

SCENARIOS = AFTER_IDLE, OPEN_LOOP = "after-idle", "open-loop"
IDLE_TOUCHES, IDLE_PAUSE_S = 64, 1.0
RATES_HZ = (60, 120, 240)
SECONDS = 10.0

Touch = Callable[[], Any]
Clock = Callable[[], float]
Sleep = Callable[[float], object]


def after_idle(
    run: Touch,
    touches: int = IDLE_TOUCHES,
    pause_s: float = IDLE_PAUSE_S,
    tick: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
) -> dict[str, Any]:
    """Time `run` once after every pause, in ms. 64 samples are enough for a p90, not for a p99."""
    values = []
    for _ in range(touches):
        sleep(pause_s)
        start = clock()
        run()
        values.append(1e3 * (clock() - start))
        tick()
    return summary([np.array(values)]) | {"pause_s": pause_s, "samples": [round(value, 4) for value in values]}


def open_loop(
    run: Touch,
    rate_hz: float,
    seconds: float = SECONDS,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
) -> dict[str, Any]:
    """Touches at a steady rate for some seconds. One is answered at a time, the newest; older ones are dropped.

    age: from a touch's arrival to its answer, for the touches that were answered. interval: between answers. Both are
    in ms. dropped: number of touches that were never answered.
    """
    total = max(1, round(seconds * rate_hz))
    begin = clock()
    ages, ends, answered = [], [], -1
    while answered < total - 1:
        now = clock() - begin
        newest = min(int(now * rate_hz + 1e-9), total - 1)
        if newest <= answered:
            sleep(max((answered + 1) / rate_hz - now, 0))
            continue
        run()
        answered = newest
        ends.append(clock() - begin)
        ages.append(1e3 * (ends[-1] - newest / rate_hz))
    intervals = 1e3 * np.diff(ends) if len(ends) > 1 else np.array([1e3 * ends[0]])
    return {
        "rate_hz": rate_hz,
        "touches": total,
        "answered": len(ages),
        "dropped": total - len(ages),
        "age": summary([np.array(ages)]),
        "interval": summary([intervals]),
    }


def run_scenario(
    name: str, loads: Sequence[tuple[str, Touch]], tick: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """after-idle or open-loop for every load: name of the load → what was found."""
    if name == AFTER_IDLE:
        return {load: after_idle(run, IDLE_TOUCHES, IDLE_PAUSE_S, tick) for load, run in loads}
    return {load: {str(rate): _ticked(run, rate, tick) for rate in RATES_HZ} for load, run in loads}


def _ticked(run: Touch, rate: float, tick: Callable[[], object]) -> dict[str, Any]:
    found = open_loop(run, rate, SECONDS)
    tick()
    return found


def steps(name: str, loads: int) -> int:
    """How many times `run_scenario` ticks."""
    return loads * (IDLE_TOUCHES if name == AFTER_IDLE else len(RATES_HZ))


def as_lines(name: str, found: dict[str, Any]) -> str:
    """For the terminal."""
    lines = []
    for load, row in found.items():
        if name == AFTER_IDLE:
            p90 = "–" if row["p90"] is None else f"{row['p90']:g}"
            lines.append(f"{load} after {row['pause_s']:g} s idle: p50 {row['p50']:g} ms, p90 {p90} ms")
            continue
        for rate, at in row.items():
            lines.append(
                f"{load} at {rate} Hz: {at['answered']} of {at['touches']} answered, {at['dropped']} dropped, "
                f"age p50 {at['age']['p50']:g} ms, answer every {at['interval']['p50']:g} ms"
            )
    return "\n".join(lines)


def open_loop_rows(found: dict[str, Any]) -> Rows:
    """Header and rows of the report for open-loop: what was dropped, how old answers are."""
    rows = [["touches that do not wait", "a second", "arrived", "answered", "dropped",
             "age p50, ms", "age p90, ms", "age p99, ms", "an answer every, ms"]]  # fmt: skip
    for load, rates in found.items():
        for rate, at in rates.items():
            counts = [str(at[key]) for key in ("touches", "answered", "dropped")]
            ages = [short(at["age"][key]) for key in ("p50", "p90", "p99")]
            rows.append([load, rate, *counts, *ages, short(at["interval"]["p50"])])
    return rows


class Scenario(LatencyMeasure):
    """Touches after a pause or in open loop, instead of single stream.

    `stages` of the result are the times of answers: after a pause, or (open-loop) from arrival to answer at 60 Hz.
    """

    key = "scenario"
    options = (
        Option("--scenario", "after-idle: one touch a second; open-loop: touches at 60, 120 and 240 Hz.", str,
               SINGLE_STREAM, choices=(SINGLE_STREAM, *SCENARIOS)),
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def from_options(cls, request: Request) -> Scenario | None:
        return None if request.single_stream else cls(request.options["scenario"])

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        loads = [(load.name, load.run) for load in touches(run.runner, run.numbers)]
        for load in touches(run.runner, run.numbers):
            warm_up(load)
        found = run_scenario(self.name, loads, Steps(run.progress, self.name, steps(self.name, len(loads))))
        first = str(RATES_HZ[0])
        rows = {load: row if self.name == AFTER_IDLE else row[first]["age"] for load, row in found.items()}
        return {
            "scenario": self.name,
            "machine_after": machine(),
            "stages": {load: {key: v for key, v in row.items() if key != "samples"} for load, row in rows.items()},
            self.name: found,
        }

    @classmethod
    def part(cls, result: Result) -> Result | None:
        return result if result["scenario"] in SCENARIOS else None

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part["scenario"], part[part["scenario"]])

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [open_loop_rows(part[OPEN_LOOP])] if OPEN_LOOP in part else []
