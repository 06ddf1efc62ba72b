"""Is this build slower? The verdict on two latency files, with their noise taken into account.

Every burst of a stage is divided by the reference that ran before and after it (`latency/paired.py`); the value of a
round is the median of that. Rounds are resampled (a block bootstrap): bursts of one round are correlated, but every
round made network, photograph and references anew, so rounds differ as much as runs do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.errors import ConfigError
from ..latency.paired import MIN_ROUNDS
from ..percentiles import RESAMPLES, SEED, bounds

MARGIN = 0.05
# How much runs of one build differ beyond their rounds: one standard deviation of the logarithm. The distribution
# differs by more: it reads columns of large maps, which share cache sets or not depending on where they lie in memory.
RUN_DEVIATION, DISTRIBUTION_DEVIATION = 0.01, 0.08
# Standard deviations in half of a 95 % interval; and the factor by which a bootstrap of so few values is too narrow
# (Student's distribution).
Z_95, FEW_ROUNDS = 1.96, 1.2
SLOWER, FASTER, SAME, UNCLEAR = "slower", "faster", "same", "unclear"
REMEDY = "measure again with this version"


@dataclass(frozen=True)
class Change:
    """A stage's time in the new file over that in the old one, each relative to its reference, and the verdict.

    slower, faster: the whole interval (95 %) lies beyond the margin of 5 %. same: it lies within twice the margin.
    unclear: otherwise; `why` says how much rounds differ.
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
        if table.get("kind") != "latency" or not table.get("relative"):
            raise ConfigError(
                "only two files of `livetint bench latency --json` (single-stream, this version) can be compared"
            )
    _check_alike("device", old.get("device"), new.get("device"))
    _check_alike("processor", *(table.get("machine", {}).get("processor") for table in (old, new)))
    try:
        return [
            _change(stage, _Rounds.of(old, stage), _Rounds.of(new, stage))
            for stage in old["relative"]
            if stage in new["relative"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"the files cannot be compared ({error!r}); {REMEDY}") from error


def _check_alike(what: str, old: str | None, new: str | None) -> None:
    if old != new:
        raise ConfigError(f"the files differ in {what} ({old} and {new}); measure alike")


@dataclass(frozen=True)
class _Rounds:
    """A stage by round: the logarithm of its time over its reference's."""

    reference: str
    relative: NDArray[np.float64]

    @classmethod
    def of(cls, table: dict[str, Any], stage: str) -> _Rounds:
        rows = table["relative"][stage]
        pairs = zip(rows["times"], rows["beside"], strict=True)
        rounds = [float(np.median(np.log(np.divide(times, beside)))) for times, beside in pairs]
        if len(rounds) < MIN_ROUNDS:
            raise ConfigError(f"a comparison needs at least {MIN_ROUNDS} rounds in each file; measure again")
        return cls(rows["reference"], np.array(rounds))

    @property
    def spread(self) -> float:
        """One standard deviation of rounds."""
        return float(self.relative.std(ddof=1))

    def resampled(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Means of resampled rounds [RESAMPLES]."""
        return self.relative[rng.integers(0, len(self.relative), (RESAMPLES, len(self.relative)))].mean(axis=1)


def _change(stage: str, old: _Rounds, new: _Rounds) -> Change:
    if old.reference != new.reference:
        raise ConfigError(f"the files set {stage} against different references; {REMEDY}")
    rng = np.random.default_rng(SEED)
    middle = float(new.relative.mean() - old.relative.mean())
    apart = DISTRIBUTION_DEVIATION if stage.startswith("distribution_") else RUN_DEVIATION
    between = Z_95 * math.sqrt(2) * apart
    edges = bounds(new.resampled(rng) - old.resampled(rng))
    below, above = (math.hypot(between, FEW_ROUNDS * (edge - middle)) for edge in edges)
    ratio, low, high = (math.exp(value) for value in (middle, middle - below, middle + above))
    verdict = _verdict(low, high)
    why = f"rounds differ by {max(old.spread, new.spread, apart):.0%}" if verdict == UNCLEAR else ""
    return Change(stage, ratio, low, high, verdict, why)


def _verdict(low: float, high: float) -> str:
    if low > 1 + MARGIN:
        return SLOWER
    if high < 1 / (1 + MARGIN):
        return FASTER
    if low > 1 / (1 + 2 * MARGIN) and high < 1 + 2 * MARGIN:
        return SAME
    return UNCLEAR


def overall(changes: list[Change]) -> str:
    """slower if any stage is; else unclear if any is; else faster if any is; else same."""
    verdicts = {change.verdict for change in changes}
    return next((verdict for verdict in (SLOWER, UNCLEAR, FASTER) if verdict in verdicts), SAME)
