"""Which points the two protocols reveal, and how they score."""

from __future__ import annotations

import io

import numpy as np
import pytest
from livetint.bench.accuracy.protocols import PERFECT_DB, PROTOCOLS
from livetint.engine.colour.cielab import lab_to_srgb, srgb_to_lab
from livetint.engine.colour.metrics import psnr
from livetint.engine.hints import patch_bounds
from PIL import Image

from ..stubs import gradient_photo

ZHANG, ICOLORIT = PROTOCOLS["zhang17"], PROTOCOLS["icolorit"]


def encoded(rgb):
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()


def noisy(seed=0, height=120, width=200):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def test_zhang17_squashes_to_256_and_feeds_its_own_lightness_to_a_network_of_that_size():
    picture = ZHANG.picture(encoded(noisy()), 256)
    assert picture.rgb.shape == (256, 256, 3)
    expected = np.asarray(Image.fromarray(noisy()).resize((256, 256), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(picture.rgb, expected)
    np.testing.assert_allclose(picture.L, picture.lab[..., 0], atol=1e-4)


def test_zhang17_hints_reveal_the_mean_of_six_by_six_pixels_of_the_truth():
    picture = ZHANG.picture(encoded(noisy()), 256)
    hints = ZHANG.hints(np.random.default_rng(3), picture.ab, 40)
    assert len(hints) == 40
    for hint in hints:
        assert hint.size == 6
        top, bottom, left, right = patch_bounds(hint.x, hint.y, hint.size, 256, 256)
        assert (bottom - top, right - left) == (6, 6)
        mean = picture.ab[:, top:bottom, left:right].mean((1, 2))
        np.testing.assert_allclose((hint.a, hint.b), mean, atol=1e-3)


def test_zhang17_places_lie_around_the_centre_with_a_quarter_of_the_side_as_deviation():
    picture = ZHANG.picture(encoded(noisy()), 256)
    hints = ZHANG.hints(np.random.default_rng(3), picture.ab, 4000)
    x = np.array([hint.x for hint in hints])
    assert abs(x.mean() - 0.5) < 0.02
    assert 0.2 < x.std() < 0.25


def test_zhang17_truncates_to_eight_bits_where_rounding_would_score_otherwise():
    picture = ZHANG.picture(encoded(noisy()), 256)
    ab = picture.ab * 0.8
    srgb = lab_to_srgb(np.concatenate([picture.lab[..., :1], ab.transpose(1, 2, 0)], -1))
    truncated, rounded = (srgb * 255).astype(np.uint8), (srgb * 255 + 0.5).astype(np.uint8)
    assert ZHANG.psnr(picture, ab) == pytest.approx(psnr(truncated, picture.rgb), abs=1e-9)
    assert ZHANG.psnr(picture, ab) != pytest.approx(psnr(rounded, picture.rgb), abs=1e-4)


def test_a_perfect_answer_has_a_finite_score():
    white = np.full((32, 32, 3), 255, np.uint8)
    picture = ZHANG.picture(encoded(white), 256)
    assert ZHANG.psnr(picture, np.zeros((2, 256, 256), np.float32)) <= PERFECT_DB


def test_icolorit_scores_at_224_in_floating_point_and_stops_at_50_db():
    picture = ICOLORIT.picture(encoded(noisy()), 256)
    assert picture.rgb.shape == (224, 224, 3)
    assert picture.L.shape == (256, 256)
    assert ICOLORIT.psnr(picture, picture.ab) == pytest.approx(50)
    ab = picture.ab * 0.5
    srgb = lab_to_srgb(np.concatenate([picture.lab[..., :1], ab.transpose(1, 2, 0)], -1))
    error = np.mean((srgb - picture.rgb / 255) ** 2)
    assert ICOLORIT.psnr(picture, ab) == pytest.approx(-10 * np.log10(error))


def test_icolorit_hints_reveal_whole_cells_of_two_by_two_with_replacement():
    picture = ICOLORIT.picture(encoded(noisy()), 256)
    hints = ICOLORIT.hints(np.random.default_rng(1), picture.ab, 12_000)
    cells = {(round(h.y * 112 - 0.5), round(h.x * 112 - 0.5)) for h in hints}
    assert len(cells) < len(hints)
    for hint in hints[:50]:
        row, column = hint.y * 112 - 0.5, hint.x * 112 - 0.5
        assert row == pytest.approx(round(row)) and column == pytest.approx(round(column))
        top, left = 2 * round(row), 2 * round(column)
        mean = picture.ab[:, top : top + 2, left : left + 2].mean((1, 2))
        np.testing.assert_allclose((hint.a, hint.b), mean, atol=1e-3)
        assert hint.size == 2


def test_simulated_hints_keep_colours_outside_the_gamut_of_their_place():
    picture = ZHANG.picture(encoded(gradient_photo()), 256)
    wild = np.full((2, 256, 256), 100, np.float32)
    hints = ZHANG.hints(np.random.default_rng(0), wild, 5)
    assert all(hint.a == pytest.approx(100) and hint.b == pytest.approx(100) for hint in hints)
    assert picture.lab.dtype == np.float64
    np.testing.assert_allclose(picture.lab, srgb_to_lab(picture.rgb / 255))
