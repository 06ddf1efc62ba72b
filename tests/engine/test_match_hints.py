"""Colours under hints are those of the hints, and the change that makes them so cannot be seen."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine import Photo, Session
from livetint.engine.colour.cielab import srgb_to_lab
from livetint.engine.hints import MAX_SIZE_PX, MIN_SIZE_PX, WORKING_PX, Hint, patch_bounds
from livetint.engine.match_geometry import APART_PX
from livetint.engine.match_hints import match_hints
from livetint.engine.models import bundled_folder, find_model
from livetint.engine.runners import onnx
from livetint.engine.runners.onnx import OnnxRunner

PHOTOS = sorted((bundled_folder().parent / "photos").glob("*.jpg"))
SIDE = WORKING_PX
# The just-noticeable difference in Lab.
NOTICEABLE = 2.3
fractions = st.floats(0, 1, width=32)
places = st.lists(st.tuples(fractions, fractions), min_size=1, max_size=10)


@cache
def runner() -> OnnxRunner:
    return OnnxRunner(find_model("touch"), threads=1)


@cache
def session_on(index: int) -> Session:
    return Session(Photo.open(PHOTOS[index]), runner())


def apart(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that lie at least APART_PX from all before them."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if all(np.hypot(point[0] - x, point[1] - y) * SIDE >= APART_PX for x, y in kept):
            kept.append(point)
    return kept


def differences(ab: np.ndarray, hint: Hint) -> tuple[float, float]:
    """ΔE in ab from the hint's colour to the pixel under it, and to the mean of its patch."""
    row, column = min(int(hint.y * SIDE), SIDE - 1), min(int(hint.x * SIDE), SIDE - 1)
    top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, SIDE, SIDE)
    target = np.array([hint.a, hint.b])
    shown = ab[:, row, column], ab[:, top:bottom, left:right].mean((1, 2))
    return tuple(float(np.linalg.norm(colour - target)) for colour in shown)  # type: ignore[return-value]


def gradient(ab: np.ndarray) -> np.ndarray:
    """The larger of the steps to the right and downwards, [H, W]."""
    across, down = (np.linalg.norm(np.diff(ab, axis=axis, append=ab.take([-1], axis)), axis=0) for axis in (2, 1))
    return np.maximum(across, down)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, len(PHOTOS) - 1), places, st.integers(0, 2**32 - 1))
def test_every_hint_nine_pixels_from_the_next_shows_its_colour(index: int, points, seed: int):
    rng = np.random.default_rng(seed)
    session = session_on(index)
    session.clear()
    for x, y in apart(points):
        angle, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(0, 80)
        size = int(rng.integers(MIN_SIZE_PX, MAX_SIZE_PX + 1))
        session.add(x, y, chroma * np.cos(angle), chroma * np.sin(angle), size)
    assert max(max(differences(session.ab, hint)) for hint in session.points) <= 1


@pytest.mark.parametrize("index", range(len(PHOTOS)))
def test_the_rendered_picture_shows_the_hints_colours(index: int):
    session = session_on(index)
    session.clear()
    rng = np.random.default_rng(index)
    for x, y in apart([tuple(p) for p in rng.uniform(0.05, 0.95, (8, 2))]):
        session.add(x, y, *rng.uniform(-50, 50, 2))
    lab = srgb_to_lab(session.render() / 255)
    height, width = lab.shape[:2]
    for hint in session.points:
        shown = lab[int(hint.y * height), int(hint.x * width), 1:]
        # Half a level of rounding in 8 bits is up to another ΔE of 0.7.
        assert np.linalg.norm(shown - (hint.a, hint.b)) <= 1.7


@pytest.mark.parametrize("size", range(MIN_SIZE_PX, MAX_SIZE_PX + 1))
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.501, 0.4983), (0.0, 0.0), (1.0, 0.3)])
def test_on_even_colour_the_change_is_one_broad_bump(size: int, place: tuple[float, float]):
    hint = Hint(*place, 10, 0, size)
    ab = match_hints(np.zeros((2, SIDE, SIDE), np.float32), [hint])
    assert max(differences(ab, hint)) <= 1
    assert not ab[1].any() and ab[0].min() > -0.1 and ab[0].max() < 12
    assert gradient(ab).max() < NOTICEABLE, "a difference of 10 must come in steps too small to see"
    row = ab[0, min(int(place[1] * SIDE), SIDE - 1)]
    top = int(row.argmax())
    ripple = max(-np.diff(row[: top + 1]).min(initial=0), np.diff(row[top:]).max(initial=0))
    assert ripple < NOTICEABLE / 2, "the change must rise to its middle and then fall"


