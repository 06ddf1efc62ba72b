"""Composing on the GPU gives the pixels of engine/image/compose.py within one level, for every size and pitch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour.cielab import lab_to_srgb, srgb_to_lab
from livetint.engine.image.compose import METHODS, compose, resize_lightness

from tests.needs import needs

from .library import kernels

pytestmark = needs("c++")


def composed(L, ab, spare=0, offset=0, method="bilinear"):
    """Pixels [H, W, 3], and the `spare` bytes behind each row."""
    height, width = L.shape
    pitch = width * 3 + spare
    memory = np.full(height * pitch + offset, 0xAB, np.uint8)
    kernel = "compose_guided_rgb" if method == "guided" else "compose_rgb"
    cells = [resize_lightness(L, ab.shape[:0:-1])] if method == "guided" else []
    out = memory[offset:]
    kernels().launch(kernel, (width, height), L, ab, *cells, *ab.shape[1:], out, pitch, height, width)
    rows = out.reshape(height, pitch)
    return rows[:, : width * 3].reshape(height, width, 3), rows[:, width * 3 :]


def random_picture(seed, shape, working, limit):
    rng = np.random.default_rng(seed)
    return (
        rng.uniform(0, 100, shape).astype(np.float32),
        rng.uniform(-limit, limit, (2, *working)).astype(np.float32),
    )


sizes = st.tuples(st.integers(1, 60), st.integers(1, 200))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 999),
    sizes,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([10.0, 60.0, 128.0]),
    st.integers(0, 19),
    st.integers(0, 5),
    st.sampled_from(sorted(METHODS)),
)
def test_every_size_and_pitch_agrees_with_the_python_definition(seed, shape, working, limit, spare, schedule, method):
    kernels().schedule(schedule)
    L, ab = random_picture(seed, shape, working, limit)
    pixels, behind = composed(L, ab, spare, seed % 5, method)
    difference = np.abs(pixels.astype(int) - compose(L, ab, method=method))
    assert difference.max() <= 1
    assert (behind == 0xAB).all()


@pytest.mark.parametrize("method", METHODS)
def test_rounding_rarely_differs_at_the_working_size(method):
    L, ab = random_picture(3, (300, 401), (256, 256), 60)
    assert np.mean(composed(L, ab, method=method)[0] != compose(L, ab, method=method)) < 0.005


def test_pixels_are_those_of_the_exact_formula():
    L, ab = random_picture(4, (48, 64), (48, 64), 80)
    truth = lab_to_srgb(np.concatenate([L[None], ab]).transpose(1, 2, 0).astype(np.float64)) * 255
    assert np.abs(composed(L, ab)[0] - truth).max() < 0.52


def test_every_8_bit_colour_survives():
    steps = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(18, -1, 3).astype(np.uint8)
    lab = srgb_to_lab(rgb.astype(np.float32) / np.float32(255))
    L, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(lab[..., 1:].transpose(2, 0, 1))
    np.testing.assert_array_equal(composed(L, ab)[0], rgb)
