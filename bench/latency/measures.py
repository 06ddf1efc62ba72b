"""The measures of `bench latency`, in the order in which they are measured and shown.

A new measure is a class in a file of its own and an entry here.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..options import Option
from .against import Against
from .beside import Beside
from .energy import Energy
from .memory import Memory
from .paired import Relative
from .peers import Peers
from .roofline import Roofline
from .run import LatencyMeasure, Request
from .scenarios import Scenario
from .stages import Stages

# Stages or Scenario, which time the model itself, come first. Memory is read before Roofline takes some for its own.
MEASURES: tuple[type[LatencyMeasure], ...] = (
    Stages,
    Scenario,
    Against,
    Beside,
    Peers,
    Energy,
    Relative,
    Memory,
    Roofline,
)


def options() -> Iterable[Option]:
    """The options of all measures."""
    return (option for measure in MEASURES for option in measure.options)


def wanted(request: Request) -> list[LatencyMeasure]:
    """The measures that the options ask for."""
    return [measure for kind in MEASURES if (measure := kind.from_options(request)) is not None]
