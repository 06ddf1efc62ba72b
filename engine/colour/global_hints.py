"""Global hints: the colour histogram and the mean saturation of a picture, as 316 numbers.

Definitions of the Global Hints Network (Zhang et al. 2017): the histogram counts the nearest of the 313 bins
over ab pooled 4 × 4 at the working size; the saturation is the mean S of HSV over all working pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import HintRejected
from . import bins

VECTOR_LENGTH = len(bins.CENTRES) + 3
POOL_PX = 4


@dataclass(frozen=True)
class GlobalHints:
    """What is asked of the picture as a whole; None means not given.

    histogram: float32 [313], shares that sum to 1. saturation: mean HSV saturation in 0…1.
    """

    histogram: NDArray[np.float32] | None = field(default=None, compare=False)
    saturation: float | None = None

    def __post_init__(self) -> None:
        if self.saturation is not None and not 0 <= self.saturation <= 1:
            raise HintRejected(f"saturation {self.saturation:.4g} is not possible; it runs from 0 to 1")
        if self.histogram is not None:
            total = float(np.sum(self.histogram))
            if self.histogram.shape != bins.CENTRES.shape[:1] or not 0.999 <= total <= 1.001:
                raise HintRejected(
                    f"a histogram has {len(bins.CENTRES)} shares that sum to 1; "
                    f"this one has shape {self.histogram.shape} and sums to {total:.4g}"
                )

    def __bool__(self) -> bool:
        return self.histogram is not None or self.saturation is not None

    def vector(self) -> NDArray[np.float32]:
        """float32 [316]: histogram, its flag, saturation, its flag; zeros for what is not given."""
        vector = np.zeros(VECTOR_LENGTH, np.float32)
        if self.histogram is not None:
            vector[: len(bins.CENTRES)] = self.histogram
            vector[len(bins.CENTRES)] = 1
        if self.saturation is not None:
            vector[-2:] = self.saturation, 1
        return vector


def histogram_of(ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Histogram float32 [313] of ab [2, H, W] in CIELAB units; H and W multiples of 4."""
    channels, height, width = ab.shape
    pooled = ab.reshape(channels, height // POOL_PX, POOL_PX, width // POOL_PX, POOL_PX).mean((2, 4))
    counts = np.bincount(bins.nearest(pooled.reshape(2, -1).T), minlength=len(bins.CENTRES))
    return (counts / counts.sum()).astype(np.float32)


def saturation_of(srgb: NDArray[np.floating]) -> float:
    """Mean HSV saturation, (max − min) / max with 0 for black, of sRGB [..., 3] in 0…1."""
    highest, lowest = srgb.max(-1), srgb.min(-1)
    return float(np.mean(np.divide(highest - lowest, highest, out=np.zeros_like(highest), where=highest > 0)))
