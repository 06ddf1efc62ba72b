"""How often each workload is timed: as often as wanted where there is time, fairly fewer where there is not.

A run has a length that holds on a slow or busy machine too. Every round gets an equal part of what is left of it and
shares that out anew, after what the workloads cost lately: what is quick is timed as often as wanted, what is slow
takes an equal share of the rest, and every workload is timed at least once a round. `n` tells what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .workloads import Workload

# What takes longer warms itself: its first run of a round counts.
WARM_ITSELF_S = 0.05
# How many shares the touches themselves get, against one of every other workload.
TOUCH_SHARES = 4.0


def wanted(load: Workload, touches: int, rounds: int) -> int:
    """Samples of a workload in one round; a whole run meets its least number, but never exceeds the touches."""
    number = min(max(round(touches * load.share), load.least), touches)
    return max(1, -(-number // rounds))


def spare_runs(cost_s: float) -> int:
    """Runs that warm a workload up at the beginning of its part of a round."""
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
    """The seconds a share may take, so that all of min(need, shares · limit) fill `left_s`."""
    open_names = sorted(needs, key=lambda name: needs[name] / shares[name])
    weight = sum(shares.values())
    for name in open_names:
        limit = left_s / weight
        if needs[name] / shares[name] > limit:
            return max(limit, 0.0)
        left_s -= needs[name]
        weight -= shares[name]
    return float("inf")
