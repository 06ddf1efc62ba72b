"""The first colour of a tap: visible, at least as colourful as before, in its own hue."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour.cielab import in_gamut, project_into_gamut
from livetint.engine.first_colour import COLOURED_AB, MAX_TURN_DEGREES, STEP_AB, first_colour
from numpy.typing import NDArray

UNIT = st.floats(0, 1)
Planes = tuple[NDArray[np.float32], NDArray[np.float32]]


def even(L: float, a: float, b: float) -> Planes:
    """Planes of one colour, reduced into the gamut."""
    _, a, b = project_into_gamut(np.array([L, a, b], np.float64))
    planes = np.empty((3, 256, 256), np.float32)
    planes[0], planes[1], planes[2] = L, a, b
    return planes[0], planes[1:]


@settings(deadline=None, max_examples=30)
@given(UNIT, UNIT, st.floats(25, 85), st.floats(0, 40), st.floats(0, 6.28), st.floats(0.5, 2))
def test_it_is_visible_in_gamut_and_more_colourful_in_its_own_hue(x, y, L, chroma, hue, vivid):
    L_plane, shown = even(L, chroma * np.cos(hue), chroma * np.sin(hue))
    first = np.array(first_colour(L_plane, shown, (shown / vivid).astype(np.float32), (x, y), L))
    before = shown[:, 0, 0].astype(np.float64)
    assert in_gamut(np.array([L, *first]))
    # Near the border of the gamut there may be no colour of this hue that is far enough away.
    if in_gamut(np.array([L, *before * (1 + 10 / max(np.hypot(*before), 1e-6))])):
        assert np.hypot(*(first - before)) >= STEP_AB - 0.1
        assert np.hypot(*first) > np.hypot(*before)
        if np.hypot(*before) >= COLOURED_AB:
            cosine = first @ before / np.hypot(*first) / np.hypot(*before)
            assert cosine >= np.cos(np.radians(MAX_TURN_DEGREES + 0.01))


def test_a_grey_place_takes_a_warm_tint_and_a_blue_one_stays_blue():
    L_plane, grey = even(60, 0.3, -0.4)
    a, b = first_colour(L_plane, grey, grey, (0.4, 0.7), 60)
    assert b > STEP_AB - 2 and abs(a) < b
    L_plane, sky = even(60, -2, -25)
    a, b = first_colour(L_plane, sky, sky, (0.4, 0.7), 60)
    assert b < -21 and np.hypot(a, b) > np.hypot(*sky[:, 0, 0])


def test_the_likeliest_suggestion_is_taken_where_it_is_clearly_better():
    """A red hint has spread onto a sky: the network expects blue there."""
    L_plane, red = even(60, 12, 8)
    _, blue = even(60, -2, -20)
    point = (0.5, 0.5)
    assert first_colour(L_plane, red, blue, point, 60, (-3.0, -24.0)) == (-3.0, -24.0)
    assert first_colour(L_plane, red, red, point, 60, (-3.0, -24.0))[0] > 6, "red is expected: red it stays"
    assert first_colour(L_plane, red, blue, point, 60, (-1.0, -3.0))[0] > 6, "never less colourful"


@given(st.sampled_from([0.0, 0.4, 99.7, 100.0]), st.floats(-30, 30), st.floats(-30, 30))
@settings(deadline=None, max_examples=20)
def test_white_and_black_places_get_what_srgb_has_there(L, a, b):
    L_plane, ab = np.full((256, 256), L, np.float32), np.zeros((2, 256, 256), np.float32)
    ab[0], ab[1] = a, b
    first = first_colour(L_plane, ab, ab, (1.0, 1.0), L)
    assert in_gamut(np.array([L, *first])) and np.isfinite(first).all()
