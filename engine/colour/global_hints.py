"""Global hints: the colour histogram and the mean saturation of a picture, as 316 numbers.

The definitions are those of the Global Hints Network (Zhang et al. 2017). The histogram counts the nearest of the 313
bins of ab averaged over 4 × 4 working pixels. The saturation is the mean S of HSV over all working pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import HintRejected
from . import bins

VECTOR_LENGTH = len(bins.CENTRES) + 3
POOL_PX = 4


@dataclass(frozen=True, eq=False)
class GlobalHints:
    """Hints for the picture as a whole; None for not given.

    histogram: float32 [313], shares that sum to 1; kept as a read-only copy. saturation: mean HSV saturation in 0…1.
    Equality and hash are by value. Raises HintRejected for all other values.
    """

    histogram: NDArray[np.float32] | None = None
    saturation: float | None = None

    def __post_init__(self) -> None:
        if self.saturation is not None and not 0 <= self.saturation <= 1:
            raise HintRejected(f"saturation {self.saturation:.4g} is not possible; it runs from 0 to 1")
        if self.histogram is not None:
            object.__setattr__(self, "histogram", _checked(self.histogram))

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, GlobalHints) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def _value(self) -> tuple[bytes | None, float | None]:
        return None if self.histogram is None else self.histogram.tobytes(), self.saturation

    def __bool__(self) -> bool:
        return self.histogram is not None or self.saturation is not None

    def vector(self) -> NDArray[np.float32]:
        """The network's input, float32 [316]: histogram, its flag, saturation, its flag. What is not given is zero."""
        vector = np.zeros(VECTOR_LENGTH, np.float32)
        if self.histogram is not None:
            vector[: len(bins.CENTRES)] = self.histogram
            vector[len(bins.CENTRES)] = 1
        if self.saturation is not None:
            vector[-2:] = self.saturation, 1
        return vector


def _checked(histogram: NDArray[np.float32]) -> NDArray[np.float32]:
    """A read-only copy of a histogram. Raises HintRejected unless it has 313 shares ≥ 0 that sum to 1."""
    shares = np.asarray(histogram, np.float32) + np.float32(0)  # a copy, in which −0 is 0
    total = float(shares.sum())
    if shares.shape != bins.CENTRES.shape[:1] or not 0.999 <= total <= 1.001:
        raise HintRejected(
            f"a histogram has {len(bins.CENTRES)} shares that sum to 1; "
            f"this one has shape {shares.shape} and sums to {total:.4g}"
        )
    if shares.min() < 0:
        raise HintRejected(f"a histogram has no negative shares; the least of this one is {shares.min():.4g}")
    shares.flags.writeable = False
    return shares


def histogram_of(ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Histogram float32 [313] of ab [2, H, W] in CIELAB units. H and W are multiples of 4."""
    channels, height, width = ab.shape
    pooled = ab.reshape(channels, height // POOL_PX, POOL_PX, width // POOL_PX, POOL_PX).mean((2, 4))
    counts = np.bincount(bins.nearest(pooled.reshape(2, -1).T), minlength=len(bins.CENTRES))
    return (counts / counts.sum()).astype(np.float32)


def saturation_of(srgb: NDArray[np.floating]) -> float:
    """Mean HSV saturation, (max − min) / max with 0 for black, of sRGB [..., 3] in 0…1."""
    highest, lowest = srgb.max(-1), srgb.min(-1)
    return float(np.mean(np.divide(highest - lowest, highest, out=np.zeros_like(highest), where=highest > 0)))
