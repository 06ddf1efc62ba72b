"""The schedule of a run: how far it is, by steps or by time, and the learning rate there."""

from __future__ import annotations

import math
from collections.abc import Callable

from .config import Config

Clock = Callable[[], float]  # seconds since some moment


class Schedule:
    """The position of a run in its schedule, in steps, from where it starts or goes on to the last.

    Without a limit every step counts one. With one, the rest of the schedule is also spread over that time, and
    whichever is further counts: the run ends with the last step or with the time, settled in either case.
    """

    def __init__(self, steps: int, step: int, position: float, seconds: float | None, clock: Clock) -> None:
        """steps: of the whole schedule. step, position: of the run so far. seconds: for the rest; None for no limit."""
        self._steps, self._step, self._position = steps, step, position
        self._seconds, self._clock, self._started = seconds, clock, clock()

    def position(self, step: int) -> float:
        """The position after `step` steps of the whole run; the schedule's length at its end."""
        position = self._position + step - self._step
        if self._seconds is not None:
            used = (self._clock() - self._started) / self._seconds if self._seconds > 0 else 1.0
            position = max(position, self._position + (self._steps - self._position) * used)
        return min(position, float(self._steps))


def rate_at(config: Config, position: float) -> float:
    """The learning rate at a position: a warm-up, then a cosine to zero, or the rate of the stage."""
    settings = config.optimiser
    warm = min(1.0, (position + 1) / max(settings.warm_up_steps, 1))
    stage = config.stage_at(position)
    if stage is not None:
        return stage.rate * warm
    return settings.rate * warm * (0.5 + 0.5 * math.cos(math.pi * position / settings.steps)) + 1e-7
