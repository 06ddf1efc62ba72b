"""The distribution at points on the GPU: probabilities and the K most likely bins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour import bins
from livetint.engine.distribution import distribution_at, softmax

from tests.needs import needs

from .library import kernels

pytestmark = [needs("c++"), pytest.mark.usefixtures("rounding")]

TYPES = {"f32": np.float32, "f16": np.float16}
RELATIVE, ABSOLUTE = 2e-5, 1e-7
# Bins whose probabilities differ by less than this, relatively, may change ranks.
SAME_RANK = 1e-5


def assert_same_largest(indices, top, probabilities):
    """The K largest of each row, in order, except that bins equal within rounding may change ranks."""
    for found, values, row in zip(indices, top, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[: len(found)]
        np.testing.assert_allclose(values, row[order], rtol=RELATIVE, atol=ABSOLUTE)
        assert len(set(found)) == len(found)
        for rank in np.flatnonzero(found != order):
            assert abs(row[found[rank]] - row[order[rank]]) <= SAME_RANK * row[order[rank]]


def at_points(logits, points, scale, K, kind="f32"):
    count, h, w = logits.shape
    number = len(points)
    probabilities = np.empty((number, count), np.float32)
    indices, top = np.empty((number, K), np.int32), np.empty((number, K), np.float32)
    kernels().launch(
        f"distribution_points_{kind}", (number,), logits, points, scale, count, h, w, K, probabilities, indices, top
    )
    return probabilities, indices, top


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 999),
    st.sampled_from([1, 5, 127, 313, 529]),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(1, 4),
    st.sampled_from([0.38, 1.0, 2.6]),
    st.sampled_from(["f32", "f16"]),
    st.integers(0, 7),
)
def test_probabilities_and_the_largest_at_points(seed, count, size, number, scale, kind, schedule):
    kernels().schedule(schedule)
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((count, *size)) * 6).astype(TYPES[kind])
    points = rng.uniform(0, 1, (number, 2)).astype(np.float32)
    K = min(9, count)
    probabilities, indices, top = at_points(logits, points, scale, K, kind)
    exact = distribution_at(logits.astype(np.float64), points.astype(np.float64), scale)  # type: ignore[arg-type]
    np.testing.assert_allclose(probabilities, exact, rtol=RELATIVE, atol=ABSOLUTE)
    assert_same_largest(indices, top, exact)


def test_points_outside_repeat_the_border():
    logits = np.random.default_rng(1).standard_normal((313, 4, 6)).astype(np.float32)
    points = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [-0.5, 2]], np.float32)
    cells = [(0, 0), (3, 5), (3, 0), (0, 5), (3, 0)]
    found = at_points(logits, points, 1.0, 1)[0]
    np.testing.assert_allclose(found, softmax(np.stack([logits[:, y, x] for y, x in cells])), rtol=RELATIVE)


def test_equal_bins_are_ranked_by_index():
    logits = np.zeros((313, 2, 2), np.float32)
    logits[200:210] = 1
    _, indices, top = at_points(logits, np.array([[0.3, 0.7]], np.float32), 1.0, 12)
    np.testing.assert_array_equal(indices[0], [*range(200, 210), 0, 1])
    assert (np.diff(top[0]) <= 0).all()


def test_all_bins_can_be_ranked():
    logits = np.random.default_rng(2).standard_normal((529, 3, 3)).astype(np.float32)
    probabilities, indices, _ = at_points(logits, np.array([[0.5, 0.5]], np.float32), 1.0, 529)
    assert sorted(indices[0]) == list(range(529))
    assert (np.diff(probabilities[0][indices[0]]) <= 0).all()


def test_huge_logits_do_not_overflow():
    logits = np.zeros((313, 1, 1), np.float32)
    logits[7], logits[9] = 30000, 29999
    probabilities, indices, _ = at_points(logits, np.array([[0.5, 0.5]], np.float32), 1.0, 2)
    np.testing.assert_array_equal(indices[0], [7, 9])
    assert probabilities[0, 7] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.sampled_from([313, 529]), st.sampled_from([0.38, 1.0, 2.6]), st.integers(0, 5))
def test_given_probabilities_are_tempered_and_ranked(seed, count, scale, schedule):
    kernels().schedule(schedule)
    rng = np.random.default_rng(seed)
    given_ = softmax((rng.standard_normal((3, count)) * 5).astype(np.float32))
    given_[:, rng.integers(0, count, 20)] = 0
    probabilities = np.empty_like(given_)
    indices, top = np.empty((3, 9), np.int32), np.empty((3, 9), np.float32)
    kernels().launch("probabilities_points", (3,), given_, scale, count, 9, probabilities, indices, top)
    exact = given_.astype(np.float64) ** scale
    exact /= exact.sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, exact, rtol=RELATIVE, atol=ABSOLUTE)
    np.testing.assert_allclose(probabilities, bins.temper(given_, scale), rtol=1e-4, atol=ABSOLUTE)
    assert_same_largest(indices, top, exact)


def test_outputs_without_an_address_are_left_out():
    logits = np.random.default_rng(3).standard_normal((313, 5, 5)).astype(np.float32)
    points = np.array([[0.2, 0.9]], np.float32)
    probabilities, indices, top = at_points(logits, points, 1.0, 9)
    only_indices = np.empty((1, 9), np.int32)
    kernels().launch("distribution_points_f32", (1,), logits, points, 1.0, 313, 5, 5, 9, None, only_indices, None)
    np.testing.assert_array_equal(only_indices, indices)
    only_top = np.empty((1, 9), np.float32)
    kernels().launch("distribution_points_f32", (1,), logits, points, 1.0, 313, 5, 5, 9, None, None, only_top)
    np.testing.assert_array_equal(only_top, top)
    only_probabilities = np.empty((1, 313), np.float32)
    kernels().launch("distribution_points_f32", (1,), logits, points, 1.0, 313, 5, 5, 0, only_probabilities, None, None)
    np.testing.assert_array_equal(only_probabilities, probabilities)
