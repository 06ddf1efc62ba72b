"""Global hints: histogram, saturation and their vector of 316 numbers."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.engine.colour import bins
from livetint.engine.colour.global_hints import GlobalHints, histogram_of, saturation_of
from livetint.engine.errors import HintRejected
from skimage.color import rgb2hsv


def test_histogram_counts_the_nearest_bin_of_pooled_ab():
    ab = np.zeros((2, 64, 64), np.float32)
    ab[0, :, 32:] = 40
    histogram = histogram_of(ab)
    assert histogram.sum() == pytest.approx(1)
    assert histogram[bins.nearest(np.array([0.0, 0.0]))] == pytest.approx(0.5)
    assert histogram[bins.nearest(np.array([40.0, 0.0]))] == pytest.approx(0.5)
    # pooled before counting: a fine checkerboard of ±30 is grey
    checker = np.where(np.indices((64, 64)).sum(0) % 2, 30, -30).astype(np.float32)
    assert histogram_of(np.stack([checker, checker]))[bins.nearest(np.array([0.0, 0.0]))] == 1


def test_saturation_is_the_mean_of_hsv():
    rgb = np.random.default_rng(0).random((20, 30, 3))
    rgb[0] = 0
    assert saturation_of(rgb) == pytest.approx(rgb2hsv(rgb)[..., 1].mean())


def test_the_vector_flags_what_is_given():
    histogram = np.zeros(313, np.float32)
    histogram[7] = 1
    vector = GlobalHints(histogram, 0.25).vector()
    assert vector.shape == (316,) and vector.dtype == np.float32
    assert (vector[7], vector[313], vector[314], vector[315]) == (1, 1, 0.25, 1)
    assert not GlobalHints().vector().any() and not GlobalHints()
    only = GlobalHints(saturation=0.0)
    assert only and only.vector()[-1] == 1 and only.vector()[:314].sum() == 0


@pytest.mark.parametrize("saturation", [-0.1, 1.1, float("nan")])
def test_impossible_saturations_are_refused(saturation):
    with pytest.raises(HintRejected):
        GlobalHints(saturation=saturation)


def test_a_histogram_of_wrong_length_or_sum_is_refused():
    with pytest.raises(HintRejected):
        GlobalHints(np.ones(10, np.float32) / 10)  # pyright: ignore[reportArgumentType]
    with pytest.raises(HintRejected):
        GlobalHints(np.ones(313, np.float32))
