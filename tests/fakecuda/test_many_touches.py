"""Ten thousand touches allocate no memory after the first."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.runners.tensorrt.runner import TensorRTRunner

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import Standin

pytestmark = [needs("c++"), needs("pycuda")]
GROWTH_BYTES = 64 << 10


@pytest.fixture
def small(tmp_path: Path) -> Bundle:
    bundle = tiny_bundle(tmp_path / "tiny", side=8)
    build_for_standin(bundle)
    return bundle


@pytest.mark.parametrize(("integrated", "count"), [(False, 10_000), (True, 2_000)])
def test_ten_thousand_touches_allocate_nothing(gpu: Standin, small: Bundle, integrated: bool, count: int):
    gpu.integrated(integrated)
    drags = [some_hints(hints, hints) for hints in (1, 2, 3, 7)]
    with TensorRTRunner(small) as runner:
        features = runner.encode(lightness_of(8))
        first = runner.colorize(features, drags[0])
        taken, held, captures = gpu.allocations, gpu.held_bytes, gpu.calls("cuStreamBeginCapture")
        runner.colorize(features, drags[0])
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for turn in range(count):
            runner.colorize(features, drags[turn % len(drags)])
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert (gpu.allocations, gpu.held_bytes) == (taken, held), "device or pinned memory was taken"
        assert gpu.calls("cuStreamBeginCapture") == captures == 1 and gpu.calls("cuGraphLaunch") == count + 1
        assert grown <= GROWTH_BYTES
        np.testing.assert_array_equal(runner.colorize(features, drags[0]), first)
