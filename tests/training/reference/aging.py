"""Augmentation: the lightness of a photograph as that of an old print.

Only L is changed; the colours to be learned stay those of the scene. The bench measures on aged pictures that are made
by other rules (`bench/accuracy/aging.py`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SCRATCHES = 5


def age(L: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """L [S, S] in 0…100 → L of an old print: blur, fading, grain and scratches, each with some probability."""
    aged = L
    if rng.random() < 0.5:
        aged = np.asarray(cv2.GaussianBlur(aged, (0, 0), float(rng.uniform(0.4, 1.5))), np.float32)
    if rng.random() < 0.6:
        aged = _faded(aged, rng)
    if rng.random() < 0.7:
        aged = aged + _grain(aged.shape, rng)
    if rng.random() < 0.4:
        aged = _scratched(np.ascontiguousarray(aged, np.float32), rng)
    return np.clip(aged, 0, 100).astype(np.float32)


def _faded(L: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Lighter blacks, darker whites, and a gamma for the middle tones."""
    black, white = rng.uniform(0, 25), rng.uniform(75, 100)
    bent = (np.clip(L, 0, 100) / 100) ** rng.uniform(0.7, 1.4)
    return (black + (white - black) * bent).astype(np.float32)


def _grain(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    noise = rng.normal(0, 1, shape).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.3, 0.9))), np.float32)
    return soft * np.float32(rng.uniform(1, 6) / max(float(soft.std()), 1e-6))


def _scratched(L: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Thin straight lines, light or dark."""
    side = L.shape[0]
    for _ in range(int(rng.integers(1, MAX_SCRATCHES + 1))):
        ends = rng.integers(0, side, 4).tolist()
        shade = float(rng.uniform(75, 100) if rng.random() < 0.7 else rng.uniform(0, 25))
        cv2.line(L, ends[:2], ends[2:], shade, 1, cv2.LINE_AA)
    return L
