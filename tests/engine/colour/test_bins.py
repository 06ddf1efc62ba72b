"""The 313 bins, soft encoding, annealed mean, tempering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from livetint.engine.colour import bins

colours = arrays(np.float32, (6, 2), elements=st.floats(-100, 100, width=32))


def test_the_published_table():
    assert bins.GRID_CENTRES.shape == (529, 2)
    assert bins.IN_GAMUT.sum() == 313 and bins.CENTRES.shape == (313, 2)
    # a varies slowly, b fast
    np.testing.assert_array_equal(bins.GRID_CENTRES[:3], [[-110, -110], [-110, -100], [-110, -90]])
    np.testing.assert_array_equal(bins.CENTRES[0], [-90, 50])
    np.testing.assert_array_equal(bins.CENTRES[-1], [100, 0])
    rows = {a: bins.CENTRES[bins.CENTRES[:, 0] == a, 1] for a in (-90, 0, 60, 100)}
    assert (rows[-90].min(), rows[-90].max()) == (50, 90)
    assert (rows[0].min(), rows[0].max()) == (-70, 100)
    assert (rows[60].min(), rows[60].max()) == (-110, 80)
    assert (rows[100].min(), rows[100].max()) == (-90, 0)


@given(colours)
def test_soft_encoding_is_a_distribution_over_the_ten_nearest(ab):
    encoded = bins.soft_encode(ab)
    np.testing.assert_allclose(encoded.sum(-1), 1, rtol=1e-5)
    assert ((encoded > 0).sum(-1) <= bins.NEIGHBOURS).all()
    distance = np.linalg.norm(bins.CENTRES[None] - ab[:, None], axis=-1)
    np.testing.assert_allclose(
        np.take_along_axis(distance, bins.nearest(ab)[:, None], 1)[:, 0], distance.min(1), atol=1e-3
    )
    heaviest = np.take_along_axis(distance, encoded.argmax(-1)[:, None], 1)[:, 0]
    np.testing.assert_allclose(heaviest, distance.min(1), atol=1e-2)


def test_soft_encoding_weights_are_gaussian():
    encoded = bins.soft_encode(np.array([[0.0, 0.0]]))[0]
    centre = bins.nearest(np.array([0.0, 0.0]))
    beside = bins.nearest(np.array([10.0, 0.0]))
    assert encoded[beside] / encoded[centre] == pytest.approx(np.exp(-100 / 50), rel=1e-4)


@given(arrays(np.float32, (5,), elements=st.floats(-8, 8, width=32)), st.floats(0.1, 3))
def test_tempering_probabilities_equals_scaling_logits(logits, scale):
    p = np.exp(logits - logits.max())
    p /= p.sum()
    expected = np.exp(scale * (logits - logits.max()))
    np.testing.assert_allclose(bins.temper(p, scale), expected / expected.sum(), rtol=2e-3, atol=1e-6)


def test_tempering_takes_zero_probabilities():
    np.testing.assert_allclose(bins.temper(np.array([0.0, 0.5, 0.5], np.float32), 0.2), [0, 0.5, 0.5])
