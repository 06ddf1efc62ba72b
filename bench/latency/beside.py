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
from .run import Asked, LatencyMeasure, Run, Timed
from .samples import Samples, ratios
from .workloads import Workload

SHARE, LEAST = 0.25, 64


@dataclass(frozen=True)
class Side:
    """One of the builds that are compared. threads: that it runs on, for the result."""

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

    def __init__(self, sides: Sequence[Side]) -> None:
        self.sides = tuple(sides)

    @classmethod
    def from_options(cls, asked: Asked) -> Beside | None:
        """Also the numbers of threads after the first."""
        folders = asked.options["beside"]
        if folders:
            asked.need_single_stream("--beside")
        if not asked.single_stream:
            return None
        threads, *more = asked.options["threads"]
        wanted = [(f"{n} thread{'s' * (n > 1)}", asked.model, "cpu", n) for n in more]
        wanted += [(name, name, asked.device, threads) for name in folders]
        sides = [Side(label, asked.open_runner(name, device, n), n) for label, name, device, n in wanted]
        return cls(sides) if sides else None

    def runners(self) -> Sequence[Runner]:
        return [side.runner for side in self.sides]

    def workloads(self, run: Run, resources: ExitStack) -> list[Workload]:
        return [
            replace(load, name=_full_name(side, load.name), share=SHARE, least=LEAST)
            for side in self.sides
            for load in (*workloads.touches(side.runner, run.numbers), workloads.encoding(side.runner))
        ]

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {self.key: {side.label: _table(side, timed) for side in self.sides}}

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


def _full_name(side: Side, stage: str) -> str:
    return f"{side.label} {stage}"


def _table(side: Side, timed: Timed) -> dict[str, Any]:
    stages = [name for name in timed.ours.rounds if _full_name(side, name) in timed.own.rounds]
    theirs: Samples = timed.own.part([_full_name(side, stage) for stage in stages], _full_name(side, ""))
    return {
        "model": model_table(side.runner.bundle),
        "runner": type(side.runner).__name__,
        "threads": side.threads,
        "stages": theirs.summaries(),
        "ratios": ratios(timed.ours, theirs),
        "samples": theirs.raw(),
    }
