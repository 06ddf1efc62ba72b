"""Percentiles with the number of samples that they need, and intervals for samples that come in rounds.

The floors are MLPerf's, for 99 % confidence: the fewest samples of which at least two lie beyond the true percentile
with a probability of 99 %. A percentile of fewer samples is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rank → floor. A median has no tail to miss: it is given for any sample, and n says how much it is worth.
FLOORS = {50: 1, 90: 64, 95: 130, 99: 662}
SUMMARY_RANKS = (50, 90, 99)
RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 7

# One stage's samples in ms: one array per round.
Rounds = Sequence[NDArray[np.float64]]


def min_samples(rank: int) -> int:
    """The fewest samples that carry a percentile of this rank."""
    return FLOORS[rank]


def pooled(rounds: Rounds) -> NDArray[np.float64]:
    """All samples of a stage [n]."""
    return np.concatenate([np.asarray(samples, np.float64) for samples in rounds])


def percentile(samples: NDArray[np.float64], rank: int) -> float | None:
    """The percentile by the nearest-rank rule (a value that was measured), or None for too few samples [n]."""
    if len(samples) < min_samples(rank):
        return None
    return float(np.percentile(samples, rank, method="inverted_cdf"))


def summary(rounds: Rounds) -> dict[str, Any]:
    """n, p50, p90, p99 (None for too few samples), worst, mean, coefficient of variation, interval of the median."""
    samples = pooled(rounds)
    average = float(samples.mean())
    low, high = interval(rounds, lambda values: float(np.median(values)))
    return {
        "n": len(samples),
        **{f"p{rank}": _rounded(percentile(samples, rank)) for rank in SUMMARY_RANKS},
        "worst": _rounded(float(samples.max())),
        "mean": _rounded(average),
        "variation": _rounded(float(samples.std() / average) if average else 0.0),
        "p50_interval": [_rounded(low), _rounded(high)],
    }


def interval(rounds: Rounds, statistic: Callable[[NDArray[np.float64]], float]) -> tuple[float | None, float | None]:
    """Bootstrap interval (95 %) of a statistic. Whole rounds are drawn, because samples of one round are correlated.

    (None, None) with fewer than two rounds.
    """
    if len(rounds) < 2:
        return None, None
    rng = np.random.default_rng(SEED)
    picks = np.sort(rng.integers(0, len(rounds), (RESAMPLES, len(rounds))), axis=1)
    # Few rounds have few different picks: 35 for four. Each is computed once.
    different, of = np.unique(picks, axis=0, return_inverse=True)
    values = np.array([statistic(np.concatenate([rounds[i] for i in pick])) for pick in different])
    return bounds(values[of.ravel()])


def ratio(slow: Rounds, fast: Rounds) -> dict[str, float | None]:
    """How many times as long `slow` takes: the median over rounds of the ratio of their medians. Rounds of both ran
    side by side. low, high: bootstrap interval (95 %) over rounds, None with fewer than two."""
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
