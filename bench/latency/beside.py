"""Other builds and precisions of the model, and other numbers of threads, timed in the same rounds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from ...engine.runners.base import Runner
from ..cells import short, span
from ..environment import model_table
from ..measure import Result, Rows
from ..options import Option
from . import workloads
from .run import LatencyMeasure, Request, Run, Timed
from .samples import Samples, ratios
from .workloads import Workload

SHARE, LEAST = 0.25, 64


@dataclass(frozen=True)
class OtherBuild:
    """Another build, precision or number of threads. threads: that it runs on, for the result."""

    label: str
    runner: Runner
    threads: int


class Beside(LatencyMeasure):
    """Touches and encoding of other builds, and how many times as long they take."""

    key = "beside"
    prefix = "beside "
    workload_s = 2.5
    options = (
        Option("--beside", "Another build of the model, as `livetint build` wrote it, timed in turns; may be given"
               " again.", str, multiple=True, metavar="FOLDER"),
    )  # fmt: skip

    def __init__(self, builds: Sequence[OtherBuild]) -> None:
        self.builds = tuple(builds)

    @classmethod
    def from_options(cls, request: Request) -> Beside | None:
        """Also the numbers of threads after the first."""
        folders = request.options["beside"]
        if folders:
            request.require_single_stream("--beside")
        if not request.single_stream:
            return None
        threads, *more = request.options["threads"]
        wanted = [(f"{n} thread{'s' * (n > 1)}", request.model, "cpu", n) for n in more]
        wanted += [(name, name, request.device, threads) for name in dict.fromkeys(folders)]
        builds = [OtherBuild(label, request.open_runner(name, device, n), n) for label, name, device, n in wanted]
        return cls(builds) if builds else None

    def runners(self) -> Sequence[Runner]:
        return [build.runner for build in self.builds]

    def workloads(self, run: Run, resources: ExitStack) -> list[Workload]:
        return [
            replace(load, name=_full_name(build, load.name), share=SHARE, least=LEAST)
            for build in self.builds
            for load in (*workloads.touches(build.runner, run.numbers), workloads.encoding(build.runner))
        ]

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {self.key: {build.label: _table(build, timed) for build in self.builds}}

    @staticmethod
    def lines(part: Result) -> str:
        return "\n".join(
            f"{label} takes {row['ratio']:.4g} times as long as {stage}"
            for label, side in part.items()
            for stage, row in side["ratios"].items()
        )

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        rows = [["beside", "stage", "p50, ms", "times as long", "95 % interval"]]
        for label, side in part.items():
            for stage, row in side["ratios"].items():
                cells = [short(side["stages"][stage]["p50"]), f"{short(row['ratio'])} ×", span(row)]
                rows.append([f"{label} ({side['runner']})", stage, *cells])
        return [rows]


def _full_name(build: OtherBuild, stage: str) -> str:
    return f"{build.label} {stage}"


def _table(build: OtherBuild, timed: Timed) -> dict[str, Any]:
    stages = [name for name in timed.ours.rounds if _full_name(build, name) in timed.own.rounds]
    theirs: Samples = timed.own.part([_full_name(build, stage) for stage in stages], _full_name(build, ""))
    return {
        "model": model_table(build.runner.bundle),
        "runner": type(build.runner).__name__,
        "threads": build.threads,
        "stages": theirs.summaries(),
        "ratios": ratios(timed.ours, theirs),
        "samples": theirs.raw(),
    }
