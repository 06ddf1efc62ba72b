"""Where a shot ends: the flow explains little of the new frame, and its brightness is distributed differently."""

from __future__ import annotations

import numpy as np

from .flow import Plane

# A frame starts a shot where its agreement with the last one is below the first limit on average and the histograms
# of L share less than MAX_COMMON; or where the agreement is below the second limit, whatever the histograms say.
MAX_AGREEMENT, SURE_AGREEMENT = 0.3, 0.08
MAX_COMMON = 0.8
BINS = 32


def is_cut(agreement: Plane, earlier_L: Plane, later_L: Plane) -> bool:
    """Whether a shot starts with the later frame. agreement: of `steady.agreement`. L: float32 [H, W] in 0…100."""
    mean = float(agreement.mean())
    if mean >= MAX_AGREEMENT:
        return False
    common = float(np.minimum(_histogram(earlier_L), _histogram(later_L)).sum())
    return mean < SURE_AGREEMENT or common < MAX_COMMON


def _histogram(L: Plane) -> np.ndarray:
    counts, _ = np.histogram(L, BINS, (0, 100))
    return counts / L.size
