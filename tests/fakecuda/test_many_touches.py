"""Ten thousand touches take nothing after the first; of touches that come too fast the latest is answered."""

from __future__ import annotations

import gc
import tracemalloc
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import DeviceLost, RunnerError
from livetint.engine.latest import LatestTouches
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.runner import TensorRTRunner

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import LAUNCH_FAILED, Standin

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


def test_the_latest_hints_win_and_nobody_waits_for_ever(gpu: Standin, small: Bundle):
    with TensorRTRunner(small) as runner, OnnxRunner(small) as other, LatestTouches(runner) as touches:
        L_planes = [lightness_of(8, seed) for seed in range(3)]
        photographs = [runner.encode(L) for L in L_planes]
        with runner._lock:  # as while a long frame is drawn
            asked = [
                [touches.ask(features, some_hints(2, 100 * who + turn)) for turn in range(50)]
                for who, features in enumerate(photographs)
            ]
        for who, answers in enumerate(asked):
            expected = other.colorize(other.encode(L_planes[who]), some_hints(2, 100 * who + 49))
            np.testing.assert_allclose(answers[-1].result(10), expected, atol=0.15)
            assert sum(answer.cancelled() for answer in answers) >= 48
        with pytest.raises(CancelledError):
            asked[1][10].result(1)
    with pytest.raises(RunnerError, match="closed"):
        touches.ask(photographs[0], ())


def test_what_goes_wrong_reaches_whoever_asked(gpu: Standin, small: Bundle):
    with TensorRTRunner(small) as runner, LatestTouches(runner) as touches:
        features = runner.encode(lightness_of(8))
        assert touches.ask(features, ()).result(10).shape == (2, 8, 8)
        gpu.fail("run", 1, LAUNCH_FAILED)
        with pytest.raises(DeviceLost):
            touches.ask(features, ()).result(10)
        with pytest.raises(DeviceLost):
            touches.ask(features, ()).result(10)
