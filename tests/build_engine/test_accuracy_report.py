"""What a precision costs is measured on the graph as it was written for its back end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from livetint.build_engine.accuracy_report import cases_of, measure_accuracy, reference_answers
from livetint.build_engine.apply_precision import apply_precision

from .small_network import SIDE, small_bundle


@pytest.mark.parametrize(("dialect", "unoptimised"), [("tensorrt", 1), ("onnxruntime", 0)])
def test_graphs_for_tensorrt_are_run_without_optimisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str, unoptimised: int
) -> None:
    bundle = small_bundle(tmp_path / "small")
    photographs = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    levels = []
    real = ort.InferenceSession

    def session(data: bytes, options: ort.SessionOptions, **more: Any) -> ort.InferenceSession:
        levels.append(options.graph_optimization_level)
        return real(data, options, **more)

    converted = apply_precision(bundle, "fp16", dialect)
    monkeypatch.setattr(ort, "InferenceSession", session)
    cases = cases_of(photographs)
    found = measure_accuracy(reference_answers(bundle, cases), converted, "fp16", dialect, cases)
    assert found.photographs == 2 and found.mean_ab < 0.5
    assert len(levels) == 2 and levels.count(ort.GraphOptimizationLevel.ORT_DISABLE_ALL) == unoptimised
