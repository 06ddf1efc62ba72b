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
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .hints import Hint
from .match_geometry import WINDOW_PX, MatchGeometry
from .match_responses import Complexes, Floats

# A colour this near to the hint's (CIE76, in ab) is not changed.
TOLERANCE_AB = 0.7
# Windows of neighbouring hints overlap, so several rounds may be needed. They end when residuals are small.
MAX_ROUNDS, MIN_RESIDUAL_AB = 8, 0.2
MIN_CAPACITY = 16


class _Geometries(threading.local):
    """The geometries of the last hints in this thread: while one hint is dragged, that of the others is not computed.

    Answers do not depend on it, to the last bit. So there is one geometry for every capacity: sums over 20 hints are
    made in the same order after 20 hints as after 100.
    """

    def __init__(self) -> None:
        self._kept: dict[int, MatchGeometry] = {}

    def of(self, hints: Sequence[Hint], shape: tuple[int, int]) -> MatchGeometry:
        capacity = max(MIN_CAPACITY, 1 << (len(hints) - 1).bit_length())
        geometry = self._kept.get(capacity)
        if geometry is None or geometry.shape != shape:
            geometry = self._kept[capacity] = MatchGeometry(shape, capacity)
        geometry.place(hints)
        return geometry


_geometries = _Geometries()


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
    geometry = _geometries.of(hints, ab.shape[1:])
    if ab.flags.c_contiguous and geometry.columns == ab.shape[2]:
        _match(geometry, ab)
    else:
        copy = np.zeros((*ab.shape[:2], geometry.columns), np.float32)
        shown = copy[..., : ab.shape[2]]
        shown[:] = ab
        _match(geometry, copy)
        ab[:] = shown
    return ab


def _match(geometry: MatchGeometry, ab: Floats) -> None:
    """Change contiguous ab [2, H, columns]."""
    residuals = geometry.colours - geometry.measure(ab)
    removed, is_changed = _removed(geometry, residuals.reshape(-1))
    rows = is_changed.nonzero()[0]
    if len(rows):
        geometry.change(ab, rows, removed.reshape(3, -1))


def _removed(geometry: MatchGeometry, residuals: Complexes) -> tuple[Complexes, NDArray[np.bool_]]:
    """The sum over all rounds of the residuals to remove, a + ib, at every measurement of every hint, [3 · C]. Which
    hints have any, [C].

    residuals [3 · C]: colours of the hints less the measurements; changed here. An operation of NumPy on arrays this
    small takes a third of the time if their shapes are equal.
    """
    priorities = geometry.priorities.reshape(-1)
    tolerance, least = _filled(3 * geometry.capacity, TOLERANCE_AB), _filled(geometry.capacity, MIN_RESIDUAL_AB)
    tolerances = priorities * tolerance
    removed, is_changed = np.zeros(residuals.shape, np.complex64), np.zeros(geometry.capacity, np.bool_)
    for round_ in range(MAX_ROUNDS):
        sizes = np.abs(residuals)
        shares = priorities - tolerances / np.maximum(sizes, tolerance)
        unmatched = np.maximum.reduce((sizes * shares).reshape(3, -1)) >= least
        if not np.count_nonzero(unmatched):
            break
        now = residuals * (shares.reshape(3, -1) * unmatched).reshape(-1)
        removed += now
        is_changed |= unmatched
        if round_ < MAX_ROUNDS - 1:
            geometry.responses.remove(residuals, now)
    return removed, is_changed


@cache
def _filled(length: int, number: float) -> Floats:
    """A number as an array [length]; do not change it."""
    return np.full(length, number, np.float32)
