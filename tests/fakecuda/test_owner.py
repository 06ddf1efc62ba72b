"""A worker without plans serves from the CPU, has them built, and goes on with the GPU."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import NoDevice
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.runner import TensorRTRunner
from livetint.kiosk.engine.runner_owner import RunnerOwner

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import LAUNCH_FAILED, Standin

pytestmark = [needs("c++"), needs("pycuda")]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny", side=256)


def wait_for_build(owner: RunnerOwner) -> None:
    for _ in range(1200):
        if not owner.building:
            return
        time.sleep(0.05)
    pytest.fail("the build did not end within a minute")


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_plans_are_built_beside_and_taken(gpu: Standin, bundle: Bundle, device: str):
    said: list[str] = []
    owner = RunnerOwner(bundle, device, 1, said.append)
    assert isinstance(owner.runner, OnnxRunner) and "while the plans for the GPU are built" in said[0]
    before = owner.runner.colorize(owner.runner.encode(lightness_of(256)), some_hints(3))
    wait_for_build(owner)
    assert owner.improved() and not owner.improved()
    assert isinstance(owner.runner, TensorRTRunner) and said[1:] == ["running on the GPU from now on"]
    after = owner.runner.colorize(owner.runner.encode(lightness_of(256)), some_hints(3))
    np.testing.assert_allclose(before, after, atol=0.15)
    owner.runner.close()


def test_a_build_that_fails_leaves_the_cpu(gpu: Standin, bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setenv("FAKECUDA_TENSORRT", "7.0.0")
    owner = RunnerOwner(bundle, "auto", 1, said.append)
    wait_for_build(owner)
    assert not owner.improved() and isinstance(owner.runner, OnnxRunner)
    assert said[-1].startswith("the plans could not be built") and "too old" in said[-1]


def test_nothing_is_built_where_plans_are_not_what_is_missing(gpu: Standin, bundle: Bundle):
    build_for_standin(bundle)
    said: list[str] = []
    gpu.fail("cuInit", 1, LAUNCH_FAILED)
    with pytest.raises(NoDevice):
        RunnerOwner(bundle, "cuda", 1, said.append)
    gpu.reset()
    owner = RunnerOwner(bundle, "cuda", 1, said.append)
    assert isinstance(owner.runner, TensorRTRunner) and not owner.building and said == []
    owner.runner.close()
    owner = RunnerOwner(bundle, "cpu", 1, said.append)
    assert isinstance(owner.runner, OnnxRunner) and not owner.building and said == []
