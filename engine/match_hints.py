"""Make the colours under the hints those of the hints, by the smallest smooth change of ab.

A network that takes hints comes close to their colours by itself. What remains is measured in three ways at each hint:
at its exact point (between pixels, as an enlarged picture shows it), at the pixel that contains the point, and as the
mean over its patch. The smallest change that brings all three within TOLERANCE_AB is added to ab. It is the smallest
in the norm of the kernel WIDE + NARROW_WEIGHT · NARROW, a sum of two Gaussians (kernel interpolation). So the change
is a broad bump wherever possible, and narrow only where an edge crosses the patch.

The change is a sum of fields (`match_geometry.py`), one for each measurement of each hint. How much a field adds to a
measurement depends on the places of the hints alone, so the rounds work on measurements: ab is read once and written
once. `kernels/match_hints.cu` is the same in CUDA; a test holds the two equal.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from .hints import Hint
from .match_geometry import WINDOW_PX, Floats, MatchGeometry

# A colour this near to the hint's (CIE76, in ab) is not changed.
TOLERANCE_AB = 0.7
# A hint with a later one nearer than NEAR_PX gives way to it. From APART_PX on, both are matched.
NEAR_PX, APART_PX = 5.0, 9.0
# Windows of neighbouring hints overlap, so several rounds may be needed. They end when residuals are small.
MAX_ROUNDS, MIN_RESIDUAL_AB = 8, 0.2

_AS_ROW = attrgetter("y", "x", "size", "a", "b")


class _Last(threading.local):
    """The geometry of the last hints in this thread: while one hint is dragged, that of the others is not computed."""

    geometry: MatchGeometry | None = None

    def of(self, places: NDArray[np.float64], shape: tuple[int, ...]) -> MatchGeometry:
        if self.geometry is None or self.geometry.shape != shape or self.geometry.capacity < len(places):
            self.geometry = MatchGeometry(shape, len(places))
        self.geometry.place(places)
        return self.geometry


_last = _Last()


def match_hints(ab: Floats, hints: Sequence[Hint]) -> Floats:
    """ab float32 [2, H, W] in CIELAB units (H, W ≥ WINDOW_PX), changed to the hints' colours under them, within ΔE 1.

    A writeable array is changed in place and returned; of any other a changed copy is returned. ΔE 1 holds for hints
    at least APART_PX working pixels from the next one. Of two nearer hints the later one is matched, the earlier one
    in part.
    """
    if not hints or min(ab.shape[1:]) < WINDOW_PX:
        return ab
    if not ab.flags.writeable:
        ab = ab.copy()
    table = np.array(list(map(_AS_ROW, hints)))
    geometry = _last.of(table[:, :3], ab.shape[1:])
    residuals = _removed(geometry, table[:, 3:].T.astype(np.float32), geometry.measure(ab))
    changed = np.nonzero(residuals.any((0, 1)))[0]
    if len(changed):
        changes = geometry.changes(changed, residuals[:, :, changed])
        for (top, left), change in zip(geometry.starts[changed].tolist(), changes, strict=True):
            window = ab[:, top : top + WINDOW_PX, left : left + WINDOW_PX]
            np.add(window, change, window)
    return ab


def _removed(geometry: MatchGeometry, targets: Floats, measured: Floats) -> Floats:
    """The sum over all rounds of the residuals to remove: of a and b at every measurement of every hint, [2, 3, N].

    targets [2, N]: a and b of the hints. measured [2, 3, N]: of ab; changed here.
    """
    count = targets.shape[1]
    priorities = np.minimum(np.maximum((geometry.distances() - NEAR_PX) / (APART_PX - NEAR_PX), 0), 1)
    removed = np.zeros_like(measured)
    for _ in range(MAX_ROUNDS):
        residuals = targets[:, None] - measured
        sizes = np.maximum(np.hypot(residuals[0], residuals[1]), TOLERANCE_AB)
        residuals *= (1 - TOLERANCE_AB / sizes) * priorities
        unmatched = np.nonzero(np.abs(residuals).reshape(6, count).max(0) >= MIN_RESIDUAL_AB)[0]
        if not len(unmatched):
            break
        now = residuals[:, :, unmatched]
        removed[:, :, unmatched] += now
        measured += (now.transpose(0, 2, 1).reshape(2, -1) @ geometry.responses(unmatched)).reshape(measured.shape)
    return removed
