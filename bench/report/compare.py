"""Is this build slower? Two latency files compared, with a verdict that knows its noise.

Every stage is taken relative to the reference that ran before and after each of its bursts (see `relative`), burst by
burst, and a round is the median of that. Rounds are what is resampled (a block bootstrap): bursts within one hang
together, but every round made network, photograph and references anew, so rounds differ as much as runs do.
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
# Runs of one build differ by so much (one standard deviation of the logarithm) beyond what their rounds tell; the
# distribution by more: it reads columns of large maps, and which of them share a cache set hangs on where they lie.
BETWEEN_RUNS, BETWEEN_DISTRIBUTIONS = 0.01, 0.08
# Standard deviations → half of a 95 % interval; and how much a bootstrap of so few values is too narrow (Student).
OF_INTERVAL, OF_FEW = 1.96, 1.2
SLOWER, FASTER, SAME, UNCLEAR = "slower", "faster", "same", "unclear"
AGAIN = "measure again with this version"


@dataclass(frozen=True)
class Change:
    """A stage's time in the new file over that in the old one, each relative to its reference, and the verdict.

    slower, faster: the whole interval (95 %) lies beyond the margin of 5 %. same: it lies within twice the margin.
    unclear: anything else, and why; measure both again.
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
        raise ConfigError(f"the files cannot be compared ({error!r}); {AGAIN}") from error


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
        """Means of rounds drawn anew."""
        return self.relative[rng.integers(0, len(self.relative), (RESAMPLES, len(self.relative)))].mean(axis=1)


def _change(stage: str, old: _Rounds, new: _Rounds) -> Change:
    if old.reference != new.reference:
        raise ConfigError(f"the files set {stage} against different references; {AGAIN}")
    rng = np.random.default_rng(SEED)
    middle = float(new.relative.mean() - old.relative.mean())
    apart = BETWEEN_DISTRIBUTIONS if stage.startswith("distribution_") else BETWEEN_RUNS
    between = OF_INTERVAL * math.sqrt(2) * apart
    edges = bounds(new.resampled(rng) - old.resampled(rng))
    below, above = (math.hypot(between, OF_FEW * (edge - middle)) for edge in edges)
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
