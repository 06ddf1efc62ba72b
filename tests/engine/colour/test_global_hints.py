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
    # ab is averaged before counting, so a fine checkerboard of ±30 is grey.
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


def shares(*places: int) -> np.ndarray:
    histogram = np.zeros(313, np.float32)
    histogram[list(places)] = 1 / len(places)
    return histogram


def test_equality_and_hash_are_by_value():
    one, same, other = GlobalHints(shares(7)), GlobalHints(shares(7)), GlobalHints(shares(8))
    assert one == same and hash(one) == hash(same)
    assert one != other and one != GlobalHints() and one != GlobalHints(shares(7), 0.5)
    assert len({one, same, other, GlobalHints(), GlobalHints(saturation=0.5), GlobalHints(None, 0.5)}) == 4
    assert one != "one"
    negative_zero = shares(7)
    negative_zero[0] = -0.0
    assert GlobalHints(negative_zero) == one and hash(GlobalHints(negative_zero)) == hash(one)


def test_a_histogram_cannot_be_changed_afterwards():
    histogram = shares(7)
    hints = GlobalHints(histogram)
    histogram[:] = 0
    assert hints == GlobalHints(shares(7)) and hints.histogram is not None
    with pytest.raises(ValueError, match="read-only"):
        hints.histogram[7] = 0


def test_negative_shares_are_refused():
    histogram = shares(7, 8)
    histogram[7], histogram[8] = 1.5, -0.5
    with pytest.raises(HintRejected, match=r"no negative shares; the least of this one is -0\.5"):
        GlobalHints(histogram)
    with pytest.raises(HintRejected):
        GlobalHints(np.full(313, np.nan, np.float32))
