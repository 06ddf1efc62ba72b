"""match_hints on the GPU gives the ab of engine/match_hints.py, for every number of hints, wherever they lie."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from livetint.engine import match_hints as definition
from livetint.engine.hints import Hint
from livetint.engine.kernels.table import hint_records
from livetint.engine.kernels.touch import MATCH_WORK_BYTES, MAX_HINTS
from livetint.engine.match_hints import match_hints

from tests.needs import needs

from .library import kernels

pytestmark = [needs("c++"), pytest.mark.usefixtures("rounding")]

# In CIELAB units.
TOLERANCE_AB = 1e-3


def matched(ab, hints, capacity=MAX_HINTS):
    """ab float32 [2, H, W] changed by the kernels; `capacity` hints are in memory, of which the first count."""
    height, width = ab.shape[1:]
    ab, work = ab.copy(), np.full(MATCH_WORK_BYTES // 4, np.nan, np.float32)
    records = hint_records([*hints, *[Hint(0.5, 0.5, 99, 99)] * (capacity - len(hints))])
    count = np.array([len(hints)], np.int32)
    launch = kernels().launch
    launch("match_measure", (MAX_HINTS,), records, count, ab, work, height, width)
    launch("match_couple", (MAX_HINTS,), count, work)
    launch("match_solve", (1,), records, count, work)
    launch("match_add", (width, height), count, work, ab, height, width)
    return ab


def hints_within(rng, number, spread):
    """Hints of any colour and size around the middle, at most `spread` of the picture apart."""
    return [
        Hint(float(x), float(y), float(a), float(b), int(rng.integers(1, 10)))
        for (x, y), (a, b) in zip(
            np.clip(0.5 + spread * rng.uniform(-0.55, 0.55, (number, 2)), 0, 1),
            rng.uniform(-60, 60, (number, 2)),
            strict=True,
        )
    ]


def colours(rng, shape):
    """Smooth ab float32 [2, H, W]."""
    small = rng.normal(0, 15, (6, 6, 2)).astype(np.float32)
    return np.ascontiguousarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1))


def on_the_edge(ab, hints):
    """Whether a residual is so near to MIN_RESIDUAL_AB that rounding decides if it is corrected once more."""
    results = []
    for least in (0.1999, 0.2001):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(definition, "MIN_RESIDUAL_AB", least)
            results.append(match_hints(ab.copy(), hints))
    return not np.allclose(*results, rtol=0, atol=TOLERANCE_AB / 2)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 9999),
    st.integers(0, 24),
    st.sampled_from([1.0, 0.4]),
    st.tuples(st.integers(23, 70), st.integers(23, 70)),
    st.integers(0, 7),
)
def test_ab_is_that_of_the_python_definition(seed, number, spread, shape, schedule):
    kernels().schedule(schedule)
    rng = np.random.default_rng(seed)
    hints, ab = hints_within(rng, number, spread), colours(rng, shape)
    assume(not on_the_edge(ab, hints))
    np.testing.assert_allclose(matched(ab, hints), match_hints(ab.copy(), hints), atol=TOLERANCE_AB)


@pytest.mark.parametrize("number", [0, 1, 31, 32, 33, 127, 128])
def test_any_number_of_hints_at_the_working_size(number):
    rng = np.random.default_rng(number)
    hints, ab = hints_within(rng, number, 0.9), colours(rng, (256, 256))
    assert not on_the_edge(ab, hints)
    np.testing.assert_allclose(matched(ab, hints), match_hints(ab.copy(), hints), atol=TOLERANCE_AB)


def test_without_hints_and_within_the_tolerance_nothing_changes():
    ab = np.random.default_rng(0).normal(0, 0.1, (2, 64, 80)).astype(np.float32)
    for hints in ([], [Hint(0.3, 0.3, 0.3, 0.3), Hint(0.7, 0.7, -0.3, 0)]):
        np.testing.assert_array_equal(matched(ab, hints), ab)


def test_hints_in_one_place_and_at_the_corners():
    corners = [Hint(x, y, 30, -20, size) for x in (0, 1) for y in (0, 1) for size in (1, 9)]
    for hints in ([Hint(0.5, 0.5, 40, 0), Hint(0.5, 0.5, -40, 0)], corners, corners[::2]):
        ab = colours(np.random.default_rng(5), (64, 80))
        np.testing.assert_allclose(matched(ab, hints), match_hints(ab.copy(), hints), atol=TOLERANCE_AB)
