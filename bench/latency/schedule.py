"""How often each workload is timed: as often as wanted if there is time, else equal shares of the time.

A run has a fixed length, on a slow or busy machine too. Every round gets an equal part of the time that is left and
divides it by what the workloads took in the round before: quick workloads are timed as often as wanted, slow ones get
equal shares of the rest, and each is timed at least once in every round. `n` says how often each was timed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .workloads import Workload

# A workload that takes longer needs no warm-up run in a round.
WARM_ITSELF_S = 0.05
# Shares of the time that a touch gets, where every other workload gets one.
TOUCH_SHARES = 4.0


def wanted(load: Workload, touches: int, rounds: int) -> int:
    """Samples of a workload in one round: `share` of the touches, in all at least `least` but no more than touches."""
    number = min(max(round(touches * load.share), load.least), touches)
    return max(1, -(-number // rounds))


def spare_runs(cost_s: float) -> int:
    """Warm-up runs of a workload in each round."""
    return 1 if cost_s < WARM_ITSELF_S else 0


def share_out(
    loads: Sequence[Workload], costs_s: Mapping[str, float], numbers: Mapping[str, int], left_s: float
) -> dict[str, int]:
    """Samples of every workload in a round of `left_s` seconds, from the seconds one run of each costs."""
    needs = {load.name: costs_s[load.name] * (numbers[load.name] + spare_runs(costs_s[load.name])) for load in loads}
    limit = _limit(needs, {load.name: _shares(load) for load in loads}, left_s)
    found = {}
    for load in loads:
        cost = max(costs_s[load.name], 1e-9)
        spare, most = spare_runs(cost), numbers[load.name]
        found[load.name] = max(1, int(min(limit * _shares(load) / cost - spare, most) + 1e-9))
    return found


def _shares(load: Workload) -> float:
    return TOUCH_SHARES if load.share >= 1 else 1.0


def _limit(needs: Mapping[str, float], shares: Mapping[str, float], left_s: float) -> float:
    """The seconds of one share, so that the sum of min(need, shares · limit) is `left_s`; ∞ if all needs fit."""
    open_names = sorted(needs, key=lambda name: needs[name] / shares[name])
    weight = sum(shares.values())
    for name in open_names:
        limit = left_s / weight
        if needs[name] / shares[name] > limit:
            return max(limit, 0.0)
        left_s -= needs[name]
        weight -= shares[name]
    return float("inf")
