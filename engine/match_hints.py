"""Keep the visitor's colour: what the network still misses under the hints is made up for, without a visible dot.

A network that answers to hints comes close to their colours by itself. What is left at a hint is measured in three
ways: at its very point (between pixels, as an enlarged picture shows it), at the pixel that holds the point, and as
the mean of its patch. The smallest smooth change of ab that takes all three below KEPT is added: smallest in the
sense of the kernel WIDE + NARROW_SHARE · NARROW of two Gaussians, so that the change is a broad bump where it can
be, and narrow only where an edge runs through the patch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .hints import Hint, patch_bounds

# A colour this near to the asked one (CIE76, in ab) is left alone.
KEPT = 0.7
# Standard deviations of the two Gaussians in working pixels, and how much the narrow one counts.
WIDE_PX, NARROW_PX, NARROW_SHARE = 3.0, 1.0, 0.3
# Side of the window that holds a change: beyond it the Gaussians are as good as zero.
WINDOW_PX = 23
# A hint with a later one nearer than NEAR_PX gives way to it; from APART_PX on, both are kept.
NEAR_PX, APART_PX = 5.0, 9.0
# Windows of neighbours overlap, so there may be need of more rounds than one; they end where so little is left to add.
ROUNDS, ENOUGH = 8, 0.2
# Against systems without a solution: two measures may be the same. Relative to the kernel at 0.
RIDGE = np.eye(3, dtype=np.float32) * np.float32(1e-3)

_STEPS = np.arange(WINDOW_PX, dtype=np.float32)
_SQUARES = (_STEPS[:, None] - _STEPS) ** 2
# Both Gaussians as matrices [WINDOW_PX, WINDOW_PX], for weights [axis, N, measure, WINDOW_PX].
_BLURS = np.exp(-_SQUARES / (2 * np.array([WIDE_PX, NARROW_PX])[:, None, None] ** 2)).astype(np.float32)[:, None, None]
_SHARES = np.array([1, NARROW_SHARE], np.float32)[:, None, None]


def match_hints(ab: NDArray[np.float32], hints: Sequence[Hint]) -> NDArray[np.float32]:
    """ab float32 [2, H, W] in CIELAB units (H, W ≥ WINDOW_PX) with the colours of the hints as asked, within ΔE 1.

    Changed in place where it is writeable, and returned. Holds for hints at least APART_PX working pixels from the
    next; of two nearer ones the later is kept, the earlier as far as that leaves it room.
    """
    if not hints or min(ab.shape[1:]) < WINDOW_PX:
        return ab
    if not ab.flags.writeable:
        ab = ab.copy()
    sides = np.array(ab.shape[1:], np.float32)[:, None]
    table = np.array([(h.y, h.x, h.a, h.b, *patch_bounds(h.x, h.y, h.size, *ab.shape[1:])) for h in hints], np.float32)
    centres, asked, bounds = table[:, :2].T * sides, table[:, 2:4], table[:, 4:].T.reshape(2, 2, -1)
    starts, weights = _measures(centres, bounds, sides)
    heard = _heard(centres)
    windows = sliding_window_view(ab, (WINDOW_PX, WINDOW_PX), axis=(1, 2))
    changes: _Changes | None = None
    for _ in range(ROUNDS):
        missing = _missing(windows[:, starts[0], starts[1]], asked, weights) * heard
        left_over = np.nonzero(np.abs(missing).max((1, 2)) >= ENOUGH)[0]
        if not len(left_over):
            break
        changes = changes or _Changes(weights)
        found = changes.planes(left_over, missing[left_over])
        for (top, left), change in zip(starts[:, left_over].T.tolist(), found, strict=True):
            ab[:, top : top + WINDOW_PX, left : left + WINDOW_PX] += change
    return ab


def _measures(
    centres: NDArray[np.float32], bounds: NDArray[np.float32], sides: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Where the windows start, intp [2, N] (rows, columns), and the weights in them along each axis, float32
    [2, N, 3, WINDOW_PX], of the three measures: the point (linear between pixel centres), its pixel, the patch.

    centres [2, N] in pixels; bounds [2, 2, N]: first and end of the patches, rows then columns; sides [2, 1].
    """
    starts = np.clip(np.rint(centres - WINDOW_PX / 2), 0, sides - WINDOW_PX)
    pixels = starts[..., None] + _STEPS
    weights = np.empty((*centres.shape, 3, WINDOW_PX), np.float32)
    weights[:, :, 0] = np.maximum(1 - np.abs(pixels - np.clip(centres - 0.5, 0, sides - 1)[..., None]), 0)
    weights[:, :, 1] = pixels == np.minimum(np.floor(centres), sides - 1)[..., None]
    first, end = bounds[:, 0, :, None], bounds[:, 1, :, None]
    weights[:, :, 2] = ((pixels >= first) & (pixels < end)) / (end - first)
    return starts.astype(np.intp), weights


def _heard(centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """How strongly each hint at centres [2, N] is pressed for beside the later ones, 0…1 [N, 1, 1]."""
    apart = np.hypot(*(centres[:, :, None] - centres[:, None]))
    apart[np.tri(len(apart), dtype=np.bool_)] = np.inf
    return np.clip((apart.min(1) - NEAR_PX) / (APART_PX - NEAR_PX), 0, 1)[:, None, None].astype(np.float32)


def _missing(
    windows: NDArray[np.float32], asked: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far asked [N, 2] is from what the three measures give in windows of ab [2, N, WINDOW_PX, WINDOW_PX],
    beyond KEPT: [N, 3, 2]."""
    shown = (weights[0] @ windows * weights[1]).sum(-1)
    missing = asked[:, None] - shown.transpose(1, 2, 0)
    size = np.maximum(np.hypot(missing[..., :1], missing[..., 1:]), KEPT)
    return missing * (1 - KEPT / size)


class _Changes:
    """What makes up for a miss at every hint, by the weights of the measures."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        fields = weights @ _BLURS
        kernel = (_SHARES[:, None] * (fields @ weights.transpose(0, 1, 3, 2)).prod(1)).sum(0)
        self._solver = np.linalg.inv(kernel + RIDGE)
        self._down, self._across = fields.transpose(1, 2, 0, 3, 4)[:, :, None]

    def planes(self, which: NDArray[np.intp], missing: NDArray[np.float32]) -> NDArray[np.float32]:
        """What hints `which` [K] miss by the measures [K, 3, 2] → what to add to their windows,
        [K, 2, WINDOW_PX, WINDOW_PX]."""
        heights = (self._solver[which] @ missing).transpose(0, 2, 1)[:, :, None, :, None] * _SHARES
        down = (heights * self._down[which]).reshape(len(which), 2, -1, WINDOW_PX)
        return down.transpose(0, 1, 3, 2) @ self._across[which].reshape(len(which), 1, -1, WINDOW_PX)
