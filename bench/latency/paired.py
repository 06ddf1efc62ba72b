"""Stages in turns with references, on one thread, in CPU time: what `report/compare.py` judges two builds by.

A touch's wall time on all CPU cores says how long a visitor waits, but little about the code where other programs use
the CPU cores too. CPU time leaves out what others took, one thread leaves out how threads meet, and the reference
before and after every burst leaves out the speed of the machine at that moment (clock, caches, memory). What is left
differs between processes of one build, because their memory lies elsewhere. So every round makes the network, its
photograph and the references anew, and rounds differ as much as processes do.

A build that waits (for a lock, for a disk) takes no CPU time: that shows in the percentiles of the stages only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engine.runners.base import Runner
from ...engine.runners.onnx import OnnxRunner
from ..cells import short
from ..measure import Result, Rows
from ..progress import Steps
from .references import reference_of, references
from .run import LatencyMeasure, Request, Run, Timed
from .samples import TOUCHES, default_length_s
from .threads import opencv_threads
from .workloads import Workload, stages, touches

ROUNDS, MIN_ROUNDS = 10, 5
# Length of a stage's part of a round in seconds; up to PATIENCE times as long where that is not enough for MIN_PAIRS.
PART_S, MIN_PAIRS, PATIENCE = 0.2, 3, 3
# Least share of that length, for runs of few touches.
MIN_SHARE = 0.05
# Length of a burst: long enough that the clock's own cost does not count.
BURST_S, MAX_RUNS = 0.005, 40
# A workload that takes longer is warm after one run.
SLOW_S = 0.05
# Sizes that are composed. 4K is the same code on more pixels, and takes as long as all other stages together.
SIZES = ("1080p",)

Clock = Callable[[], float]
# Makes the stages, and the references by name, for one round.
Fresh = Callable[[], AbstractContextManager[tuple[Sequence[Workload], Mapping[str, Workload]]]]


@dataclass
class Pairs:
    """A stage by round: ms per run in each burst, and ms per run of the reference around that burst."""

    reference: str
    times: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)


def clock_of(runner: Runner) -> Clock:
    """CPU time of this process in seconds; the wall clock for a runner whose work is done on a GPU."""
    return time.process_time if isinstance(runner, OnnxRunner) else time.perf_counter


@contextmanager
def twin(runner: Runner, numbers: tuple[int, ...]) -> Iterator[tuple[Sequence[Workload], Mapping[str, Workload]]]:
    """The stages of the same bundle on one thread, made anew, and the references. A GPU's runner is used itself."""
    alone = OnnxRunner(runner.bundle, 1) if isinstance(runner, OnnxRunner) else nullcontext(runner)
    with opencv_threads(1), alone as other:
        yield [*touches(other, numbers), *stages(other, numbers, SIZES)], references(1)


def measure(
    fresh: Fresh,
    clock: Clock,
    length_s: float,
    tick: Callable[[], object] = lambda: None,
    wall: Clock = time.perf_counter,
    share: float = 1.0,
) -> dict[str, Pairs]:
    """Stage → its times and its reference's: ten rounds, or at least five after `length_s` seconds.

    Stages go forwards in even rounds and backwards in odd ones. `clock` gives the seconds of a burst, `wall` those of
    the run. `tick` is called after every round. share: of PART_S, for a short run.
    """
    found: dict[str, Pairs] = {}
    end = wall() + length_s
    for turn in range(ROUNDS):
        if turn >= MIN_ROUNDS and wall() >= end:
            break
        with fresh() as (loads, beside):
            known = [(load, beside[name]) for load in loads if (name := reference_of(load.name))]
            runs = {load.name: _runs(load, clock) for load in (*loads, *beside.values())}
            for load, reference in known if turn % 2 == 0 else reversed(known):
                pairs = found.setdefault(load.name, Pairs(reference.name))
                times, around = _part(load, reference, runs, clock, share * PART_S)
                pairs.times.append(times)
                pairs.beside.append(around)
        tick()
    return found


def _runs(load: Workload, clock: Clock) -> int:
    """The number of runs that make a burst. Measuring it warms the workload up."""
    costs = [_burst_ms(load, 1, clock) / 1e3]
    while costs[0] < SLOW_S and len(costs) < 4:
        costs.append(_burst_ms(load, 1, clock) / 1e3)
    return max(1, min(round(BURST_S / max(min(costs), 1e-6)), MAX_RUNS))


def _part(
    load: Workload, reference: Workload, runs: Mapping[str, int], clock: Clock, length_s: float
) -> tuple[list[float], list[float]]:
    """Bursts of a stage between bursts of its reference, for `length_s` seconds: ms per run of each. The reference's is
    the mean of the burst before and the burst after."""
    times: list[float] = []
    around: list[float] = []
    begin = clock()
    before = _burst_ms(reference, runs[reference.name], clock)
    while not times or clock() - begin < (length_s if len(times) >= MIN_PAIRS else PATIENCE * length_s):
        times.append(_burst_ms(load, runs[load.name], clock))
        after = _burst_ms(reference, runs[reference.name], clock)
        around.append((before + after) / 2)
        before = after
    return times, around


def _burst_ms(load: Workload, number: int, clock: Clock) -> float:
    passed = 0.0
    for _ in range(number):
        load.prepare()
        start = clock()
        load.run()
        passed += clock() - start
    return 1e3 * passed / number


def as_table(found: Mapping[str, Pairs]) -> dict[str, Any]:
    """stage → reference, times, beside (by round, in ms), for the JSON file."""
    return {
        name: {"reference": pairs.reference, "times": _rounded(pairs.times), "beside": _rounded(pairs.beside)}
        for name, pairs in found.items()
    }


def _rounded(rounds: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[float(f"{value:.5g}") for value in values] for values in rounds]


def as_rows(found: Result) -> Rows:
    """Header and rows of the report: a stage on one thread, and how many times its reference it takes."""
    rows = [["on one thread, CPU time", "ms", "reference", "ms", "times the reference"]]
    for stage, row in found.items():
        times, beside = (np.concatenate(row[key]) for key in ("times", "beside"))
        middle = [short(float(np.median(values))) for values in (times, beside, times / beside)]
        rows.append([stage, middle[0], row["reference"], *middle[1:]])
    return rows


class Relative(LatencyMeasure):
    """Every stage on one thread, between bursts of a reference; after the rounds."""

    key = "relative"

    @classmethod
    def from_options(cls, request: Request) -> Relative | None:
        return cls() if request.single_stream else None

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        tick = Steps(run.progress, "one thread", ROUNDS)
        fresh = lambda: twin(run.runner, run.numbers)  # noqa: E731
        length_s, share = default_length_s(run.touches), float(np.clip(run.touches / TOUCHES, MIN_SHARE, 1))
        found = measure(fresh, clock_of(run.runner), length_s, tick, share=share)
        return {self.key: as_table(found)}

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [as_rows(part)]
