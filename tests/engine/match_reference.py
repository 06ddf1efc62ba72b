"""match_hints from its definition, in doubles and on whole planes, without any shortcut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from livetint.engine.hints import Hint, patch_bounds
from livetint.engine.match_geometry import APART_PX, NARROW_PX, NARROW_WEIGHT, NEAR_PX, WIDE_PX, WINDOW_PX
from livetint.engine.match_hints import MAX_ROUNDS, MIN_RESIDUAL_AB, TOLERANCE_AB

RIDGE = 1e-3


def _lines(centre: float, start: int, stop: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the three measurements along an axis [3, length], and these blurred in the window [2, 3, length]."""
    pixels = np.arange(length)
    weights = np.zeros((3, length))
    weights[0] = np.maximum(1 - np.abs(pixels - np.clip(centre - 0.5, 0, length - 1)), 0)
    weights[1, min(int(centre), length - 1)] = 1
    weights[2, start:stop] = 1 / (stop - start)
    first = int(np.clip(np.rint(centre - WINDOW_PX / 2), 0, length - WINDOW_PX))
    inside = (pixels >= first) & (pixels < first + WINDOW_PX)
    squares = (pixels[:, None] - pixels) ** 2
    return weights, np.stack(
        [weights * inside @ np.exp(-squares / (2 * px**2)) * inside for px in (WIDE_PX, NARROW_PX)]
    )


def match_reference(ab: np.ndarray, hints: Sequence[Hint], least: float = MIN_RESIDUAL_AB) -> np.ndarray:
    """ab [2, H, W] as `match_hints` changes it, float64. least: MIN_RESIDUAL_AB."""
    ab, (height, width) = ab.astype(np.float64), ab.shape[1:]
    centres = np.array([(np.float32(h.y) * np.float32(height), np.float32(h.x) * np.float32(width)) for h in hints])
    measurements, fields = [], []
    for hint, (y, x) in zip(hints, centres, strict=True):
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, height, width)
        down, blurred_down = _lines(y, top, bottom, height)
        across, blurred_across = _lines(x, left, right, width)
        measurements.append(down[:, :, None] * across[:, None])
        parts = blurred_down[..., None] * blurred_across[:, :, None]
        fields.append(parts[0] + NARROW_WEIGHT * parts[1])
    measured_by, fields_of = np.array(measurements), np.array(fields)
    targets = np.array([(h.a, h.b) for h in hints])
    later = [np.hypot(*(centres[n + 1 :] - centres[n]).T).min(initial=np.inf) for n in range(len(hints))]
    priorities = np.clip((np.array(later) - NEAR_PX) / (APART_PX - NEAR_PX), 0, 1)[:, None, None]
    kernels = np.einsum("nmyx,nfyx->nmf", measured_by, fields_of) + RIDGE * np.eye(3)
    for _ in range(MAX_ROUNDS):
        residuals = targets[:, None] - np.einsum("nmyx,cyx->nmc", measured_by, ab)
        sizes = np.maximum(np.linalg.norm(residuals, axis=2, keepdims=True), TOLERANCE_AB)
        residuals *= (1 - TOLERANCE_AB / sizes) * priorities
        residuals[np.linalg.norm(residuals, axis=2).max(1) < least] = 0
        ab += np.einsum("nfc,nfyx->cyx", np.linalg.solve(kernels, residuals), fields_of)
    return ab
