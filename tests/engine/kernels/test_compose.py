"""Composing on the GPU gives the pixels of engine/image/compose.py within one level, for every size and pitch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour.cielab import lab_to_srgb, srgb_to_lab
from livetint.engine.image.compose import METHODS, compose, resize_lightness
from livetint.engine.image.guided import MIN_WEIGHT, SIGMA_L

from tests.needs import needs

from .library import kernels

pytestmark = [needs("c++"), pytest.mark.usefixtures("rounding")]


# How far from the half, in levels, an exact value may lie for the other of the two levels to be right too.
NEAR_HALF = 0.03


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


@pytest.mark.parametrize("shape", [(2, 3840), (2160, 4), (3, 7680)])
def test_guided_pixels_are_those_of_the_exact_formula_at_large_sizes(shape):
    """The nearest level, or its neighbour where the exact value lies within NEAR_HALF of the half.

    Cells of very different L: a weight is its bilinear weight times a number between MIN_WEIGHT and 1.
    """
    L, ab = random_picture(6, shape, (256, 256), 70)
    cells = np.random.default_rng(7).uniform(0, 100, (256, 256)).astype(np.float32)
    out = np.zeros((*shape, 3), np.uint8)
    kernels().launch("compose_guided_rgb", shape[::-1], L, ab, cells, 256, 256, out, 3 * shape[1], *shape)
    assert np.abs(out - guided_levels(L, ab, cells)).max() <= 0.5 + NEAR_HALF


def guided_levels(L, ab, cells):
    """Levels [H, W, 3] by joint bilateral upsampling (engine/image/guided.py) in doubles, not rounded."""
    (height, width), (h, w) = L.shape, cells.shape
    positions = (np.arange(height) + 0.5) * h / height, (np.arange(width) + 0.5) * w / width
    planes, total = np.zeros((2, height, width)), np.zeros((height, width))
    rows, columns = (exact_cells(at, count) for at, count in zip(positions, (h, w), strict=True))
    for row, down in rows:
        for column, across in columns:
            cell = row[:, None], column
            likeness = np.exp(-((L.astype(np.float64) - cells[cell]) ** 2) / (2 * SIGMA_L**2)) + MIN_WEIGHT
            weight = down[:, None] * across * likeness
            total += weight
            planes += weight * ab[:, row[:, None], column]
    return lab_to_srgb(np.stack([L, *(planes / total)], -1).astype(np.float64)) * 255


def exact_cells(positions, count):
    """The cells before and behind each position, with their bilinear weights in doubles."""
    centres = np.clip(positions - 0.5, 0, count - 1)
    first = np.floor(centres).astype(int)
    return (first, 1 - (centres - first)), (np.minimum(first + 1, count - 1), centres - first)


def test_every_8_bit_colour_survives():
    steps = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(18, -1, 3).astype(np.uint8)
    lab = srgb_to_lab(rgb.astype(np.float32) / np.float32(255))
    L, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(lab[..., 1:].transpose(2, 0, 1))
    np.testing.assert_array_equal(composed(L, ab)[0], rgb)
