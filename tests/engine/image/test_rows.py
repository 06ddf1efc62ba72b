"""Stripes of rows, and the bilinear rule along one axis."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from livetint.engine.image.rows import stripes, two_cells


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 5000))
def test_stripes_cover_every_row_once(height, width, pixels):
    parts = list(stripes(height, width, pixels))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(height))
    assert all(part.stop - part.start == 1 or (part.stop - part.start) * width <= pixels for part in parts)


@given(st.integers(1, 40), st.lists(st.floats(-2, 42), min_size=1, max_size=20))
def test_two_cells_interpolate_linearly_between_centres(cells, positions):
    values = np.random.default_rng(cells).uniform(-1, 1, cells)
    first, second, weight = two_cells(np.array(positions), cells)
    assert weight.dtype == np.float32 and weight.min() >= 0 and weight.max() <= 1
    expected = np.interp(positions, np.arange(cells) + 0.5, values)
    np.testing.assert_allclose(values[first] * (1 - weight) + values[second] * weight, expected, atol=1e-6)
