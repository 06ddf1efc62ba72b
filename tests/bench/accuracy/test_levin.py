"""Colorization by optimisation: colour spreads over even L and stops at edges."""

from __future__ import annotations

import numpy as np
import pytest
from livetint.engine.hints import Hint

from ...needs import needs

pytestmark = needs("scipy")

SIDE = 64


@pytest.fixture(scope="module")
def colorize():
    from livetint.bench.accuracy.levin import colorize

    return colorize


def halves():
    L = np.full((SIDE, SIDE), 30, np.float32)
    L[:, SIDE // 2 :] = 80
    return L


def test_without_hints_everything_stays_grey(colorize):
    assert not colorize(halves(), []).any()


def test_one_hint_colours_an_even_picture_evenly(colorize):
    ab = colorize(np.full((SIDE, SIDE), 50, np.float32), [Hint(0.3, 0.6, 40, -20)])
    np.testing.assert_allclose(ab[0], 40, atol=1e-2)
    np.testing.assert_allclose(ab[1], -20, atol=1e-2)


def test_two_colours_meet_at_the_edge(colorize):
    ab = colorize(halves(), [Hint(0.25, 0.5, 50, 0), Hint(0.75, 0.5, -50, 30)])
    np.testing.assert_allclose(ab[0, :, : SIDE // 2 - 1], 50, atol=2)
    np.testing.assert_allclose(ab[0, :, SIDE // 2 + 1 :], -50, atol=2)
    np.testing.assert_allclose(ab[1, :, SIDE // 2 + 1 :], 30, atol=1)


def test_colours_blend_between_hints_on_a_slow_ramp(colorize):
    L = np.tile(np.linspace(20, 90, SIDE, dtype=np.float32), (SIDE, 1))
    ab = colorize(L, [Hint(0.02, 0.5, 0, 0), Hint(0.98, 0.5, 60, 0)])
    middle = ab[0, SIDE // 2]
    assert np.all(np.diff(middle) >= -0.5)
    assert 10 < middle[SIDE // 2] < 50


def test_hinted_pixels_keep_their_colour_and_later_hints_are_on_top(colorize):
    hints = [Hint(0.5, 0.5, 50, 0, 9), Hint(0.5, 0.5, -30, 10, 3)]
    rng = np.random.default_rng(0)
    ab = colorize(rng.uniform(0, 100, (SIDE, SIDE)).astype(np.float32), hints)
    assert ab[:, 32, 32] == pytest.approx((-30, 10))
    assert ab[:, 29, 29] == pytest.approx((50, 0))
    assert ab[0].min() >= -30.01 and ab[0].max() <= 50.01


def test_a_hundred_hints_on_noise_stay_within_their_colours(colorize):
    rng = np.random.default_rng(1)
    hints = [Hint(*rng.random(2), *rng.uniform(-60, 60, 2)) for _ in range(100)]
    ab = colorize(rng.uniform(0, 100, (SIDE, SIDE)).astype(np.float32), hints)
    assert np.isfinite(ab).all()
    assert np.abs(ab).max() <= 60.01


def test_a_hint_that_covers_the_picture_gives_its_colour(colorize):
    ab = colorize(np.full((4, 4), 50, np.float32), [Hint(0.5, 0.5, 7, 8, 9)])
    np.testing.assert_array_equal(ab, np.stack([np.full((4, 4), 7), np.full((4, 4), 8)]))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 3), (16, 16), (7, 40)])
def test_dissection_orders_every_pixel_once(height, width):
    from livetint.bench.accuracy.levin import dissection

    assert sorted(dissection(height, width)) == list(range(height * width))


def test_a_dissection_line_separates_its_halves():
    from livetint.bench.accuracy.levin import dissection

    order = dissection(9, 9).reshape(-1)
    first, second = order[: 4 * 9], order[4 * 9 : 8 * 9]
    rows = [set((part // 9).tolist()) for part in (first, second)]
    assert rows == [{0, 1, 2, 3}, {5, 6, 7, 8}]


def test_the_answer_solves_levins_equations():
    """Every pixel without a hint is the weighted mean of its neighbours."""
    from livetint.bench.accuracy.levin import Optimiser, neighbour_means
    from livetint.engine.hints import rasterise

    rng = np.random.default_rng(4)
    L = rng.uniform(0, 100, (40, 56)).astype(np.float32)
    hints = [Hint(0.2, 0.3, 40, 10, 3), Hint(0.7, 0.8, -20, 30, 5)]
    ab = Optimiser(L).colorize(hints)
    means = neighbour_means(L)
    free = rasterise(hints, L.shape)[1][0].ravel() == 0
    for plane in ab.reshape(2, -1).astype(np.float64):
        np.testing.assert_allclose(plane[free], (means @ plane)[free], atol=1e-4)


def test_one_optimiser_gives_the_same_for_many_sets_as_new_ones(colorize):
    from livetint.bench.accuracy.levin import Optimiser

    optimiser = Optimiser(halves())
    for hints in ([Hint(0.2, 0.5, 30, 0)], [], [Hint(0.2, 0.5, 30, 0), Hint(0.8, 0.1, 0, -40)]):
        np.testing.assert_array_equal(optimiser.colorize(hints), colorize(halves(), hints))
