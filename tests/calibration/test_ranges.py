"""Ranges: streaming histograms that widen, three methods to read them, and the file with its provenance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livetint.calibration.ranges import (
    METHODS,
    Choice,
    Histogram,
    Provenance,
    Ranges,
    decode,
    encode,
    load_ranges,
    save_ranges,
)
from livetint.engine.errors import ConfigError


def histogram(*samples: np.ndarray) -> Histogram:
    result = Histogram()
    for sample in samples:
        result.add(sample.astype(np.float32))
    return result


FINITE = st.one_of(st.floats(-1e4, 1e4, width=32), st.floats(width=32, allow_nan=False, allow_infinity=False))


@pytest.mark.filterwarnings("error")
@settings(max_examples=60, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=40), st.integers(1, 4))
def test_every_range_lies_within_the_extremes_and_contains_zero(values, parts):
    found = histogram(*np.array_split(np.array(values, np.float32), min(parts, len(values))))
    low, high = min(0.0, *values), max(0.0, *values)
    for method in METHODS:
        bottom, top = found.range(method)
        assert low <= bottom <= 0 <= top <= high
    assert found.range("minmax") == (low, high)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("extreme", [np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal])
def test_the_largest_and_the_smallest_numbers_fall_into_their_bins(extreme: np.float32):
    found = histogram(np.array([-1, -0.5, 0.5, 1], np.float32) * extreme)
    assert found.counts.sum() == 4
    assert found.counts[0] and found.counts[-1] and found.range("minmax") == (-float(extreme), float(extreme))


def test_thinning_reads_every_column_of_a_wide_map():
    columns = np.broadcast_to(np.arange(256, dtype=np.float32), (1, 16, 256, 256))
    found = histogram(columns)
    assert found.counts.sum() < columns.size / 8
    filled = found.counts[found.counts > 0]
    assert len(filled) == 256 and filled.max() < 1.2 * filled.min()


def test_widening_loses_no_counts_and_order_does_not_matter():
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=5000), rng.normal(size=5000) * 70
    one, other = histogram(small, large), histogram(large, small)
    assert one.counts.sum() == other.counts.sum() == 10_000
    assert one.span == other.span
    assert one.range("percentile")[1] == pytest.approx(other.range("percentile")[1], abs=one.span / 1000)


def test_percentile_and_entropy_clip_a_single_outlier():
    values = np.random.default_rng(1).normal(size=60_000)
    values[7] = 500
    found = histogram(np.abs(values))
    assert found.range("minmax")[1] == 500
    assert found.range("percentile")[1] < 10
    assert found.range("entropy")[1] < 100


def test_ranges_of_a_relu_start_at_zero_and_those_of_zeros_are_empty():
    found = histogram(np.maximum(np.random.default_rng(2).normal(size=1000), 0))
    assert all(found.range(method)[0] == 0 for method in METHODS)
    assert histogram(np.zeros(10)).range("entropy") == (0.0, 0.0)


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ConfigError, match="not finite"):
        histogram(np.array([1.0, np.nan]))


def test_unknown_methods_are_refused():
    with pytest.raises(ConfigError, match="minmax, percentile, entropy"):
        histogram(np.ones(3)).range("magic")


@pytest.fixture
def ranges() -> Ranges:
    made = Provenance("touch", {"encoder": "ab" * 32}, 256, 100, "cd" * 32, 0, "0.1.0", "1.23.2")
    stages = {"encoder": {method: {"x": (-1.0, 2.5)} for method in METHODS}}
    return Ranges(made, stages, Choice("entropy", ["head"], {"entropy": 0.1}, 12))


def test_a_file_comes_back_as_it_was(tmp_path, ranges):
    save_ranges(tmp_path / "ranges.json", ranges)
    assert load_ranges(tmp_path / "ranges.json") == ranges
    assert ranges.of("encoder", "entropy") == {"x": (-1.0, 2.5)}


def test_ranges_know_the_model_they_were_measured_on(ranges):
    assert ranges.fits({"encoder": "ab" * 32, "touch": "anything"})
    assert not ranges.fits({"encoder": "00" * 32})
    with pytest.raises(ConfigError, match="livetint calibrate"):
        ranges.of("colour", "minmax")


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"schema": 1'])
def test_other_files_are_refused_in_one_sentence(data):
    with pytest.raises(ConfigError, match="holds no ranges"):
        decode(data)


def test_another_schema_is_refused(ranges):
    with pytest.raises(ConfigError, match="schema 9"):
        decode(encode(ranges).replace(b'"schema": 1', b'"schema": 9'))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_ranges(tmp_path / "nowhere.json")
