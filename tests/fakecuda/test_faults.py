"""What goes wrong on a GPU comes out as one typed error that says what to do, wherever it strikes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from livetint.engine.bundle import Bundle
from livetint.engine.errors import DeviceError, DeviceFull, DeviceLost, NoDevice, RunnerError
from livetint.engine.image.encode import save_rgb
from livetint.engine.runners.base import NO_GLOBAL_HINTS
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.open import open_runner
from livetint.engine.runners.tensorrt.device import Device
from livetint.engine.runners.tensorrt.plan_folder import StalePlan
from livetint.engine.runners.tensorrt.runner import KEPT_PHOTOGRAPHS, TensorRTRunner

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import HANG, ILLEGAL_ADDRESS, LAUNCH_FAILED, OUT_OF_MEMORY, Standin

pytestmark = [needs("c++"), needs("pycuda")]
CALLS = ("cuMemAlloc", "cuMemHostAlloc", "cuStreamCreate", "cuGraphInstantiate", "cuLaunchKernel", "cuMemcpyHtoDAsync")


@pytest.fixture
def tiny(tmp_path: Path) -> Bundle:
    bundle = tiny_bundle(tmp_path / "tiny")
    build_for_standin(bundle)
    return bundle


def a_touch(bundle: Bundle, gpu: Standin | None = None) -> int:
    """Everything a runner does, from start to end; the driver's calls until then, without those that give back."""
    with TensorRTRunner(bundle, display=(20, 20)) as runner:
        features = runner.encode(lightness_of(32))
        for _ in range(3):
            runner.colorize(features, some_hints(3))
        return gpu.calls() if gpu else 0


@pytest.mark.parametrize("code", [ILLEGAL_ADDRESS, LAUNCH_FAILED])
def test_an_error_that_sticks_wherever_it_strikes_loses_the_gpu_and_says_to_start_again(
    gpu: Standin, tiny: Bundle, code: int
):
    total = a_touch(tiny, gpu)
    assert total > 60
    for nth in range(1, total + 1):
        gpu.reset()
        gpu.fail("*", nth, code)
        with pytest.raises(RunnerError, match=r"start this process again|--device cpu") as caught:
            a_touch(tiny)
        assert isinstance(caught.value, DeviceLost | NoDevice), (nth, caught.value)
        assert caught.value.exit_code == (70 if isinstance(caught.value, DeviceLost) else 2)


def test_an_error_of_the_work_itself_surfaces_at_the_wait(gpu: Standin, tiny: Bundle):
    runner = TensorRTRunner(tiny)
    features = runner.encode(lightness_of(32))
    runner.colorize(features, ())
    gpu.fail("run", 2, LAUNCH_FAILED)
    with pytest.raises(DeviceLost, match=r"answering a touch.*719"):
        runner.colorize(features, ())
    assert "719" in runner.lost
    for again in (lambda: runner.colorize(features, ()), lambda: runner.encode(lightness_of(32))):
        with pytest.raises(DeviceLost, match="start this process again"):
            again()
    runner.close()
    with pytest.raises(DeviceLost):
        runner.colorize(features, ())


def test_memory_that_runs_out_says_so_and_nothing_stays_taken(gpu: Standin, tiny: Bundle):
    before = gpu.held_bytes
    a_touch(tiny)
    for name in ("cuMemAlloc", "cuMemHostAlloc"):
        for nth in range(1, gpu.calls(name) + 1):
            gpu.reset()
            gpu.fail(name, nth, OUT_OF_MEMORY)
            with pytest.raises(DeviceFull, match="too little free memory"):
                a_touch(tiny)
            assert gpu.held_bytes == before, (name, nth)
        gpu.reset()
        a_touch(tiny)
    gpu.limit(200_000)
    with pytest.raises(DeviceFull, match="--device cpu"):
        a_touch(tiny)


def test_other_errors_are_told_in_the_drivers_words(gpu: Standin, tiny: Bundle):
    for name in CALLS:
        gpu.reset()
        gpu.fail(name, 1, 304)
        with pytest.raises(DeviceError, match="some other error"):
            a_touch(tiny)


def test_after_an_error_while_an_evicted_photograph_is_encoded_again_it_answers_from_its_own_features(
    gpu: Standin, tiny: Bundle
):
    L_planes = [lightness_of(32, seed) for seed in range(KEPT_PHOTOGRAPHS + 1)]
    hints = some_hints(3)
    for nth, call in ((1, "cuMemcpyDtoDAsync"), (2, "cuMemcpyDtoDAsync"), (1, "cuMemcpyHtoDAsync")):
        with TensorRTRunner(tiny) as runner, OnnxRunner(tiny) as other:
            photographs = [runner.encode(L) for L in L_planes]
            assert photographs[0].slot is None, "evicted by the last one"
            gpu.fail(call, nth, 304)
            with contextlib.suppress(DeviceError):
                runner.colorize(photographs[0], hints)
            gpu.reset()
            for features, L in zip(photographs, L_planes, strict=True):
                expected = other.colorize(other.encode(L), hints)
                np.testing.assert_allclose(runner.colorize(features, hints), expected, atol=0.15)


