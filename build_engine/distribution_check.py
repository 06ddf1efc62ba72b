"""How far distributions of colours on a GPU are from those of ONNX Runtime in fp32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..engine.runners.base import NO_GLOBAL_HINTS, Runner
from .accuracy_report import Case

# No hints, and a number of hints for each size of plan (plan_folder.HINT_SIZES).
COUNTS = (0, 10, 40, 100)
POINTS = np.stack(np.meshgrid(*[(np.arange(4) + 0.5) / 4] * 2), -1).reshape(-1, 2).astype(np.float32)
# The largest mean total variation for each precision of the encoder; the stage itself is always fp32. `touch` 5 has
# 0.0003 in fp16 and 0.014 in INT8. It changes by 0.016 if one hint of ten is lost, and by 0.4 if points are exchanged.
LIMITS = {"fp32": 0.002, "fp16": 0.008, "int8": 0.05}


def distributions(runner: Runner, cases: Sequence[Case]) -> NDArray[np.float32]:
    """Probabilities float32 [cases, COUNTS, POINTS, bins]. Of too few hints the last ones lie on top of the others."""
    found = []
    for case in cases:
        features = runner.encode(case.L)
        for count in COUNTS:
            hints = (list(case.hints) * -(-count // len(case.hints)))[:count]
            found.append(runner.distribution(features, hints, NO_GLOBAL_HINTS, POINTS))
    return np.array(found).reshape(len(cases), len(COUNTS), *found[0].shape)


def total_variation(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The mean over all points of half the summed differences: 0 for the same distributions, 1 for disjoint ones.

    Infinite if anything found is not finite.
    """
    mean = float(np.abs(found - reference).sum(-1).mean()) / 2
    return mean if np.isfinite(mean) else float("inf")
