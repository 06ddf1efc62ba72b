"""Differences between pictures and between colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cielab import Floats


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures of the same shape: 20 log10(255 / √MSE); ∞ if equal."""
    error = np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(20 * np.log10(255 / np.sqrt(error)))


def delta_e(first: Floats, second: Floats) -> Floats:
    """CIE76 colour difference of CIELAB arrays [..., 3]: the Euclidean distance [...]."""
    return np.sqrt(np.sum((first - second) ** 2, axis=-1))
