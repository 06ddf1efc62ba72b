"""The stages of a touch, and the whole way from a touch to ab and to pixels."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from ..cells import short
from ..environment import machine
from ..measure import Result, Rows
from ..options import Option, counts
from . import workloads
from .against import other_stages
from .run import LatencyMeasure, Request, Run, Timed
from .threads import numbers_of_threads
from .workloads import Workload


class Stages(LatencyMeasure):
    """Touches and stages of the model, in single stream."""

    key = "stages"
    in_brief = True
    options = (
        Option("--hints", "Numbers of hints, with commas.", str, "16,128", parse=counts),
        Option("--touches", "Touches for every number of hints.", int, 1024, low=8, high=1_000_000),
        Option("--threads", "Threads of the CPU; others after a comma are timed beside the first: all,1,2.", str, "all",
               parse=numbers_of_threads),
    )  # fmt: skip

    @classmethod
    def from_options(cls, request: Request) -> Stages | None:
        return cls() if request.single_stream else None

    def workloads(self, run: Run, resources: ExitStack) -> list[Workload]:
        return [*workloads.touches(run.runner, run.numbers), *workloads.stages(run.runner, run.numbers)]

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {
            "touches": run.touches,
            "rounds": timed.own.number,
            "machine_after": machine(),
            "stages": timed.own.summaries(),
            "samples": timed.own.raw(),
            "lost": timed.own.lost,
        }

    @classmethod
    def part(cls, result: Result) -> Result:
        """The whole result: the stages of the other network are shown in the same tables."""
        return result

    @staticmethod
    def lines(part: Result) -> str:
        rows = ["ms".ljust(30) + "".join(word.rjust(10) for word in ("n", "p50", "p90", "p99", "worst"))]
        rows += [_line(name, row) for name, row in all_stages(part).items()]
        return "\n".join(rows)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        rows = [["ms", "n", "p50", "p90", "p99", "worst"]]
        rows += [
            [name, str(row["n"]), *(short(row[key]) for key in ("p50", "p90", "p99", "worst"))]
            for name, row in all_stages(part).items()
        ]
        return [rows]

    @staticmethod
    def notes(part: Result) -> list[str]:
        return part.get("warnings", [])


def all_stages(result: Result) -> dict[str, Any]:
    """Name → summary of all stages of a result, then those of the network that it was timed against."""
    return {**result["stages"], **other_stages(result)}


def _line(name: str, row: dict[str, Any]) -> str:
    cells = [row["n"], row["p50"], row["p90"], row["p99"], row["worst"]]
    return name.ljust(30) + "".join(("–" if cell is None else f"{cell:g}").rjust(10) for cell in cells)