@cache
def even_places(index: int) -> np.ndarray:
    """(row, column) of the working pixels with even L in the 25 × 25 around them."""
    L = session_on(index).photo.working_L
    window = np.ones((25, 25), np.uint8)
    spread = (cv2.dilate(L, window) - cv2.erode(L, window))[12:-12, 12:-12]
    return np.argwhere(spread < 12) + 12


@settings(deadline=None, max_examples=25)
@given(st.integers(0, len(PHOTOS) - 1), fractions, st.floats(0, 2 * np.pi), st.integers(MIN_SIZE_PX, MAX_SIZE_PX))
def test_no_dot_can_be_seen_where_lightness_is_even(index: int, which: float, angle: float, size: int):
    session, places = session_on(index), even_places(index)
    row, column = places[int(which * (len(places) - 1))]
    session.clear()
    session.add((column + which) / SIDE, (row + which) / SIDE, 40 * np.cos(angle), 40 * np.sin(angle), size)
    kept = session.ab
    with pytest.MonkeyPatch.context() as without:
        without.setattr(onnx, "match_hints", lambda ab, hints: ab)
        session.undo()
        assert session.ab is not kept, "ab of other hints must be computed anew"
        session.redo()
        added = gradient(kept) - gradient(session.ab)
    assert added[row - 12 : row + 13, column - 12 : column + 13].max() < NOTICEABLE


def test_of_two_hints_in_one_place_the_later_is_matched():
    for second in ((0.5, 0.5), (0.505, 0.5)):
        hints = [Hint(0.5, 0.5, 40, 0), Hint(*second, -40, 0)]
        ab = match_hints(np.zeros((2, SIDE, SIDE), np.float32), hints)
        assert differences(ab, hints[1])[0] <= 1
        assert np.abs(ab).max() < 50
    many = [Hint(0.5 + 0.001 * i, 0.5, *np.random.default_rng(i).uniform(-60, 60, 2)) for i in range(128)]
    assert np.abs(match_hints(np.zeros((2, SIDE, SIDE), np.float32), many)).max() < 128


def test_colours_within_the_tolerance_and_far_from_hints_do_not_change():
    ab = np.random.default_rng(0).normal(0, 0.1, (2, SIDE, SIDE)).astype(np.float32)
    near = [Hint(0.3, 0.3, 0.3, 0.3), Hint(0.7, 0.7, -0.3, 0)]
    assert np.array_equal(match_hints(ab.copy(), near), ab)
    changed = match_hints(ab.copy(), [Hint(0.25, 0.25, 50, 0)])
    assert np.array_equal(changed[:, 96:], ab[:, 96:]) and np.array_equal(changed[:, :, 96:], ab[:, :, 96:])


def test_read_only_arrays_and_small_ones_do_not_change():
    ab = np.zeros((2, SIDE, SIDE), np.float32)
    ab.setflags(write=False)
    assert match_hints(ab, [Hint(0.5, 0.5, 30, 30)]).any() and not ab.any()
    small = np.zeros((2, 8, 8), np.float32)
    assert not match_hints(small, [Hint(0.5, 0.5, 30, 30)]).any()
    assert match_hints(ab, []) is ab


def test_an_array_of_another_order_is_changed_in_place_too():
    hints = [Hint(0.3, 0.4, 30, 30), Hint(0.9, 0.9, -20, 5)]
    ab = np.zeros((SIDE, SIDE, 2), np.float32).transpose(2, 0, 1)
    assert match_hints(ab, hints) is ab
    assert np.array_equal(ab, match_hints(np.zeros((2, SIDE, SIDE), np.float32), hints))


@pytest.mark.parametrize("number", [1, 12])
def test_hints_of_the_last_call_are_read_again_where_others_take_their_place(number):
    rng = np.random.default_rng(number)
    first = [Hint(*rng.random(2), *rng.uniform(-40, 40, 2)) for _ in range(12)]
    moved = [*first[number:], *(Hint(*rng.random(2), *rng.uniform(-40, 40, 2)) for _ in range(number))]
    ab = rng.normal(0, 20, (2, 256, 256)).astype(np.float32)
    alone = match_hints(ab.copy(), [replace(hint) for hint in moved])
    for before in (first, first[:3], moved):
        match_hints(ab.copy(), before)
        np.testing.assert_array_equal(match_hints(ab.copy(), moved), alone)
