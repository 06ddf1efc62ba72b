"""Touches as visitors make them: after a pause, and faster than they can be answered.

after-idle: one touch a second, 64 of them. Clocks fall and caches cool in between: this is what a visitor meets.
open-loop: touches arrive at 60, 120 or 240 Hz whether the last is answered or not; the newest waits, older ones
are dropped (latest wins), as in the touch application.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..percentiles import summary

IDLE_TOUCHES, IDLE_PAUSE_S = 64, 1.0
RATES_HZ = (60, 120, 240)
SECONDS = 10.0

Run = Callable[[], Any]
Clock = Callable[[], float]
Sleep = Callable[[float], object]


def after_idle(
    run: Run,
    touches: int = IDLE_TOUCHES,
    pause_s: float = IDLE_PAUSE_S,
    tick: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
) -> dict[str, Any]:
    """Time `run` once after every pause. In ms; 64 samples carry a p90, never a p99."""
    values = []
    for _ in range(touches):
        sleep(pause_s)
        start = clock()
        run()
        values.append(1e3 * (clock() - start))
        tick()
    return summary([np.array(values)]) | {"pause_s": pause_s, "samples": [round(value, 4) for value in values]}


def open_loop(
    run: Run,
    rate_hz: float,
    seconds: float = SECONDS,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
) -> dict[str, Any]:
    """Touches at a steady rate for some seconds; one is answered at a time, the newest first, older ones dropped.

    age: from a touch's arrival to its answer, for the touches that were answered; interval: between answers; both
    in ms. dropped: how many touches were never answered.
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
    name: str, loads: Sequence[tuple[str, Run]], tick: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """after-idle or open-loop for every load: name of the load → what was found."""
    if name == "after-idle":
        return {load: after_idle(run, IDLE_TOUCHES, IDLE_PAUSE_S, tick) for load, run in loads}
    return {load: {str(rate): _ticked(run, rate, tick) for rate in RATES_HZ} for load, run in loads}


def _ticked(run: Run, rate: float, tick: Callable[[], object]) -> dict[str, Any]:
    found = open_loop(run, rate, SECONDS)
    tick()
    return found


def steps(name: str, loads: int) -> int:
    """How many times `run_scenario` ticks."""
    return loads * (IDLE_TOUCHES if name == "after-idle" else len(RATES_HZ))


def as_lines(name: str, found: dict[str, Any]) -> str:
    """For the terminal."""
    lines = []
    for load, row in found.items():
        if name == "after-idle":
            p90 = "–" if row["p90"] is None else f"{row['p90']:g}"
            lines.append(f"{load} after {row['pause_s']:g} s idle: p50 {row['p50']:g} ms, p90 {p90} ms")
            continue
        for rate, at in row.items():
            lines.append(
                f"{load} at {rate} Hz: {at['answered']} of {at['touches']} answered, {at['dropped']} dropped, "
                f"age p50 {at['age']['p50']:g} ms, answer every {at['interval']['p50']:g} ms"
            )
    return "\n".join(lines)
