"""Make the colours under the hints those of the hints, by the smallest smooth change of ab.

A network that takes hints comes close to their colours by itself. What remains is measured in three ways at each hint:
at its exact point (between pixels, as an enlarged picture shows it), at the pixel that contains the point, and as the
mean over its patch. The smallest change that brings all three within TOLERANCE_AB is added to ab. It is the smallest
in the norm of the kernel WIDE + NARROW_WEIGHT · NARROW, a sum of two Gaussians (kernel interpolation). So the change
is a broad bump wherever possible, and narrow only where an edge crosses the patch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .hints import Hint, patch_bounds

# A colour this near to the hint's (CIE76, in ab) is not changed.
TOLERANCE_AB = 0.7
# Standard deviations of the two Gaussians in working pixels, and the weight of the narrow one.
WIDE_PX, NARROW_PX, NARROW_WEIGHT = 3.0, 1.0, 0.3
# Side of the window that a change is limited to. The Gaussians are close to zero at its border.
WINDOW_PX = 23
# A hint with a later one nearer than NEAR_PX gives way to it. From APART_PX on, both are matched.
NEAR_PX, APART_PX = 5.0, 9.0
# Windows of neighbouring hints overlap, so several rounds may be needed. They end when residuals are small.
MAX_ROUNDS, MIN_RESIDUAL_AB = 8, 0.2
# Keeps the systems of equations solvable where two measurements are the same; relative to the kernel at 0.
RIDGE = np.eye(3, dtype=np.float32) * np.float32(1e-3)

_STEPS = np.arange(WINDOW_PX, dtype=np.float32)
_SQUARES = (_STEPS[:, None] - _STEPS) ** 2
# Both Gaussians as matrices [WINDOW_PX, WINDOW_PX], for weights [axis, N, measurement, WINDOW_PX].
_BLURS = np.exp(-_SQUARES / (2 * np.array([WIDE_PX, NARROW_PX])[:, None, None] ** 2)).astype(np.float32)[:, None, None]
_AMPLITUDES = np.array([1, NARROW_WEIGHT], np.float32)[:, None, None]


def match_hints(ab: NDArray[np.float32], hints: Sequence[Hint]) -> NDArray[np.float32]:
    """ab float32 [2, H, W] in CIELAB units (H, W ≥ WINDOW_PX), changed to the hints' colours under them, within ΔE 1.

    A writeable array is changed in place and returned; of any other a changed copy is returned. ΔE 1 holds for hints
    at least APART_PX working pixels from the next one. Of two nearer hints the later one is matched, the earlier one
    in part.
    """
    if not hints or min(ab.shape[1:]) < WINDOW_PX:
        return ab
    if not ab.flags.writeable:
        ab = ab.copy()
    sides = np.array(ab.shape[1:], np.float32)[:, None]
    table = np.array([(h.y, h.x, h.a, h.b, *patch_bounds(h.x, h.y, h.size, *ab.shape[1:])) for h in hints], np.float32)
    centres, targets, bounds = table[:, :2].T * sides, table[:, 2:4], table[:, 4:].T.reshape(2, 2, -1)
    starts, weights = _measurements(centres, bounds, sides)
    priorities = _priorities(centres)
    windows = sliding_window_view(ab, (WINDOW_PX, WINDOW_PX), axis=(1, 2))
    corrections: _Corrections | None = None
    for _ in range(MAX_ROUNDS):
        residuals = _residuals(windows[:, starts[0], starts[1]], targets, weights) * priorities
        unmatched = np.nonzero(np.abs(residuals).max((1, 2)) >= MIN_RESIDUAL_AB)[0]
        if not len(unmatched):
            break
        corrections = corrections or _Corrections(weights)
        changes = corrections.planes(unmatched, residuals[unmatched])
        for (top, left), change in zip(starts[:, unmatched].T.tolist(), changes, strict=True):
            ab[:, top : top + WINDOW_PX, left : left + WINDOW_PX] += change
    return ab


def _measurements(
    centres: NDArray[np.float32], bounds: NDArray[np.float32], sides: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The first row and column of every hint's window, intp [2, N], and the weights of its three measurements there.

    centres [2, N] in pixels, rows then columns. bounds [2, 2, N]: start and stop of the patches. sides [2, 1].
    weights: float32 [2, N, 3, WINDOW_PX] along each axis: of the point (linear between pixel centres), of its pixel
    and of the patch.
    """
    starts = np.clip(np.rint(centres - WINDOW_PX / 2), 0, sides - WINDOW_PX)
    pixels = starts[..., None] + _STEPS
    weights = np.empty((*centres.shape, 3, WINDOW_PX), np.float32)
    weights[:, :, 0] = np.maximum(1 - np.abs(pixels - np.clip(centres - 0.5, 0, sides - 1)[..., None]), 0)
    weights[:, :, 1] = pixels == np.minimum(np.floor(centres), sides - 1)[..., None]
    first, stop = bounds[:, 0, :, None], bounds[:, 1, :, None]
    weights[:, :, 2] = ((pixels >= first) & (pixels < stop)) / (stop - first)
    return starts.astype(np.intp), weights


def _priorities(centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much of its residual each hint at centres [2, N] is corrected beside later ones, [N, 1, 1] in 0…1."""
    distances = np.hypot(*(centres[:, :, None] - centres[:, None]))
    distances[np.tri(len(distances), dtype=np.bool_)] = np.inf
    return np.clip((distances.min(1) - NEAR_PX) / (APART_PX - NEAR_PX), 0, 1)[:, None, None].astype(np.float32)


def _residuals(
    windows: NDArray[np.float32], targets: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Targets [N, 2] minus the three measurements in windows of ab [2, N, WINDOW_PX, WINDOW_PX], reduced by
    TOLERANCE_AB: [N, 3, 2]."""
    measured = (weights[0] @ windows * weights[1]).sum(-1)
    residuals = targets[:, None] - measured.transpose(1, 2, 0)
    size = np.maximum(np.hypot(residuals[..., :1], residuals[..., 1:]), TOLERANCE_AB)
    return residuals * (1 - TOLERANCE_AB / size)


class _Corrections:
    """The smallest changes of windows that add given residuals to their measurements."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        """weights: of `_measurements`."""
        blurred = weights @ _BLURS
        kernel = (_AMPLITUDES[:, None] * (blurred @ weights.transpose(0, 1, 3, 2)).prod(1)).sum(0)
        self._solver = np.linalg.inv(kernel + RIDGE)
        self._down, self._across = blurred.transpose(1, 2, 0, 3, 4)[:, :, None]

    def planes(self, indices: NDArray[np.intp], residuals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Residuals [K, 3, 2] of hints `indices` [K] → what to add to their windows, [K, 2, WINDOW_PX, WINDOW_PX]."""
        heights = (self._solver[indices] @ residuals).transpose(0, 2, 1)[:, :, None, :, None] * _AMPLITUDES
        down = (heights * self._down[indices]).reshape(len(indices), 2, -1, WINDOW_PX)
        return down.transpose(0, 1, 3, 2) @ self._across[indices].reshape(len(indices), 1, -1, WINDOW_PX)
