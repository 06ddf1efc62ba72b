"""A latency run: what its measures share, and the result that they make together.

Measures may add workloads to the rounds, in which everything that is compared is timed side by side, or measure after
the rounds on their own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import ClassVar

from ...engine.cores import usable_cores
from ...engine.errors import ConfigError
from ...engine.hints import Hint
from ...engine.runners.base import NO_GLOBAL_HINTS, Runner, check_hints
from ...engine.runners.tensorrt.runner import TensorRTRunner
from .. import environment
from ..measure import Measure, Result
from ..options import Options
from ..progress import Progress, Steps, no_progress
from . import samples
from .samples import Samples
from .stopwatch import Stopwatch
from .threads import opencv_threads
from .workloads import Workload

SINGLE_STREAM = "single-stream"


@dataclass(frozen=True)
class Run:
    """What the measures of one run share.

    numbers: numbers of hints. threads: of the CPU, for the model. touches: samples wanted of a touch.
    """

    runner: Runner
    numbers: tuple[int, ...]
    threads: int
    touches: int = samples.TOUCHES
    progress: Progress = no_progress

    def check(self, runner: Runner) -> None:
        """Raise HintRejected if a runner does not take the largest number of hints."""
        check_hints(runner.bundle, [Hint(0.5, 0.5, 0, 0)] * max(self.numbers), NO_GLOBAL_HINTS)

    def settings(self, before: Result) -> Result:
        """What the result says of the run; before: the machine before it."""
        model = environment.model_table(self.runner.bundle)
        return {
            "schema": samples.SCHEMA,
            "kind": "latency",
            "scenario": SINGLE_STREAM,
            "unit": "ms",
            "device": "cuda" if isinstance(self.runner, TensorRTRunner) else "cpu",
            "runner": type(self.runner).__name__,
            "threads": self.threads,
            "hints": list(self.numbers),
            "machine": before,
            "versions": environment.versions(),
            "model": model,
            "model_sha256": model["sha256"],
        }


@dataclass(frozen=True)
class Request:
    """What measures are made from: the options, the model with its device, and how to open another runner (name,
    device, threads)."""

    options: Options
    model: str
    device: str
    open_runner: Callable[[str, str, int], Runner]

    @property
    def single_stream(self) -> bool:
        """Whether touches follow one another without a pause."""
        return self.options["scenario"] == SINGLE_STREAM

    def require_single_stream(self, option: str) -> None:
        """Raise ConfigError if an option that was given does not go with the scenario."""
        if not self.single_stream:
            scenario = self.options["scenario"]
            raise ConfigError(f"{option} is timed in {SINGLE_STREAM} only; leave it out with --scenario {scenario}")


@dataclass(frozen=True)
class Timed:
    """What the rounds gave: `ours` of the model itself, `own` of the measure's workloads, without its prefix."""

    ours: Samples
    own: Samples


class LatencyMeasure(Measure):
    """A measure of `bench latency`."""

    # What the names of its workloads begin with in the rounds, and by how many seconds each makes the rounds longer.
    prefix: ClassVar[str] = ""
    workload_s: ClassVar[float] = 0.0

    @classmethod
    @abstractmethod
    def from_options(cls, request: Request) -> LatencyMeasure | None:
        """The measure, or None where it is not asked for. Raises ConfigError where it does not go with the others."""

    def runners(self) -> Sequence[Runner]:
        """Other runners whose touches it times."""
        return ()

    def workloads(self, run: Run, resources: ExitStack) -> list[Workload]:
        """What it adds to the rounds; `resources` are closed after them."""
        return []

    @abstractmethod
    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        """What the measure adds to `result`, which holds what measures before it found."""


def measure_all(run: Run, measures: Sequence[LatencyMeasure]) -> Result:
    """Time the rounds, then measure the rest in order. The result for JSON, without the command.

    The first measure times the model itself. Raises HintRejected for more hints than one of the models takes, before
    anything runs.
    """
    for runner in (run.runner, *(runner for measure in measures for runner in measure.runners())):
        run.check(runner)
    before = environment.machine()
    timed = _rounds(run, measures)
    result = run.settings(before)
    for measure, its in zip(measures, timed, strict=True):
        result |= measure.measure(run, its, result)
    return result | {"warnings": samples.warnings(result)}


def _rounds(run: Run, measures: Sequence[LatencyMeasure]) -> list[Timed]:
    """Time the workloads of all measures in the same rounds, and give each measure its own."""
    with opencv_threads(run.threads), ExitStack() as resources:
        loads = [
            [replace(load, name=measure.prefix + load.name) for load in measure.workloads(run, resources)]
            for measure in measures
        ]
        longer_s = sum(measure.workload_s * len(some) for measure, some in zip(measures, loads, strict=True))
        found = _time(run, [load for some in loads for load in some], longer_s)
    parts = [
        found.part([load.name for load in some], measure.prefix) for measure, some in zip(measures, loads, strict=True)
    ]
    return [Timed(parts[0], part) for part in parts]


def _time(run: Run, loads: Sequence[Workload], longer_s: float) -> Samples:
    if not loads:
        return Samples()
    return samples.measure(
        loads,
        run.touches,
        tick=Steps(run.progress, "timing", len(loads) * samples.ROUNDS),
        watch=Stopwatch(processors=usable_cores()),
        length_s=samples.default_length_s(run.touches) + longer_s,
    )
