"""Percentiles that know how many samples they need, and intervals that know samples come in rounds.

MLPerf's floors for 99 % confidence: 64 samples for a p90, 662 for a p99. Below its floor a percentile is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOORS = {50: 1, 90: 64, 99: 662}
RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 7

# One stage's samples in ms: one array per round.
Rounds = Sequence[NDArray[np.float64]]


def pooled(rounds: Rounds) -> NDArray[np.float64]:
    """All samples of a stage [n]."""
    return np.concatenate([np.asarray(samples, np.float64) for samples in rounds])


def percentile(samples: NDArray[np.float64], rank: int) -> float | None:
    """The rank-th percentile by the nearest-rank rule (a value that was measured), or None under its floor."""
    if len(samples) < FLOORS[rank]:
        return None
    return float(np.percentile(samples, rank, method="inverted_cdf"))


def summary(rounds: Rounds) -> dict[str, Any]:
    """n, p50, p90, p99 (None under the floor), worst, mean, coefficient of variation, interval of the median."""
    samples = pooled(rounds)
    average = float(samples.mean())
    low, high = interval(rounds, lambda values: float(np.median(values)))
    return {
        "n": len(samples),
        **{f"p{rank}": _rounded(percentile(samples, rank)) for rank in FLOORS},
        "worst": _rounded(float(samples.max())),
        "mean": _rounded(average),
        "variation": _rounded(float(samples.std() / average) if average else 0.0),
        "p50_interval": [_rounded(low), _rounded(high)],
    }


def interval(rounds: Rounds, statistic: Callable[[NDArray[np.float64]], float]) -> tuple[float | None, float | None]:
    """Bootstrap interval (95 %) of a statistic; whole rounds are drawn, since samples of a round hang together.

    (None, None) with fewer than two rounds.
    """
    if len(rounds) < 2:
        return None, None
    rng = np.random.default_rng(SEED)
    picks = rng.integers(0, len(rounds), (RESAMPLES, len(rounds)))
    values = [statistic(np.concatenate([rounds[i] for i in pick])) for pick in picks]
    return bounds(np.array(values))


def ratio(slow: Rounds, fast: Rounds) -> dict[str, float | None]:
    """How many times `fast` goes into `slow`: the median, over rounds that ran side by side, of the ratio of their
    medians, with a bootstrap interval over rounds (None with fewer than two)."""
    number = min(len(slow), len(fast))
    found = np.array([np.median(slow[i]) / np.median(fast[i]) for i in range(number)])
    low = high = None
    if number >= 2:
        rng = np.random.default_rng(SEED)
        low, high = bounds(np.median(found[rng.integers(0, number, (RESAMPLES, number))], axis=1))
    return {"ratio": _rounded(float(np.median(found))), "low": _rounded(low), "high": _rounded(high)}


def bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    """The central 95 % of bootstrap values."""
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [edge, 1 - edge])
    return float(low), float(high)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
