"""A photograph's light on the GPU: engine/image/photo.py's L at full resolution and at the working size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.image.decode import Pixels
from livetint.engine.image.photo import WORKING_SIZE, Photo

from tests.needs import needs

from .library import kernels

pytestmark = needs("c++")

# cbrt and powf of two libraries, times 116.
LIGHT_TOLERANCE = 1e-4
# A level of 16-bit grey more or less, where the lightness is steepest.
GREY_STEP = 140 / 65535

sizes = st.tuples(st.integers(1, 50), st.integers(1, 150))


def padded(pixels: np.ndarray, spare: int) -> tuple[np.ndarray, int]:
    """Rows with `spare` pixels behind them, and the pitch in bytes."""
    rows = np.pad(pixels, ((0, 0), (0, spare), *((0, 0),) * (pixels.ndim - 2)), constant_values=123)
    return rows, rows.strides[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), sizes, st.integers(0, 3), st.integers(0, 5))
def test_full_lightness_of_colour_photographs(seed, shape, spare, schedule):
    kernels().schedule(schedule)
    rgb = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    L = np.empty(shape, np.float32)
    kernels().launch("photo_L_rgb", shape[::-1], *padded(rgb, spare), L, *shape)
    np.testing.assert_allclose(L, Photo.from_rgb(rgb).L, rtol=0, atol=LIGHT_TOLERANCE)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), sizes, st.integers(0, 3))
def test_full_lightness_of_16_bit_scans(seed, shape, spare):
    grey = np.random.default_rng(seed).integers(0, 65536, shape, np.uint16)
    L = np.empty(shape, np.float32)
    kernels().launch("photo_L_grey16", shape[::-1], *padded(grey, spare), L, *shape)
    truth = Photo(Pixels(np.zeros((*shape, 3), np.uint8), grey)).L
    np.testing.assert_allclose(L, truth, rtol=0, atol=LIGHT_TOLERANCE)


def test_black_white_and_the_whole_scale():
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    L = np.empty((1, 256), np.float32)
    kernels().launch("photo_L_rgb", (256, 1), levels, 768, L, 1, 256)
    assert L[0, 0] == 0 and L[0, -1] == pytest.approx(100, abs=1e-4)
    assert (np.diff(L[0]) > 0).all()


SHAPES = [(1, 1), (2, 2), (3, 190), (77, 100), (256, 256), (511, 257), (512, 512), (301, 640), (1024, 1024)]


@pytest.mark.parametrize("shape", SHAPES)
def test_working_lightness_of_colour_photographs_squashes_as_opencv_does(shape):
    rgb = np.random.default_rng(shape[0]).integers(0, 256, (*shape, 3), np.uint8)
    L = np.empty((WORKING_SIZE, WORKING_SIZE), np.float32)
    rows, pitch = padded(rgb, 3)
    kernels().launch("photo_working_rgb", L.shape, rows, pitch, *shape, L, *L.shape)
    np.testing.assert_allclose(L, Photo.from_rgb(rgb).working_L, rtol=0, atol=LIGHT_TOLERANCE)


@pytest.mark.parametrize("shape", SHAPES[::2])
def test_working_lightness_of_16_bit_scans(shape):
    grey = np.random.default_rng(shape[0]).integers(0, 65536, shape, np.uint16)
    L = np.empty((WORKING_SIZE, WORKING_SIZE), np.float32)
    rows, pitch = padded(grey, 5)
    kernels().launch("photo_working_grey16", L.shape, rows, pitch, *shape, L, *L.shape)
    truth = Photo(Pixels(np.zeros((*shape, 3), np.uint8), grey)).working_L
    np.testing.assert_allclose(L, truth, rtol=0, atol=LIGHT_TOLERANCE + GREY_STEP)