def test_closing_gives_back_everything_once_whatever_fails(gpu: Standin):
    device, freed = Device(), list[str]()

    def free(name: str, fails: bool = False) -> None:
        freed.append(name)
        if fails:
            raise DeviceError("it refused")

    device.on_close(lambda: free("first"))
    device.on_close(lambda: free("second", fails=True))
    early = device.on_close(lambda: free("early"))
    device.on_close(lambda: free("last"))
    early()
    early()
    with pytest.raises(DeviceError, match="it refused"):
        device.close()
    assert freed == ["early", "last", "second", "first"] and device.closed
    device.close()
    assert len(freed) == 4


def test_pictures_of_many_sizes_leave_nothing_to_give_back(gpu: Standin, tiny: Bundle):
    with TensorRTRunner(tiny, display=(40, 40)) as runner:
        features = runner.encode(lightness_of(32))
        held = []
        for side in range(20, 40):
            runner.render(features, (), NO_GLOBAL_HINTS, lightness_of(side))
            held.append(runner.device.held)
        assert len(set(held)) == 1


def test_a_gpu_that_never_answers_is_lost_after_the_deadline(gpu: Standin, tiny: Bundle):
    with TensorRTRunner(tiny, deadline_s=3) as runner:
        features = runner.encode(lightness_of(32))
        runner.colorize(features, ())
        gpu.fail("run", 1, HANG)
        with pytest.raises(DeviceLost, match=r"did not end within 3 s"):
            runner.colorize(features, ())
    assert runner.lost


def test_wrong_plans_are_refused_with_the_command_that_builds_them(gpu: Standin, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "tiny")
    with pytest.raises(StalePlan, match="livetint build tiny"):
        TensorRTRunner(bundle)
    folder, manifest = build_for_standin(bundle)
    text = json.loads((folder / "plans.json").read_text())
    for field, wrong in (("version", "9.1"), ("compute_capability", "9.0"), ("sources", {})):
        (folder / "plans.json").write_text(json.dumps({**text, field: wrong}))
        with pytest.raises(StalePlan, match="livetint build tiny"):
            TensorRTRunner(bundle)
    (folder / "plans.json").write_text(json.dumps(text))
    plan = folder / manifest.plans[0].file
    plan.write_bytes(plan.read_bytes()[:-1] + b"x")
    with pytest.raises(StalePlan, match="damaged"):
        TensorRTRunner(bundle)


def test_a_plan_that_tensorrt_does_not_take(gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = tiny_bundle(tmp_path / "tiny")
    monkeypatch.setattr("tests.fakecuda.tensorrt_standin.HEADER", b"another maker's plan ")
    build_for_standin(bundle)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(StalePlan, match=r"does not take the plan of colour: the plan was made by something else"):
        TensorRTRunner(bundle)


def test_auto_falls_back_and_says_so_once(gpu: Standin, tiny: Bundle):
    said: list[str] = []
    gpu.fail("cuMemAlloc", 2, OUT_OF_MEMORY)
    with open_runner(tiny, "auto", say=said.append) as runner:
        assert isinstance(runner, OnnxRunner)
    assert len(said) == 1 and said[0].startswith("running on the CPU: the GPU has too little free memory")
    gpu.fail("cuMemAlloc", 2, OUT_OF_MEMORY)
    open_runner(tiny, "auto", say=said.append).close()
    assert len(said) == 1
    with open_runner(tiny, "auto", say=said.append) as runner:
        assert isinstance(runner, TensorRTRunner)
    with pytest.raises(DeviceFull):
        gpu.fail("cuMemAlloc", 2, OUT_OF_MEMORY)
        open_runner(tiny, "cuda")


def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from livetint.cli.__main__ import main; main()", *arguments],
        env={**os.environ, **more}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_commands_say_what_is_missing(gpu: Standin, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "large", side=256)
    build_for_standin(bundle)
    photo = tmp_path / "grey.png"
    save_rgb(photo, np.full((40, 50, 3), 99, np.uint8))
    colorize = ("colorize", str(photo), "-o", str(tmp_path / "out.png"), "--model", str(bundle.folder))
    without = command(*colorize, "--device", "cuda", LD_LIBRARY_PATH="")
    assert without.returncode == 2 and "no NVIDIA driver" in without.stderr and "\n" not in without.stderr.strip()
    (said,) = command(*colorize, "--device", "auto", LD_LIBRARY_PATH="").stderr.splitlines()
    assert said.startswith(f"{tmp_path / 'out.png'}: ") and said.endswith(" on the CPU"), "nobody expected a GPU"
    no_gpu = command(*colorize, "--device", "auto", FAKECUDA_DEVICES="0")
    assert no_gpu.returncode == 0 and no_gpu.stderr.count("running on the CPU: there is no GPU") == 1
    lost = command(*colorize, "--device", "cuda", FAKECUDA_FAULT="run:3:719")
    assert lost.returncode == 70 and lost.stderr.startswith("livetint: the GPU is lost to this process"), lost
    (tmp_path / "out.png").unlink()
    fine = command(*colorize, "--device", "cuda")
    assert fine.returncode == 0 and (tmp_path / "out.png").exists()
    (said,) = fine.stderr.splitlines()
    assert said.startswith(f"{tmp_path / 'out.png'}: ") and said.endswith(" on the GPU")
