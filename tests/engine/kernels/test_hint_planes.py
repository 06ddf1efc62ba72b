"""The planes of hints equal those of engine/hints.py bit for bit, for every size, schedule and precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.engine.hints import Hint, rasterise
from livetint.engine.inputs import AB_SCALE
from livetint.engine.kernels.table import hint_records

from tests.needs import needs

from .library import kernels

pytestmark = [needs("c++"), pytest.mark.usefixtures("rounding")]

coordinates = st.floats(0, 1)
hints = st.builds(Hint, coordinates, coordinates, st.floats(-128, 128), st.floats(-128, 128), st.integers(1, 9))
TYPES = {"f32": np.float32, "f16": np.float16}


def planes(given_hints, shape, kind="f32", ab_scale=AB_SCALE, mask=(0.0, 1.0), offset=0):
    height, width = shape
    memory = np.full(3 * height * width + offset, 7, TYPES[kind])
    out = memory[offset:].reshape(3, height, width)
    count = np.array([len(given_hints)], np.int32)
    kernels().launch(
        f"hint_planes_{kind}", (width, height), hint_records(given_hints), count, out, height, width, ab_scale, *mask
    )
    return out


def expected(given_hints, shape, ab_scale=AB_SCALE, mask=(0.0, 1.0)):
    ab, covered = rasterise(given_hints, shape)
    low, high = mask
    return np.concatenate([ab / np.float32(ab_scale), covered * (high - low) + low]).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(hints, max_size=12),
    st.tuples(st.integers(1, 70), st.integers(1, 300)),
    st.sampled_from(["f32", "f16"]),
    st.sampled_from([(0.0, 1.0), (-0.5, 0.5)]),
    st.integers(0, 9),
    st.integers(0, 3),
)
def test_planes_equal_the_python_definition_bit_for_bit(given_hints, shape, kind, mask, schedule, offset):
    kernels().schedule(schedule)
    found = planes(given_hints, shape, kind, mask=mask, offset=offset)
    np.testing.assert_array_equal(found, expected(given_hints, shape, mask=mask).astype(TYPES[kind]))


@pytest.mark.parametrize("number", [0, 1, 31, 32, 33, 255, 256, 257, 700])
def test_any_number_of_hints_with_the_last_on_top(number):
    rng = np.random.default_rng(number)
    table = np.column_stack([rng.uniform(0, 1, (number, 2)), rng.uniform(-128, 128, (number, 2))]).tolist()
    given_hints = [Hint(x, y, a, b, int(rng.integers(1, 10))) for x, y, a, b in table]
    for schedule in (0, 1, 5):
        kernels().schedule(schedule)
        np.testing.assert_array_equal(planes(given_hints, (64, 256)), expected(given_hints, (64, 256)))


@given(st.integers(0, 300), st.integers(0, 256), st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_patches_at_exact_halves_are_those_of_python(numerator, row, size):
    """x·W − size/2 + ½ is often a whole number here, so that rounding an intermediate result moves the patch."""
    hint = Hint(min(numerator / 300, 1), row / 256, 20, -30, size)
    np.testing.assert_array_equal(planes([hint], (33, 300)), expected([hint], (33, 300)))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3000), st.sampled_from([(50.0, 100.0), (0.0, 1.0), (50.0, 1.0)]), st.sampled_from(["f32", "f16"]))
def test_lightness_is_normalised_with_offset_and_scale(count, L, kind):
    plane = np.random.default_rng(count).uniform(0, 100, count).astype(np.float32)
    out = np.empty(count, TYPES[kind])
    kernels().launch(f"L_plane_{kind}", (count,), plane, out, count, *L)
    np.testing.assert_array_equal(out, ((plane - L[0]) / L[1]).astype(TYPES[kind]))


def test_fp16_rounds_and_overflows_as_in_numpy():
    """All fp16 numbers and the ties between them, through a kernel that here only converts."""
    halves = np.arange(0, 0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    between = (halves[:-1] + halves[1:]) / 2
    values = np.concatenate([halves, between, np.nextafter(between, np.float32(1e9)), [1e-9, 65519, 65520, 1e30]])
    values = np.concatenate([values, -values]).astype(np.float32)
    out = np.empty(len(values), np.float16)
    kernels().launch("L_plane_f16", (len(values),), values, out, len(values), 0.0, 1.0)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, values.astype(np.float16))
