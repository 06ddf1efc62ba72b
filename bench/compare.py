"""Is this build slower? Two latency files compared, with a verdict that knows its noise.

Every stage is taken relative to the reference that ran before, between and after it, so that a slow day of the
machine does not read as a slow build. Neighbours only ever add time, so a round is summed up by its lower quartile.
Rounds are what is resampled (a block bootstrap): samples within one hang together. What no resampling of one run
shows is how another run of the same build would differ; recorded runs differ by about as much as single rounds of
one, so that spread widens the interval. Rounds in which others took the processors are left out; a stage with too
few left is unclear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.errors import ConfigError
from .latency import LEAST_ROUNDS
from .parts import MOST_LOST
from .percentiles import RESAMPLES, SEED, bounds

MARGIN = 0.05
# Two processes of one build differ by so much (one standard deviation) even where rounds do not: where memory came to
# lie.
LEAST_SPREAD = 0.02
QUARTILE = 0.25
# Median absolute deviation → standard deviation, and standard deviation → half of a 95 % interval, of a normal one.
OF_DEVIATIONS, OF_INTERVAL = 1.4826, 1.96
SLOWER, FASTER, SAME, UNCLEAR = "slower", "faster", "same", "unclear"


@dataclass(frozen=True)
class Change:
    """A stage's time in the new file over that in the old one, each relative to its reference, and the verdict.

    slower, faster: the whole interval lies beyond the margin of 5 %, and so does the ratio of the times themselves:
    a reference suffers from a busy machine in its own way, and that is nobody's slowdown.
    same: the interval lies within twice the margin. unclear: anything else, and why; measure again, on a quieter
    machine.
    """

    stage: str
    ratio: float
    low: float
    high: float
    verdict: str
    why: str = ""


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Changes of all stages that two files of `bench latency` share. Raises ConfigError for files that do not match."""
    for table in (old, new):
        if table.get("kind") != "latency" or not table.get("paired"):
            raise ConfigError(
                "only two files of `livetint bench latency --json` (single-stream, this version) can be compared"
            )
        if min(len(rows["beside"]) for rows in table["paired"].values()) < LEAST_ROUNDS:
            raise ConfigError(f"a comparison needs at least {LEAST_ROUNDS} rounds in each file; measure again")
    for what in ("threads", "device"):
        if old.get(what) != new.get(what):
            raise ConfigError(f"the files differ in {what} ({old.get(what)} and {new.get(what)}); measure alike")
    stages = [name for name in old["paired"] if name in new["paired"]]
    try:
        _check_references(old["paired"], new["paired"], stages)
        return [_change(stage, _Rounds.of(old, stage), _Rounds.of(new, stage)) for stage in stages]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the files cannot be compared ({error!r}); measure again with this version") from error


def _check_references(old: dict[str, Any], new: dict[str, Any], stages: list[str]) -> None:
    for stage in stages:
        if old[stage]["reference"] != new[stage]["reference"]:
            raise ConfigError(f"the files set {stage} against different references; measure again with this version")


@dataclass(frozen=True)
class _Rounds:
    """A stage by round: its lower quartile in ms, the logarithm of it over the reference's, which rounds count."""

    times_ms: NDArray[np.float64]
    relative: NDArray[np.float64]
    counts: NDArray[np.bool_]

    @classmethod
    def of(cls, table: dict[str, Any], stage: str) -> _Rounds:
        paired = table["paired"][stage]
        times = _quartiles(table["samples"][stage])
        lost = np.array([0.0 if share is None else share for share in paired["lost"]])
        return cls(times, np.log(times / _quartiles(paired["beside"])), lost <= MOST_LOST)

    @property
    def enough(self) -> bool:
        return int(self.counts.sum()) >= LEAST_ROUNDS

    def chosen(self) -> _Rounds:
        """The rounds that count, or all where those are too few."""
        which = self.counts if self.enough else np.ones_like(self.counts)
        return _Rounds(self.times_ms[which], self.relative[which], self.counts[which])

    @property
    def spread(self) -> float:
        """How far another run of the same build may lie: one standard deviation of the logarithm."""
        deviations = np.abs(self.relative - np.median(self.relative))
        return max(LEAST_SPREAD, OF_DEVIATIONS * float(np.median(deviations)))


def _quartiles(rounds: list[list[float]]) -> NDArray[np.float64]:
    return np.array([np.quantile(part, QUARTILE) for part in rounds])


def _change(stage: str, old: _Rounds, new: _Rounds) -> Change:
    before, after = old.chosen(), new.chosen()
    rng = np.random.default_rng(SEED)
    middle = float(np.median(after.relative) - np.median(before.relative))
    resampled = bounds(_medians(after.relative, rng) - _medians(before.relative, rng))
    between = OF_INTERVAL * math.hypot(before.spread, after.spread)
    below, above = (math.hypot(between, edge - middle) for edge in resampled)
    ratio, low, high = (math.exp(value) for value in (middle, middle - below, middle + above))
    if not (old.enough and new.enough):
        disturbed = sum(int((~rounds.counts).sum()) for rounds in (old, new))
        number = len(old.counts) + len(new.counts)
        return Change(stage, ratio, low, high, UNCLEAR, f"others took the processors in {disturbed} of {number} rounds")
    verdict = _verdict(low, high, float(np.median(after.times_ms) / np.median(before.times_ms)))
    noise = max(before.spread, after.spread)
    return Change(stage, ratio, low, high, verdict, f"rounds differ by {noise:.0%}" if verdict == UNCLEAR else "")


def _medians(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.median(values[rng.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)


def _verdict(low: float, high: float, of_times: float) -> str:
    if low > 1 + MARGIN and of_times > 1 + MARGIN:
        return SLOWER
    if high < 1 / (1 + MARGIN) and of_times < 1 / (1 + MARGIN):
        return FASTER
    if low > 1 / (1 + 2 * MARGIN) and high < 1 + 2 * MARGIN:
        return SAME
    return UNCLEAR


def overall(changes: list[Change]) -> str:
    """slower if any stage is; else unclear if any is; else faster if any is; else same."""
    verdicts = {change.verdict for change in changes}
    return next((verdict for verdict in (SLOWER, UNCLEAR, FASTER) if verdict in verdicts), SAME)
