"""Calibration of a staged bundle, whose encoder is quantised while touches stay in fp32."""

from __future__ import annotations

from livetint.build_engine.accuracy_report import example_cases
from livetint.build_engine.apply_precision import ranges_of
from livetint.build_engine.sensitivity import best_method
from livetint.calibration.ranges import METHODS
from livetint.engine.models import find_model


def test_the_methods_are_compared_on_the_bundled_model():
    bundle = find_model("touch")
    ranges = ranges_of(bundle)
    assert ranges is not None
    choice = best_method(bundle, ranges, example_cases()[:1])
    assert choice.held_out == 1 and set(choice.mean_ab) == set(METHODS)
    assert choice.mean_ab[choice.method] == min(choice.mean_ab.values())
    assert 0 < choice.mean_ab[choice.method] < 1
