"""Hints: their checks, their patches and their rasterisation into planes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livetint.engine.errors import HintRejected
from livetint.engine.hints import Hint, patch_bounds, rasterise

places = st.floats(0, 1)
hints = st.builds(Hint, places, places, st.floats(-128, 128), st.floats(-128, 128), st.integers(1, 9))


@given(places, places, st.integers(1, 9), st.integers(1, 300), st.integers(1, 300))
def test_patches_follow_the_formula_and_stay_inside(x, y, size, height, width):
    top, bottom, left, right = patch_bounds(x, y, size, height, width)
    assert 0 <= top < bottom <= height and 0 <= left < right <= width
    first = math.floor(y * height - size / 2 + 0.5)
    if first >= 0 and first + size <= height:
        assert (top, bottom) == (first, first + size)
    # the pixel under the hint is always in its patch
    assert top <= min(int(y * height), height - 1) < bottom
    assert left <= min(int(x * width), width - 1) < right


@given(st.lists(hints, max_size=8))
def test_planes_hold_the_last_hint_on_every_pixel(placed):
    ab, mask = rasterise(placed, (32, 48))
    expected_ab, expected_mask = np.zeros((2, 32, 48), np.float32), np.zeros((1, 32, 48), np.float32)
    for hint in placed:
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, 32, 48)
        expected_ab[:, top:bottom, left:right] = np.array([hint.a, hint.b], np.float32)[:, None, None]
        expected_mask[:, top:bottom, left:right] = 1
    np.testing.assert_array_equal(ab, expected_ab)
    np.testing.assert_array_equal(mask, expected_mask)


def test_a_grey_hint_is_a_hint():
    _, mask = rasterise([Hint(0.5, 0.5, 0, 0, 3)])
    assert mask.sum() == 9


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": -0.01}, {"x": 1.01}, {"y": float("nan")}, {"a": 200.0}, {"b": float("inf")},
        {"x": float("inf")}, {"y": float("-inf")}, {"a": float("nan")}, {"b": float("nan")}, {"a": "red"}, {"x": None},
        {"size": 0}, {"size": 10}, {"size": 2.5}, {"size": float("nan")}, {"size": float("inf")}, {"size": True},
        {"size": "5"}, {"size": None},
    ],
)  # fmt: skip
def test_impossible_hints_are_refused(wrong):
    with pytest.raises(HintRejected):
        Hint(**{"x": 0.5, "y": 0.5, "a": 0.0, "b": 0.0, "size": 5, **wrong})


@pytest.mark.parametrize("size", [5, 5.0, np.int64(5), np.float32(5)])
def test_whole_sizes_become_integers(size):
    hint = Hint(0.5, 0.5, 10, 10, size)
    assert type(hint.size) is int and hint == Hint(0.5, 0.5, 10, 10, 5)
    assert rasterise([hint])[1].sum() == 25
