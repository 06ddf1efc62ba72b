"""match_hints computes what its definition says, also when it remembers the geometry of the hints before."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from livetint.engine import match_geometry
from livetint.engine.hints import Hint
from livetint.engine.match_hints import match_hints

from .match_reference import match_reference

# In CIELAB units.
TOLERANCE_AB = 1e-3
SHAPES = [(40, 61), (19, 19), (23, 23), (64, 64)]


def random_hints(rng: np.random.Generator, number: int, spread: float) -> list[Hint]:
    """Hints of any colour and size around the middle, at most `spread` of the picture apart."""
    places = np.clip(0.5 + spread * rng.uniform(-0.55, 0.55, (number, 2)), 0, 1)
    colours = rng.uniform(-60, 60, (number, 2))
    return [
        Hint(float(x), float(y), float(a), float(b), int(rng.integers(1, 10)))
        for (x, y), (a, b) in zip(places, colours, strict=True)
    ]


def smooth_ab(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Smooth ab float32 [2, H, W]."""
    small = rng.normal(0, 15, (6, 6, 2)).astype(np.float32)
    return np.ascontiguousarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1))


def decided_by_rounding(ab: np.ndarray, hints: list[Hint]) -> bool:
    """Whether a residual lies so near to MIN_RESIDUAL_AB that rounding decides if it is removed."""
    low, high = (match_reference(ab, hints, least) for least in (0.1999, 0.2001))
    return bool(np.abs(low - high).max() > TOLERANCE_AB / 2)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 9999), st.integers(1, 12), st.sampled_from([1.0, 0.3]), st.sampled_from(SHAPES))
def test_ab_is_that_of_the_definition(seed: int, number: int, spread: float, shape: tuple[int, int]):
    rng = np.random.default_rng(seed)
    ab, hints = smooth_ab(rng, shape), random_hints(rng, number, spread)
    assume(not decided_by_rounding(ab, hints))
    np.testing.assert_allclose(match_hints(ab.copy(), hints), match_reference(ab, hints), atol=TOLERANCE_AB)


@pytest.mark.parametrize("number", [17, 64, 65, 110])
def test_ab_of_many_hints_is_that_of_the_definition(number: int):
    rng = np.random.default_rng(number)
    ab, hints = smooth_ab(rng, (90, 91)), random_hints(rng, number, 1)
    assert not decided_by_rounding(ab, hints)
    np.testing.assert_allclose(match_hints(ab.copy(), hints), match_reference(ab, hints), atol=TOLERANCE_AB)


@pytest.mark.parametrize("number", [16, 64, 100])
def test_many_hints_match_as_before_when_more_have_come_and_gone(number: int):
    rng = np.random.default_rng(number)
    ab, hints = smooth_ab(rng, (90, 90)), random_hints(rng, 128, 1)
    kept = [*hints[: number - 1], hints[-1]]
    first, _, again = (match_hints(ab.copy(), those) for those in (kept, hints, kept))
    np.testing.assert_array_equal(first, again)
    fewer, _, again = (match_hints(ab.copy(), those) for those in (kept[:-1], kept, kept[:-1]))
    np.testing.assert_array_equal(fewer, again)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 9999),
    st.lists(st.sampled_from(["move", "add", "remove", "swap", "recolour", "clear", "size"]), max_size=12),
)
def test_no_answer_depends_on_the_hints_before(seed: int, edits: list[str]):
    """The same hints in a new thread, which remembers nothing, give the same to the last bit."""
    rng = np.random.default_rng(seed)
    ab, hints = smooth_ab(rng, (40, 61)), random_hints(rng, 5, 0.6)
    for edit in edits:
        at = int(rng.integers(len(hints))) if hints else 0
        new = random_hints(rng, 1, 0.6)[0]
        if edit == "add" or not hints:
            hints = [*hints, *random_hints(rng, int(rng.integers(1, 20)), 0.9)]
        elif edit == "remove":
            hints = hints[:at] + hints[at + 1 :]
        elif edit == "swap":
            hints = hints[::-1]
        elif edit == "clear":
            hints = []
        elif edit == "move":
            hints = [*hints[:at], new, *hints[at + 1 :]]
        elif edit == "recolour":
            hints = [*hints[:at], Hint(hints[at].x, hints[at].y, new.a, new.b, hints[at].size), *hints[at + 1 :]]
        else:
            hints = [*hints[:at], Hint(hints[at].x, hints[at].y, 5, 6, new.size), *hints[at + 1 :]]
        found, fresh = match_hints(ab.copy(), hints), ab.copy()
        worker = threading.Thread(target=match_hints, args=(fresh, hints))
        worker.start()
        worker.join()
        np.testing.assert_array_equal(found, fresh)


def test_dragging_one_hint_computes_one_row(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(4)
    ab, hints = smooth_ab(rng, (64, 64)), random_hints(rng, 30, 1)
    match_hints(ab.copy(), hints)
    computed: list[slice] = []
    blur = match_geometry.MatchGeometry._blur
    monkeypatch.setattr(
        match_geometry.MatchGeometry, "_blur", lambda self, rows: (computed.append(rows), blur(self, rows))
    )
    match_hints(ab.copy(), [*hints[:7], Hint(0.1, 0.2, 3, 4), *hints[8:]])
    match_hints(ab.copy(), [*hints[:7], Hint(0.1, 0.2, -3, 4), *hints[8:]])
    assert computed == [slice(7, 8)]
