"""Composing ab at the working size and L at full size into an sRGB picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.colour.cielab import lab_to_srgb, project_into_gamut, srgb_to_lab
from livetint.engine.errors import ConfigError
from livetint.engine.image import compose as compose_module
from livetint.engine.image.compose import METHODS, compose, resize_lightness
from livetint.engine.image.guided import MIN_WEIGHT, SIGMA_L


def reference(L: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """The definition of the bilinear method in float64, with pixel centres aligned; 0..255, not rounded."""

    def weights(count: int, source: int) -> np.ndarray:
        centres = np.clip((np.arange(count) + 0.5) * source / count - 0.5, 0, source - 1)
        return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(source)))

    rows, columns = weights(L.shape[0], ab.shape[1]), weights(L.shape[1], ab.shape[2])
    full = np.einsum("hi,cij,wj->hwc", rows, ab.astype(np.float64), columns, optimize=True)
    return lab_to_srgb(np.concatenate([L.astype(np.float64)[..., None], full], -1)) * 255


def guided_reference(L: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """The definition in engine/image/guided.py, pixel by pixel and cell by cell, in float64; 0..255, not rounded."""
    cell_L = resize_lightness(L, ab.shape[:0:-1]).astype(np.float64)
    full = np.empty((*L.shape, 2))
    for y, x in np.ndindex(L.shape):
        row, column = (
            np.maximum(0, 1 - np.abs(np.clip((at + 0.5) * cells / count - 0.5, 0, cells - 1) - np.arange(cells)))
            for at, cells, count in zip((y, x), cell_L.shape, L.shape, strict=True)
        )
        similarity = np.exp(-((L[y, x] - cell_L) ** 2) / (2 * SIGMA_L**2)) + MIN_WEIGHT
        weight = row[:, None] * column * similarity
        full[y, x] = (weight * ab).sum((1, 2)) / weight.sum()
    return lab_to_srgb(np.concatenate([L.astype(np.float64)[..., None], full], -1)) * 255


def random_case(seed: int, height: int, width: int, h: int, w: int, reach: float):
    rng = np.random.default_rng(seed)
    L = rng.uniform(0, 100, (height, width)).astype(np.float32)
    return L, rng.uniform(-reach, reach, (2, h, w)).astype(np.float32)


@settings(deadline=None)
@given(
    st.integers(0, 999),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([10.0, 60.0, 110.0, 128.0]),
)
def test_any_size_agrees_with_the_definition(seed, height, width, h, w, reach):
    L, ab = random_case(seed, height, width, h, w, reach)
    rgb = compose(L, ab)
    assert rgb.shape == (height, width, 3) and rgb.dtype == np.uint8
    assert np.abs(rgb - reference(L, ab)).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (5000, 1), (700, 901), (256, 256), (37, 4001)])
def test_ab_of_the_working_size_is_enlarged_to_sizes_of_every_shape(height, width):
    L, ab = random_case(7, height, width, 256, 256, 90)
    assert np.abs(compose(L, ab) - reference(L, ab)).max() <= 1


def test_nearly_all_values_are_rounded_to_the_nearest_level():
    L, ab = random_case(1, 300, 400, 256, 256, 60)
    truth = reference(L, ab)
    assert np.abs(compose(L, ab) - truth).max() < 0.9
    assert np.mean(compose(L, ab) != np.rint(truth)) < 0.005


def test_8_bit_colours_do_not_change():
    steps = np.arange(0, 256, 5)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(52, -1, 3).astype(np.uint8)
    lab = srgb_to_lab(rgb.astype(np.float32) / np.float32(255))
    again = compose(lab[..., 0], lab[..., 1:].transpose(2, 0, 1))
    assert np.array_equal(again, rgb)


def test_grey_stays_grey_at_the_same_level():
    levels = np.arange(256, dtype=np.uint8)[None].repeat(3, 0)
    L = srgb_to_lab(np.repeat(levels[..., None], 3, -1) / np.float32(255))[..., 0]
    rgb = compose(L, np.zeros((2, 256, 256), np.float32))
    assert np.array_equal(rgb, np.repeat(levels[..., None], 3, -1))


def test_one_colour_gives_that_colour_everywhere():
    lab = project_into_gamut(np.array([55.0, 40.0, -30.0]))
    ab = np.broadcast_to(lab[1:, None, None], (2, 256, 256)).astype(np.float32)
    rgb = compose(np.full((333, 77), lab[0], np.float32), ab)
    assert np.abs(rgb - lab_to_srgb(lab) * 255).max() <= 0.51


def test_colours_outside_the_gamut_are_clipped_not_wrapped():
    L = np.full((8, 8), 90, np.float32)
    for a, b in ((127, 127), (-127, 127), (127, -127), (-127, -127)):
        ab = np.broadcast_to(np.array([a, b], np.float32)[:, None, None], (2, 4, 4))
        assert np.abs(compose(L, ab) - reference(L, np.asarray(ab))).max() <= 1
    assert compose(np.full((2, 2), 100, np.float32), np.zeros((2, 1, 1), np.float32)).min() == 255


def test_stripes_leave_no_seam(monkeypatch):
    L, ab = random_case(3, 97, 61, 256, 256, 50)
    whole = compose(L, ab)
    for pixels in (1, 61, 500):
        monkeypatch.setattr(compose_module, "STRIPE_PIXELS", pixels)
        assert np.abs(compose(L, ab).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_very_wide_photographs_are_composed_transposed(monkeypatch, method):
    L, ab = random_case(4, 3, 900, 256, 256, 50)
    upright = compose(L, ab, method=method)
    monkeypatch.setattr(compose_module, "MAX_ROW_PX", 100)
    transposed = compose(L, ab, method=method)
    assert transposed.shape == (3, 900, 3) and transposed.flags.c_contiguous
    assert np.abs(transposed.astype(int) - upright).max() <= 1


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_composing_at_a_size_equals_composing_a_resized_lightness(height, width, out_height, out_width):
    L, ab = random_case(5, height, width, 16, 16, 40)
    rgb = compose(L, ab, size=(out_width, out_height))
    assert rgb.shape == (out_height, out_width, 3)
    shown = resize_lightness(L, (out_width, out_height))
    assert np.array_equal(rgb, compose(shown, ab))
    assert shown.min() >= L.min() - 1e-3 and shown.max() <= L.max() + 1e-3


def test_shrinking_averages_lightness_and_growing_interpolates_it():
    L = np.array([[0, 100, 0, 100]], np.float32)
    assert np.allclose(resize_lightness(L, (2, 1)), 50)
    assert np.allclose(resize_lightness(L[:, :2], (4, 1)), [[0, 25, 75, 100]])
    assert resize_lightness(L, (4, 1)) is L


def test_colours_agree_with_bilinear_resizing_by_opencv():
    L, ab = random_case(6, 300, 500, 256, 256, 30)
    full = np.stack([cv2.resize(plane, (500, 300), interpolation=cv2.INTER_LINEAR) for plane in ab], -1)
    truth = lab_to_srgb(np.concatenate([L[..., None], full], -1)) * 255
    assert np.abs(compose(L, ab) - truth).max() <= 1


def test_guided_colours_do_not_cross_an_edge():
    L = np.full((90, 120), 30, np.float32)
    L[:, 53:] = 80
    truth = np.where(L > 50, 35, -35).astype(np.float32)
    a = np.asarray(cv2.resize(truth, (12, 9), interpolation=cv2.INTER_AREA), np.float32)
    ab = np.stack([a, np.zeros_like(a)])
    lab = np.stack([L, truth, np.zeros_like(truth)], -1)
    errors = {
        method: np.abs(srgb_to_lab(compose(L, ab, method=method) / np.float32(255)) - lab)[:, 45:61].mean()
        for method in ("bilinear", "guided")
    }
    assert errors["guided"] < 0.8 * errors["bilinear"]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 30), st.integers(1, 20), st.integers(1, 20))
def test_guided_agrees_with_its_definition(seed, height, width, h, w):
    L, ab = random_case(seed, height, width, h, w, 90)
    assert np.abs(compose(L, ab, method="guided") - guided_reference(L, ab)).max() <= 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
def test_guided_is_bilinear_on_even_lightness_and_never_leaves_the_range_of_ab(seed, height, width, h, w):
    L, ab = random_case(seed, height, width, h, w, 60)
    even = np.full_like(L, 50)
    assert np.abs(compose(even, ab, method="guided").astype(int) - compose(even, ab)).max() <= 1
    flat = np.broadcast_to(ab[:, :1, :1], ab.shape)
    assert np.abs(compose(L, flat, method="guided").astype(int) - compose(L, flat)).max() <= 1
    whole = compose(L, ab, method="guided")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose_module, "STRIPE_PIXELS", 7)
        assert np.abs(compose(L, ab, method="guided").astype(int) - whole).max() <= 1


def test_inputs_are_not_changed():
    L, ab = random_case(8, 20, 30, 16, 16, 128)
    for array in (L, ab):
        array.setflags(write=False)
    before = L.copy(), ab.copy()
    compose(L, ab)
    compose(L, ab, size=(7, 9))
    assert np.array_equal(L, before[0]) and np.array_equal(ab, before[1])


def test_invalid_arguments_are_refused():
    L, ab = random_case(9, 4, 4, 4, 4, 1)
    with pytest.raises(ConfigError, match="bilinear"):
        compose(L, ab, method="edge-aware")
    for bad_L, bad_ab in ((L[0], ab), (L, ab[:1]), (L, ab[:, :0]), (L[:0], ab)):
        with pytest.raises(ValueError, match="expected L"):
            compose(bad_L, bad_ab)
    with pytest.raises(ValueError, match="at least 1"):
        compose(L, ab, size=(0, 3))
