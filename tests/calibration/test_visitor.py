"""The simulated visitor has the distributions of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.calibration import visitor
from livetint.engine.hints import Hint, patch_bounds


def test_counts_are_geometric():
    rng = np.random.default_rng(0)
    counts = np.array([visitor.geometric_count(rng) for _ in range(20000)])
    assert counts.mean() == pytest.approx(7, abs=0.2)
    for k in range(4):
        assert (counts == k).mean() == pytest.approx(1 / 8 * (7 / 8) ** k, abs=0.01)


def test_mixed_counts_reach_the_top_and_stay_below_it():
    rng = np.random.default_rng(0)
    counts = [visitor.mixed_count(rng, 0.2, 119) for _ in range(5000)]
    assert max(counts) <= 119 and sum(c > 80 for c in counts) > 200


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_patches_lie_inside_on_whole_pixels(seed, count):
    patches = visitor.gaussian_patches(np.random.default_rng(seed), count)
    assert len(patches) == count
    assert ((patches.size >= 1) & (patches.size <= 9)).all()
    for edge in (patches.top, patches.left):
        assert (edge >= 0).all() and (edge + patches.size <= 256).all() and (edge == np.trunc(edge)).all()


def test_positions_are_gaussian_around_the_centre():
    patches = visitor.gaussian_patches(np.random.default_rng(0), 20000, (6, 6))
    assert patches.top.mean() == pytest.approx(125, abs=2)
    assert 45 < patches.top.std() < 63  # 62.5 before clipping


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_mean_under_the_patch_is_revealed_where_the_patch_is_drawn(seed):
    rng = np.random.default_rng(seed)
    ab = rng.uniform(-80, 80, (2, 256, 256)).astype(np.float32)
    hints = visitor.reveal(ab, visitor.gaussian_patches(rng, 5))
    for hint in hints:
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, 256, 256)
        assert (bottom - top, right - left) == (hint.size, hint.size)
        expected = ab[:, top:bottom, left:right].mean((1, 2))
        np.testing.assert_allclose([hint.a, hint.b], expected, atol=1e-3)


def test_patches_scale_to_smaller_planes():
    ab = np.zeros((2, 64, 64), np.float32)
    ab[0, :, 32:] = 10
    patches = visitor.Patches(np.array([100.0]), np.array([126.0]), np.array([6]))  # half of it right of the edge
    np.testing.assert_allclose(visitor.mean_colours(ab, patches), [[10 * 4 / 6, 0]], atol=1e-4)


def test_statistics_are_revealed_independently():
    rng = np.random.default_rng(0)
    histogram = np.zeros(313, np.float32)
    histogram[0] = 1
    drawn = [visitor.global_hints(rng, histogram, 0.3) for _ in range(4000)]
    both = np.mean([g.histogram is not None and g.saturation is not None for g in drawn])
    neither = np.mean([not g for g in drawn])
    assert both == pytest.approx(0.25, abs=0.03) and neither == pytest.approx(0.25, abs=0.03)


def test_one_picture_in_a_hundred_is_revealed_whole():
    rng = np.random.default_rng(0)
    ab = np.ones((2, 16, 16), np.float32)
    masks = [visitor.planes(rng, ab, [Hint(0.5, 0.5, 1, 1, 1)])[1].sum() for _ in range(3000)]
    assert np.mean(np.array(masks) == 256) == pytest.approx(0.01, abs=0.006)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 6))
def test_a_visitor_who_touches_one_object_stays_inside_it(seed, count):
    region = np.zeros((64, 64), bool)
    region[20:40, 8:30] = True
    patches = visitor.patches_within(np.random.default_rng(seed), region, count)
    assert len(patches) == count
    columns, rows = (patches.centres() * 64).astype(int).T
    assert region[rows, columns].all()
    for top, left, size in zip(patches.top / 4, patches.left / 4, patches.size / 4, strict=True):
        assert top >= 20 and top + size <= 40 and left >= 8 and left + size <= 30, "patches have room here"


def test_an_object_smaller_than_a_patch_is_touched_at_its_place():
    region = np.zeros((64, 64), bool)
    region[0, 63] = True
    patches = visitor.patches_within(np.random.default_rng(1), region, 2)
    assert (patches.top >= 0).all() and (patches.left + patches.size <= 256).all()
    assert (patches.centres() * 64 >= [[62, 0]]).all()
