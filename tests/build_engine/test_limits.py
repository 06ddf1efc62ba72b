"""The gate sees what dB do not: planted faults are refused at every precision, and told apart from rounding."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from livetint.build_engine.accuracy_report import Answer, answers, compare, example_cases, map_errors, reference_answers
from livetint.build_engine.limits import FAULT_AB, FAULT_MAP, LIMITS, limits_of
from livetint.build_engine.planted_faults import FAULTS, with_fault
from livetint.engine.models import find_model
from livetint.engine.runners.onnx import OnnxRunner


@pytest.fixture(scope="module")
def reference() -> list[Answer]:
    return reference_answers(find_model("touch"), example_cases())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_at_every_precision(reference: list[Answer], fault: str):
    with OnnxRunner(with_fault(find_model("touch"), fault)) as runner:
        got = answers(runner, example_cases())
    for precision in ("fp32", "fp16", "int8"):
        found = compare(precision, example_cases(), reference, got)
        limits = LIMITS[precision]
        assert found.mean_ab > limits.mean_ab and found.map_error > limits.map_error, found.sentence()
        nothing = msgspec.structs.replace(found, mean_ab=0.0, map_error=0.0)
        assert found.is_fault(nothing) and not nothing.is_fault(nothing)
        assert not found.is_fault(found), "what ONNX Runtime does too is no fault of the GPU"
    # The limits of INT8 are half of the smallest fault.
    assert found.mean_ab / 2 >= FAULT_AB - 0.005 and found.map_error / 2 >= FAULT_MAP - 0.001
    assert found.lost_db < LIMITS["int8"].lost_db, "dB alone do not see it"


def test_a_little_too_much_is_no_fault(reference: list[Answer]):
    got = [Answer(answer.ab + np.float32(0.3), answer.maps) for answer in reference]
    found = compare("fp16", example_cases(), reference, got)
    assert not found.within and not found.is_fault(msgspec.structs.replace(found, mean_ab=0.0))


def test_answers_that_are_no_numbers_are_a_fault(reference: list[Answer]):
    got = [Answer(answer.ab * np.float32(np.nan), answer.maps) for answer in reference]
    found = compare("fp16", example_cases(), reference, got)
    assert not found.within and found.is_fault(msgspec.structs.replace(found, mean_ab=0.0))


def test_the_spread_of_a_map_is_how_much_it_differs_between_photographs():
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1000, 50)
    maps = [np.stack([place, rng.normal(size=50)]).astype(np.float32) for _ in range(4)]
    right = [Answer(np.zeros((2, 1, 1), np.float32), {"key": values}) for values in maps]
    wrong = [Answer(a.ab, {"key": a.maps["key"] + np.array([[0], [0.1]], np.float32)}) for a in right]
    assert map_errors(right, wrong)["key"] == pytest.approx(0.1, rel=0.15), "the 1000 of the place do not count"
    assert map_errors(right, right)["key"] == 0
    assert map_errors(right[:1], wrong[:1]) == {}


def test_limits_of_a_back_end_come_before_those_of_the_precision():
    assert limits_of("fp16", "emulated") == LIMITS["fp16 emulated"] != LIMITS["fp16"]
    assert limits_of("fp16", "onnxruntime") == limits_of("fp16") == LIMITS["fp16"]


def test_the_documentation_has_the_table():
    text = (Path(__file__).parents[2] / "docs" / "building.md").read_text("utf-8")
    rows = {"fp32": "fp32", "fp16": "fp16", "int8": "INT8", "int8 onnxruntime": "INT8 for ONNX Runtime",
            "fp16 emulated": "fp16, emulated: new bundles, and builds without a GPU"}  # fmt: skip
    assert rows.keys() == LIMITS.keys()
    for name, title in rows.items():
        limits = LIMITS[name]
        assert f"| {title} | {limits.lost_db} | {limits.mean_ab} | {limits.map_error} |" in text
