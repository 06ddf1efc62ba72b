"""Distributions at points, and their clustering into swatches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from livetint.engine.colour import bins
from livetint.engine.colour.bins import softmax
from livetint.engine.colour.cielab import in_gamut
from livetint.engine.distribution import distribution_at, sample_bilinear
from livetint.engine.suggest import APART, suggest, weighted_kmeans


@given(arrays(np.float32, (1, 5, 7), elements=st.floats(-3, 3, width=32)), st.integers(0, 6), st.integers(0, 4))
def test_sampling_is_exact_at_cell_centres_and_linear_between(plane, column, row):
    at = np.array([[(column + 0.5) / 7, (row + 0.5) / 5]], np.float32)
    np.testing.assert_allclose(sample_bilinear(plane, at)[0], plane[:, row, column], atol=1e-4)
    right = min(column + 1, 6)
    middle = np.array([[(column + right + 1) / 2 / 7, (row + 0.5) / 5]], np.float32)
    np.testing.assert_allclose(
        sample_bilinear(plane, middle)[0], (plane[:, row, column] + plane[:, row, right]) / 2, atol=1e-4
    )
    corner = np.array([[0, 0], [1, 1]], np.float32)
    np.testing.assert_allclose(sample_bilinear(plane, corner)[:, 0], [plane[0, 0, 0], plane[0, -1, -1]], atol=1e-6)


def test_logits_are_interpolated_before_the_softmax():
    logits = np.zeros((2, 1, 2), np.float32)
    logits[0, 0] = [8, -8]
    between = distribution_at(logits, np.array([[0.5, 0.5]], np.float32), 1.0)[0]
    np.testing.assert_allclose(between, [0.5, 0.5], atol=1e-6)
    off = distribution_at(logits, np.array([[0.375, 0.5]], np.float32), 0.2)[0]
    np.testing.assert_allclose(off, softmax(np.array([4.0, 0.0], np.float32), 0.2), atol=1e-6)


distributions = arrays(np.float32, (313,), elements=st.floats(0, 1, width=32)).filter(lambda p: p.sum() > 0.1)


@settings(max_examples=25, deadline=None)
@given(distributions, st.floats(1, 99), st.integers(1, 12))
def test_swatches_are_in_gamut_and_sorted(p, L, count):
    found = suggest((p / p.sum()).astype(np.float32), bins.CENTRES, L, (1.0, 2.0), count)
    assert 1 <= len(found.swatches) <= count
    confidences = [s.confidence for s in found.swatches]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1, abs=1e-4)
    assert all(in_gamut(np.array([L, s.a, s.b])) for s in found.swatches)
    assert found.current == (1.0, 2.0) and found.grey == (0.0, 0.0)
    assert found == suggest((p / p.sum()).astype(np.float32), bins.CENTRES, L, (1.0, 2.0), count)


@settings(max_examples=25, deadline=None)
@given(distributions, st.floats(30, 80), st.integers(1, 5))
def test_up_to_five_swatches_are_clearly_different_where_the_distribution_is_wide(p, L, count):
    p = (p + 1) / (p + 1).sum()
    found = suggest(p.astype(np.float32), bins.CENTRES, L, (0.0, 0.0), count).swatches
    assert len(found) == count
    ab = np.array([(s.a, s.b) for s in found])
    apart = np.sqrt(((ab[:, None] - ab) ** 2).sum(-1))[np.triu_indices(count, 1)]
    assert (apart >= APART).all()


def test_five_swatches_are_found_beside_a_peak_and_shades_fill_up_where_there_is_no_more():
    peak, rare = np.array([40.0, 20.0]), np.array([[-30.0, 30.0], [10.0, -40.0]])
    distance = np.hypot(*(bins.CENTRES - peak).T)
    p = np.exp(-((distance / 8) ** 2) / 2) * (distance < 14)
    p /= p.sum()
    p[bins.nearest(rare)] = 0.002
    swatches = suggest(p.astype(np.float32), bins.CENTRES, 55.0, (0.0, 0.0), 5).swatches
    ab = np.array([(s.a, s.b) for s in swatches])
    assert len(ab) == 5 and np.hypot(*(ab[0] - peak).T) < 3
    for colour in rare:
        assert np.hypot(*(ab - colour).T).min() < 6, "a rare colour is offered rather than a shade of the likeliest"
    assert sum(s.confidence for s in swatches) == pytest.approx(1, abs=1e-4)


def test_separate_colours_become_separate_swatches():
    p = np.zeros(313, np.float32)
    for (a, b), mass in {(40, 20): 0.5, (-30, 30): 0.3, (10, -40): 0.2}.items():
        p[bins.nearest(np.array([a, b]))] = mass
    swatches = suggest(p, bins.CENTRES, 55.0, (0.0, 0.0), 3).swatches
    assert [(round(s.a), round(s.b), round(s.confidence, 3)) for s in swatches] == [
        (40, 20, 0.5), (-30, 30, 0.3), (10, -40, 0.2),
    ]  # fmt: skip


def test_kmeans_recovers_weighted_means():
    points = np.array([[0.0, 0], [2, 0], [100, 0], [104, 0]])
    means, masses = weighted_kmeans(points, np.array([1.0, 3, 2, 2]), 2)
    np.testing.assert_allclose(sorted(means[:, 0]), [1.5, 102])
    np.testing.assert_allclose(masses, [0.5, 0.5])
