"""Another network, timed in the same rounds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ...engine.bundle import Bundle
from ...engine.models import find_model
from ...engine.runners.base import Runner
from ...engine.runners.onnx import OnnxRunner
from ..cells import span
from ..environment import model_table
from ..measure import Result, Rows
from ..options import Option
from . import workloads
from .run import LatencyMeasure, Request, Run, Timed
from .samples import ratios
from .workloads import Workload

# The other network is timed less often: enough for a median in each round.
SHARE, LEAST = 0.0625, 64


class Against(LatencyMeasure):
    """Touches of another network, and how many times as long they take."""

    key = "against"
    prefix = "against "
    in_brief = True
    options = (Option("--against", "siggraph17 (topology with random weights) or another model, timed in turns.", str),)

    def __init__(self, other: Runner) -> None:
        self.other = other

    @classmethod
    def from_options(cls, request: Request) -> Against | None:
        name = request.options["against"]
        if not name:
            return None
        request.require_single_stream("--against")
        return cls(OnnxRunner(other_bundle(name), request.options["threads"][0]))

    def runners(self) -> Sequence[Runner]:
        return (self.other,)

    def workloads(self, run: Run, resources: ExitStack) -> list[Workload]:
        touches = workloads.touches(self.other, run.numbers)
        return [replace(load, share=SHARE, least=LEAST) for load in touches]

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        other = {
            "model": model_table(self.other.bundle),
            "stages": timed.own.summaries(),
            "samples": timed.own.raw(),
        }
        return {self.key: other, "ratios": ratios(timed.ours, timed.own)}

    @classmethod
    def part(cls, result: Result) -> Result | None:
        return result if cls.key in result else None

    @staticmethod
    def lines(part: Result) -> str:
        rows = []
        for stage, found in part["ratios"].items():
            interval = "" if found["low"] is None else f" ({found['low']:.4g} to {found['high']:.4g})"
            rows.append(f"{_name(part)} takes {found['ratio']:.4g}{interval} times as long as {stage}")
        return "\n".join(rows)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        rows = [[stage, f"{row['ratio']:.3g} ×", span(row)] for stage, row in part["ratios"].items()]
        return [[[f"{_name(part)} takes", "times as long", "95 % interval"], *rows]]


def other_stages(result: Result) -> dict[str, Any]:
    """`network: stage` → summary of the other network's stages; empty where there is none."""
    if Against.key not in result:
        return {}
    return {f"{_name(result)}: {stage}": row for stage, row in result[Against.key]["stages"].items()}


def _name(result: Result) -> str:
    return result[Against.key]["model"]["name"]


@lru_cache(maxsize=1)
def other_bundle(name: str) -> Bundle:
    """The network that `--against` names; `siggraph17` has random weights (`untrained.py`). Raises ModelFileError."""
    from .untrained import NAME, untrained_bundle

    return untrained_bundle() if name == NAME else find_model(name)
