"""Measures besides PSNR, on pictures with a known result."""

from __future__ import annotations

import json

import numpy as np
import pytest
from livetint.bench.accuracy import extras, quality
from livetint.bench.accuracy.photo_set import PhotoSet
from livetint.bench.accuracy.protocols import PROTOCOLS
from livetint.engine.hints import Hint

from ..stubs import ConstantRunner, write_photos


def flat(a, b, side=64):
    ab = np.empty((2, side, side), np.float32)
    ab[0], ab[1] = a, b
    return ab


def test_colour_at_hints_is_the_distance_to_what_was_asked():
    hints = [Hint(0.5, 0.5, 10, 0), Hint(0.2, 0.2, 10, 5)]
    assert quality.at_hints(flat(10, 0), hints) == pytest.approx(2.5)
    assert quality.at_hints(flat(10, 0), []) is None


def test_reach_is_the_mean_distance_to_what_changed_noticeably():
    before, after = flat(0, 0), flat(0, 0)
    after[0, 32, 48] = 10
    after[0, 0, 0] = 2
    assert quality.reach(before, after, Hint(32.5 / 64, 32.5 / 64, 10, 0)) == pytest.approx(16 / 64)
    assert quality.reach(before, before, Hint(0.5, 0.5, 10, 0)) is None


def test_bleeding_counts_error_near_edges_against_error_elsewhere():
    lab = np.zeros((64, 64, 3))
    lab[:, 32:, 0] = 80
    ab = flat(0, 0)
    assert quality.bleeding(lab, ab) == pytest.approx(0)
    ab[0, :, 30:34] = 8
    assert quality.edges(lab[..., 0]).sum() == 64 * 4
    assert quality.bleeding(lab, ab) == pytest.approx(8)
    assert quality.bleeding(np.zeros((64, 64, 3)), ab) is None


def test_a_swatch_within_delta_e_10_covers_a_colour():
    swatches = np.array([[0.0, 0.0], [50.0, 50.0]])
    assert quality.covered(swatches, np.array([6.0, 8.0]))
    assert not quality.covered(swatches, np.array([20.0, 20.0]))
    assert not quality.covered(np.zeros((0, 2)), np.array([0.0, 0.0]))


def test_even_change_is_steady_and_jumping_is_not():
    glide = [flat(frame, 0) for frame in range(5)]
    jump = [flat(10 * (frame % 2), 0) for frame in range(5)]
    assert quality.steadiness(glide) == pytest.approx(0)
    assert quality.steadiness(jump) == pytest.approx(20)


def test_mean_difference_is_cie76():
    assert quality.mean_difference(np.zeros((64, 64, 3)), flat(3, 4)) == pytest.approx(5)


@pytest.fixture
def folder(tmp_path):
    return write_photos(tmp_path / "set", 2)


def measured(folder, runner):
    zhang = PROTOCOLS["zhang17"]
    stream = PhotoSet(folder).pictures(zhang, 256)
    return extras.as_table(extras.measure_extras(runner, stream, zhang, 7))


def test_extras_give_every_measure_and_say_why_lpips_is_missing(folder):
    table = measured(folder, ConstantRunner((3.0, 4.0)))
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert table["unsteadiness"]["1"] == {"mean": 0.0, "standard_error": 0.0, "n": 2}
    assert set(table["coverage"]) == set(table["coverage, 5 hints"]) == {"5", "9"}
    assert table["coverage"]["9"]["mean"] >= table["coverage"]["5"]["mean"] - 1e-9
    assert set(table["novice, swatches 9"]) == {"1", "2", "5", "10"}
    no_hint = table["novice, no hint"]["0"]["mean"]
    assert table["novice, exact"]["10"]["mean"] == pytest.approx(no_hint)
    assert "reach" not in table
    assert table["lpips"]["available"] is False
    assert "coverage" in extras.as_lines(table)


def test_measures_that_a_network_cannot_do_are_left_out(folder):
    table = measured(folder, ConstantRunner(local=False))
    assert "coverage" in table and "novice, exact" not in table and "delta_e_at_hints" not in table


def test_extras_are_deterministic(folder):
    assert measured(folder, ConstantRunner((3.0, 4.0))) == measured(folder, ConstantRunner((3.0, 4.0)))
