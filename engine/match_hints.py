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
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from .hints import Hint
from .match_geometry import WINDOW_PX, Floats, MatchGeometry

# A colour this near to the hint's (CIE76, in ab) is not changed.
TOLERANCE_AB = 0.7
# Windows of neighbouring hints overlap, so several rounds may be needed. They end when residuals are small.
MAX_ROUNDS, MIN_RESIDUAL_AB = 8, 0.2


class _Last(threading.local):
    """The geometry of the last hints in this thread: while one hint is dragged, that of the others is not computed.

    Answers do not depend on it, to the last bit.
    """

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
    if not ab.flags.c_contiguous:
        ab[:] = match_hints(np.ascontiguousarray(ab), hints)
        return ab
    values = chain.from_iterable([(hint.y, hint.x, hint.size, hint.a, hint.b) for hint in hints])
    table = np.fromiter(values, np.float64, 5 * len(hints)).reshape(-1, 5)
    geometry = _last.of(table[:, :3], ab.shape[1:])
    targets = np.zeros((2, 1, geometry.capacity), np.float32)
    targets[:, 0, : len(hints)] = table[:, 3:].T
    removed = _removed(geometry, targets - geometry.measure(ab))
    changed = np.logical_or.reduce(removed.reshape(6, -1)).nonzero()[0]
    if len(changed):
        geometry.change(ab, changed, removed.take(changed, 2))
    return ab


def _removed(geometry: MatchGeometry, residuals: Floats) -> Floats:
    """The sum over all rounds of the residuals to remove: of a and b at every measurement of every hint, [2, 3, C].

    residuals [2, 3, C]: colours of the hints less the measurements; changed here.
    """
    priorities = geometry.priorities
    tolerances = priorities * TOLERANCE_AB
    removed = np.zeros(residuals.shape, np.float32)
    for round_ in range(MAX_ROUNDS):
        squares = residuals * residuals
        sizes = np.sqrt(np.maximum(squares[0] + squares[1], TOLERANCE_AB**2))
        now = residuals * (priorities - tolerances / sizes)
        unmatched = np.maximum.reduce(np.abs(now).reshape(6, -1)) >= MIN_RESIDUAL_AB
        if not np.count_nonzero(unmatched):
            break
        now *= unmatched
        removed += now
        if round_ < MAX_ROUNDS - 1:
            geometry.remove(residuals, now)
    return removed
