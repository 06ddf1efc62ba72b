"""The first colour of a tap: what is shown there, made a little richer.

A visitor who taps an object wants to see that something happened, and wants the picture to get no worse. So the first
colour lies STEP_AB from the colour shown, is at least as colourful, and keeps its hue; where the photograph is nearly
grey, the hue is free. Among these colours it is the one nearest in sRGB to the expected colour. A photograph that the
network has not seen is expected to be a little paler than the automatic colours where they are strong, and a little
warmer everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .colour.cielab import lab_to_srgb, project_into_gamut
from .hints import DEFAULT_SIZE_PX, patch_bounds, pixel_at

# Distance in ab from the colour shown. The network comes within about 0.25 of most hints, so that at least 6
# is seen.
STEP_AB = 6.25
# The first colour has at least so much more chroma than the patch has on average.
MIN_GAIN_AB = 0.3
# The expected ab: the automatic ab times the scale, plus the warmth (`bench accuracy --taps` measures the result).
EXPECTED_SCALE, WARMTH_AB = 0.85, (1.0, 5.0)
# The hue may turn by so many degrees where the chroma is at least COLOURED_AB; it is free up to GREYISH_AB.
MAX_TURN_DEGREES, COLOURED_AB, GREYISH_AB = 30.0, 10.0, 3.0
# The likeliest suggestion is clearly better where its squared error in sRGB is at most this share of the other's.
CLEARLY_BETTER = 0.5
DIRECTIONS = 48
_ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
_UNIT = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
# The gamut is found to 2^-GAMUT_STEPS of the chroma.
GAMUT_STEPS = 12


def first_colour(
    L_plane: NDArray[np.float32],
    ab: NDArray[np.float32],
    automatic: NDArray[np.float32],
    point: tuple[float, float],
    L: float,
    likeliest: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """The ab that a tap at `point` (x, y in 0…1) gives first, in the sRGB gamut at `L` (0…100, of the point).

    L_plane: working L float32 [H, W] in 0…100. ab: the colours shown, float32 [2, H, W] in CIELAB units. automatic:
    those without hints at `vivid` 1, float32 [2, H, W]. likeliest: the ab of the likeliest suggestion, in the gamut at
    L. Where sRGB has no colour that is different enough (nearly white and nearly black places), the result is the most
    colourful one.
    """
    shown, chroma = _shown(L_plane, ab, point, L)
    expected = EXPECTED_SCALE * _at(automatic, point) + np.array(WARMTH_AB)
    ring = _projected(shown + STEP_AB * _UNIT, L)
    is_rich = np.hypot(*ring.T) >= chroma + MIN_GAIN_AB
    is_far = np.hypot(*(ring - shown).T) >= STEP_AB - 0.05
    allowed = ring[is_rich & is_far & _keeps_hue(ring, shown)]
    if not len(allowed):
        allowed = ring[is_rich & is_far]
    if not len(allowed):
        best = ring[int(np.argmax(np.hypot(*ring.T)))]
        return float(best[0]), float(best[1])
    error = _squared_error(allowed, expected, L)
    best, least = allowed[int(error.argmin())], float(error.min())
    if likeliest is not None:
        other = np.array(likeliest)
        is_visible = np.hypot(*other) >= chroma + MIN_GAIN_AB and np.hypot(*(other - shown)) >= STEP_AB
        if is_visible and _squared_error(other[None], expected, L)[0] <= CLEARLY_BETTER * least:
            best = other
    return float(best[0]), float(best[1])


def _shown(
    L_plane: NDArray[np.float32], ab: NDArray[np.float32], point: tuple[float, float], L: float
) -> tuple[NDArray[np.float64], float]:
    """The mean ab [2] of a tap's patch in the gamut at `L`, and the mean chroma of its pixels as they are seen."""
    top, bottom, left, right = patch_bounds(*point, DEFAULT_SIZE_PX, *L_plane.shape)
    patch = np.stack([L_plane, *ab], -1)[top:bottom, left:right].reshape(-1, 3).astype(np.float64)
    seen = project_into_gamut(patch, GAMUT_STEPS)[:, 1:]
    mean = _projected(patch[:, 1:].mean(0)[None], L)[0]
    return mean, max(float(np.hypot(*seen.T).mean()), float(np.hypot(*mean)))


def _keeps_hue(colours: NDArray[np.float64], shown: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `colours` [n, 2] have about the hue of `shown` [2]; all of them where that is nearly grey."""
    chroma = float(np.hypot(*shown))
    if chroma <= GREYISH_AB:
        return np.ones(len(colours), np.bool_)
    free = max(0.0, (COLOURED_AB - chroma) / (COLOURED_AB - GREYISH_AB))
    limit = np.radians(MAX_TURN_DEGREES + free * (180 - MAX_TURN_DEGREES))
    cosine = colours @ shown / np.maximum(np.hypot(*colours.T) * chroma, 1e-9)
    return np.arccos(np.clip(cosine, -1, 1)) <= limit


def _at(ab: NDArray[np.float32], point: tuple[float, float]) -> NDArray[np.float64]:
    """ab [2, H, W] at a point, [2]."""
    row, column = pixel_at(*point, *ab.shape[1:])
    return ab[:, row, column].astype(np.float64)


def _projected(ab: NDArray[np.float64], L: float) -> NDArray[np.float64]:
    """ab [n, 2] in the gamut at L."""
    return np.asarray(project_into_gamut(np.column_stack([np.full(len(ab), L), ab]), GAMUT_STEPS)[:, 1:], np.float64)


def _squared_error(colours: NDArray[np.float64], expected: NDArray[np.float64], L: float) -> NDArray[np.float64]:
    """Squared differences [n] in sRGB between colours [n, 2] and the expected one [2], all at L."""
    lab = np.column_stack([np.full(len(colours) + 1, L), np.vstack([colours, expected])])
    srgb = lab_to_srgb(lab)
    return ((srgb[:-1] - srgb[-1]) ** 2).sum(1)
