"""The colour bins, 313 of a 23 × 23 grid over ab, and distributions over them, as in Zhang et al. (ECCV 2016,
SIGGRAPH 2017).

The grid has step 10 from −110 to 110. a varies slowly and b fast. The 313 used of its 529 points cannot be derived
from the sRGB gamut. The table below is the published set, one row of b for every a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cielab import Floats

STEP = 10
SIGMA = 5.0
NEIGHBOURS = 10

# a: (lowest b, highest b)
_ROWS = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100), -40: (-40, 100),
    -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100), 10: (-80, 90), 20: (-80, 90),
    30: (-90, 90), 40: (-100, 90), 50: (-100, 80), 60: (-110, 80), 70: (-110, 80), 80: (-110, 70),
    90: (-110, 70), 100: (-90, 0),
}  # fmt: skip

_AXIS = np.arange(-110, 111, STEP)
GRID_CENTRES: NDArray[np.float32] = (
    np.stack(np.meshgrid(_AXIS, _AXIS, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
)
IN_GAMUT: NDArray[np.bool_] = np.array(
    [int(a) in _ROWS and _ROWS[int(a)][0] <= b <= _ROWS[int(a)][1] for a, b in GRID_CENTRES]
)
CENTRES: NDArray[np.float32] = GRID_CENTRES[IN_GAMUT]

BINS = {"in-gamut-313": CENTRES, "grid-529": GRID_CENTRES}


def soft_encode(ab: Floats, neighbours: int = NEIGHBOURS, sigma: float = SIGMA) -> NDArray[np.float32]:
    """ab [..., 2] → weights over the 313 bins float32 [..., 313] that sum to 1.

    The `neighbours` nearest centres get exp(−d² / 2σ²), normalised (Zhang et al. 2016, §2.2).
    """
    flat = np.asarray(ab, np.float32).reshape(-1, 2)
    squared = squared_distances(flat)
    nearest_bins = np.argpartition(squared, neighbours, axis=1)[:, :neighbours]
    distances = np.take_along_axis(squared, nearest_bins, 1)
    weights = np.exp((distances.min(1, keepdims=True) - distances) / (2 * sigma**2))
    encoded = np.zeros(squared.shape, np.float32)
    np.put_along_axis(encoded, nearest_bins, weights / weights.sum(1, keepdims=True), 1)
    return encoded.reshape(*np.shape(ab)[:-1], len(CENTRES))


def squared_distances(ab: Floats) -> NDArray[np.float32]:
    """Squared distances [P, 313] of ab [P, 2] to the bin centres."""
    return ((ab**2).sum(1, keepdims=True) - 2 * ab @ CENTRES.T + (CENTRES**2).sum(1)).astype(np.float32)


def nearest(ab: Floats) -> NDArray[np.intp]:
    """Index [...] of the bin centre nearest to ab [..., 2]."""
    flat = np.asarray(ab, np.float32).reshape(-1, 2)
    return squared_distances(flat).argmin(1).reshape(np.shape(ab)[:-1])


def temper(probabilities: Floats, scale: float) -> NDArray[np.float32]:
    """p^scale renormalised over the last axis: softmax(scale · logits) of a distribution given as p."""
    with np.errstate(divide="ignore"):
        logits = np.log(np.asarray(probabilities, np.float32))
    return softmax(logits, scale)


def softmax(logits: Floats, scale: float = 1.0) -> NDArray[np.float32]:
    """softmax(scale · logits) over the last axis."""
    powered = np.exp(scale * (logits - logits.max(-1, keepdims=True)))
    return (powered / powered.sum(-1, keepdims=True)).astype(np.float32, copy=False)
