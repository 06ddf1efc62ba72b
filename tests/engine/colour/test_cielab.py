"""sRGB ↔ Lab against scikit-image, the gamut, projection at fixed L, and colours as text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from livetint.engine.colour.cielab import (
    decode_gamma,
    encode_gamma,
    in_gamut,
    inverse_lab_f,
    lab_f,
    lab_to_srgb,
    project_into_gamut,
    srgb_to_lab,
)
from livetint.engine.colour.metrics import delta_e, psnr
from skimage.color import lab2rgb, rgb2lab

unit = st.floats(0, 1, width=32)
pictures = arrays(np.float64, (7, 5, 3), elements=st.floats(0, 1))


@given(pictures)
def test_lab_equals_scikit_image(srgb):
    np.testing.assert_allclose(srgb_to_lab(srgb), rgb2lab(srgb), atol=1e-9)
    lab = rgb2lab(srgb)
    np.testing.assert_allclose(lab_to_srgb(lab), lab2rgb(lab), atol=1e-9)


@given(arrays(np.float32, (4, 6, 3), elements=unit))
def test_round_trip_in_float32_is_far_below_one_level(srgb):
    lab = srgb_to_lab(srgb)
    assert lab.dtype == np.float32
    np.testing.assert_allclose(lab_to_srgb(lab), srgb, atol=0.1 / 255)


@given(arrays(np.float64, (9,), elements=st.floats(0, 1)))
def test_the_gamma_curve_and_f_are_inverted(values):
    np.testing.assert_allclose(decode_gamma(encode_gamma(values)), values, atol=1e-7)
    np.testing.assert_allclose(inverse_lab_f(lab_f(values)), values, atol=1e-7)
    for function in (decode_gamma, encode_gamma, lab_f, inverse_lab_f):
        assert function(values.astype(np.float32)).dtype == np.float32


def test_every_8_bit_colour_on_a_lattice_is_in_gamut():
    steps = np.linspace(0, 255, 18).round() / 255
    srgb = np.stack(np.meshgrid(steps, steps, steps), -1).astype(np.float32)
    assert in_gamut(srgb_to_lab(srgb)).all()
    assert not in_gamut(np.array([50.0, 120.0, -120.0]))


@given(st.floats(0, 100), st.floats(-128, 128), st.floats(-128, 128))
def test_projection_keeps_lightness_and_hue_and_is_in_gamut(L, a, b):
    lab = np.array([L, a, b])
    shown = project_into_gamut(lab)
    assert shown[0] == L
    assert in_gamut(shown)
    assert abs(shown[1] * b - shown[2] * a) < 1e-6 * (1 + abs(a * b))
    assert np.hypot(*shown[1:]) <= np.hypot(a, b) + 1e-9
    back = srgb_to_lab(lab_to_srgb(shown))
    assert delta_e(back, shown) < 0.5


@given(pictures)
def test_projection_does_not_change_colours_in_gamut(srgb):
    lab = srgb_to_lab(srgb)
    np.testing.assert_array_equal(project_into_gamut(lab), lab)


def test_psnr_of_a_known_difference():
    first = np.zeros((4, 4, 3), np.uint8)
    assert psnr(first, first) == float("inf")
    assert psnr(first, first + np.uint8(255)) == pytest.approx(0)
    assert psnr(first, first + np.uint8(1)) == pytest.approx(20 * np.log10(255))
