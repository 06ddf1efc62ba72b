"""What PSNR does not say: is the colour at a hint the asked one, how far does it reach, does it stop at edges.

All functions take CIELAB arrays, ab as float32 [2, H, W] in CIELAB units. Differences are CIE76.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...engine.colour.metrics import delta_e
from ...engine.hints import Hint, patch_bounds

# The just-noticeable difference in Lab, from which on iColoriT's HPR counts a pixel as changed.
NOTICEABLE = 2.3
# A swatch this near to the true colour counts as offering it.
COVERED = 10.0
# An edge: a difference of at least this in L between neighbours.
EDGE_L = 12.0
EDGE_WIDTH_PX = 2

Plane = NDArray[np.float32]


def at_hints(ab: Plane, hints: Sequence[Hint]) -> float | None:
    """Mean over hints of the difference between the mean ab under the patch and the hint's ab; None without hints.

    L is the photograph's own, so the difference is in ab alone. Patches that a later one overlaps count too.
    """
    if not hints:
        return None
    differences = []
    for hint in hints:
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, ab.shape[1], ab.shape[2])
        shown = ab[:, top:bottom, left:right].mean((1, 2))
        differences.append(float(np.hypot(shown[0] - hint.a, shown[1] - hint.b)))
    return float(np.mean(differences))


def changed(before: Plane, after: Plane) -> NDArray[np.bool_]:
    """Pixels [H, W] whose colour changed by more than the just-noticeable difference."""
    return np.sqrt(((after - before) ** 2).sum(0)) > NOTICEABLE


def reach(before: Plane, after: Plane, hint: Hint) -> float | None:
    """Hint propagation range (HPR of iColoriT): mean distance from the newest hint to the pixels it changed.

    As a share of the side (0…1.4); None if nothing changed. The paper gives it in pixels of 224.
    """
    rows, columns = np.nonzero(changed(before, after))
    if not len(rows):
        return None
    height, width = before.shape[1:]
    y, x = (rows + 0.5) / height - hint.y, (columns + 0.5) / width - hint.x
    return float(np.hypot(y, x).mean())


def edges(L: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Pixels [H, W] within two of a step of at least 12 in L [H, W]."""
    strong = np.zeros(L.shape, bool)
    across, down = np.abs(np.diff(L, axis=1)) >= EDGE_L, np.abs(np.diff(L, axis=0)) >= EDGE_L
    strong[:, 1:] |= across
    strong[:, :-1] |= across
    strong[1:] |= down
    strong[:-1] |= down
    for _ in range(EDGE_WIDTH_PX - 1):
        wider = strong.copy()
        wider[1:] |= strong[:-1]
        wider[:-1] |= strong[1:]
        wider[:, 1:] |= strong[:, :-1]
        wider[:, :-1] |= strong[:, 1:]
        strong = wider
    return strong


def bleeding(lab: NDArray[np.floating], ab: Plane) -> float | None:
    """Mean colour error near edges of L minus that elsewhere; None for a picture without edges, or of edges alone.

    lab: the truth [H, W, 3]. Colour that runs over an edge, or stops short of it, makes it grow.
    """
    near = edges(lab[..., 0])
    if near.all() or not near.any():
        return None
    error = np.sqrt(((ab - lab[..., 1:].transpose(2, 0, 1)) ** 2).sum(0))
    return float(error[near].mean() - error[~near].mean())


def covered(swatches: NDArray[np.floating], truth: NDArray[np.floating]) -> bool:
    """Whether one of the swatches [K, 2] lies within ΔE 10 of the true ab [2] (at the same L)."""
    return bool(len(swatches) and np.sqrt(((swatches - truth) ** 2).sum(1)).min() <= COVERED)


def steadiness(frames: Sequence[Plane]) -> float:
    """Flicker under a moving hint: how unevenly colour changes from frame to frame, in CIELAB units.

    Mean over pixels of the size of the second difference of ab, over at least three frames: 0 for colour that is
    constant or changes evenly, large for colour that jumps back and forth.
    """
    stack = np.stack(frames)
    return float(np.sqrt((np.diff(stack, n=2, axis=0) ** 2).sum(1)).mean())


def mean_difference(truth: NDArray[np.floating], ab: Plane) -> float:
    """Mean CIE76 difference of ab on the true L from the true Lab [H, W, 3]."""
    lab = np.concatenate([truth[..., :1], ab.transpose(1, 2, 0)], -1)
    return float(delta_e(truth, lab).mean())
