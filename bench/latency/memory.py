"""What memory the run took."""

from __future__ import annotations

from ..environment import memory_mib
from ..measure import Result
from .run import LatencyMeasure, Request, Run, Timed


class Memory(LatencyMeasure):
    """This process's resident memory in MiB, after the measures before it in the registry."""

    key = "memory_mib"

    @classmethod
    def from_options(cls, request: Request) -> Memory:
        return cls()

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {self.key: memory_mib()}
