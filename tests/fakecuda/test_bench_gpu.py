"""`livetint bench gpu` runs from end to end on the stand-in: answers agree, every stage has its times, and whatever
fails leaves the rest."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from livetint.bench.gpu import processes, run
from livetint.bench.gpu.child import compare_answers
from livetint.bench.gpu.findings import wrong_in
from livetint.bench.gpu.kernel_lab import TOOLS, KernelLab, LabLimits
from livetint.bench.gpu.run import Settings, build_command, measure_gpu, quick
from livetint.bench.gpu.timing import time_way
from livetint.build_engine.accuracy_report import Case
from livetint.build_engine.planes_bundle import write_untrained
from livetint.cli.bench.gpu import gpu as command
from livetint.engine.bundle import Bundle
from livetint.engine.models import find_model
from livetint.engine.runners.tensorrt.runner import TensorRTRunner

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import Standin

pytestmark = [needs("c++"), needs("pycuda")]

SHORT = ("--touches", "4", "--display", "16x12", "--hints", "1,16", "--skip-kernels")


def bench(model: Path, json_file: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["--model", str(model), *SHORT, "--json", str(json_file), *options])


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny", side=256, ab_scale=2.0).folder


@pytest.fixture
def broken_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """broken_child(step, code): that step runs `code` instead, in its own process; the others are as they are."""

    def install(step: str, code: str) -> None:
        script = tmp_path / "child.py"
        script.write_text(
            "import os, time\nfrom livetint.bench.gpu import child\nrun = child._run\n"
            "def broken(given, save):\n"
            f"    if given['step'] != {step!r}:\n        return run(given, save)\n    {code}\n"
            "child._run = broken\nchild.main()\n"
        )
        monkeypatch.setattr(processes, "CHILD", (sys.executable, str(script)))

    return install


def test_one_json_and_one_table(gpu: Standin, tiny: Path, tmp_path: Path):
    path = tmp_path / "gpu.json"
    done = bench(tiny, path)
    assert done.exit_code == 0, done.output
    report = json.loads(path.read_text())
    model = report["models"][str(tiny)]
    assert report["wrong"] == [] and model["answers"]["plan"]["within"]
    assert model["build"]["seconds"] > 0 and list(model["stages"]["plan"]["hints"]) == ["1", "16"]
    times = model["stages"]["plan"]["hints"]["16"]
    assert list(times["steps"]) == [
        "upload", "raster", "network", "scale", "download", "compose", "download picture",
    ]  # fmt: skip
    for group in ("network", "outside the network", "touch → ab", "touch → picture", "touch → picture, not copied"):
        assert times[group]["direct"]["n"] == times[group]["graph"]["n"] == 4
        assert times[group]["sum_of_steps"]["graph"] == pytest.approx(
            sum(times["steps"][step]["graph"] for step in times[group]["of"]), abs=1e-5
        )
    assert times["outside the network"]["of"] == ["upload", "raster", "scale", "compose"]
    assert times["touch → ab"]["host"]["p50"] > 0 and model["stages"]["plan"]["encoder"]["graph"]["p50"] > 0
    assert "not_done" in report["torch"], "there is no GPU for PyTorch"
    for words in ("stand-in (no GPU)", "touch → picture", "PyTorch: not timed", "aim: "):
        assert words in done.output
    assert model["answers"]["plans"]["options"]["optimisation"] is None
    assert str(tmp_path) not in json.dumps({**report, "models": list(report["models"].values())})


def test_the_kernels_of_a_touch_are_its_network(gpu: Standin):
    """No group counts the kernels of the touch stage as being outside the network."""
    bundle = find_model("touch")
    build_for_standin(bundle)
    parts: list[Any] = []
    with TensorRTRunner(bundle, (16, 12), touch_by="kernels") as runner:
        L = np.full((12, 16), 50, np.float32)
        times = time_way(runner, lightness_of(256), L, 4, [1], parts.append)["hints"]["1"]
    assert parts[0]["hints"]["1"] is times, "what is there is saved on the way"
    assert times["network"]["of"] == [
        "touch_tokens", "touch_shares", "touch_values", "touch_attention", "touch_corrections", "touch_upsample",
    ]  # fmt: skip
    assert times["match hints"]["of"] == ["match_measure", "match_couple", "match_solve", "match_add"]
    assert times["outside the network"]["of"] == ["upload", *times["match hints"]["of"], "compose"]
    assert times["touch → picture, not copied"]["of"] == [
        "upload", *times["network"]["of"], *times["match hints"]["of"], "compose",
    ]  # fmt: skip


def test_a_step_that_raises_leaves_its_reason_and_the_rest(gpu: Standin, tiny: Path, tmp_path: Path, broken_child):
    broken_child("answers", "raise TypeError('not a plan')")
    path = tmp_path / "gpu.json"
    done = bench(tiny, path)
    model = json.loads(path.read_text())["models"][str(tiny)]
    assert model["answers"]["not_done"] == "TypeError: not a plan"
    assert "Traceback" in done.output and "not done: TypeError" in done.output
    assert model["stages"]["plan"]["hints"]["16"]["touch → ab"]["graph"]["n"] == 4 and done.exit_code == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("save({'kernels': {'within': True, 'sentence': 'right'}}); os.abort()", "signal 6"),
        ("save({'kernels': {'within': True, 'sentence': 'right'}}); time.sleep(600)", "did not end within 8 s"),
    ],
)
def test_what_a_step_found_before_it_died_is_kept(broken_child, code: str, reason: str):
    broken_child("answers", code)
    found = processes.in_process("answers", {}, 8, print)
    assert reason in found["not_done"] and found["kernels"]["sentence"] == "right"


def test_the_result_is_saved_after_every_step(gpu: Standin, tiny: Path):
    saved: list[Any] = []

    def save(result: Any) -> None:
        saved.append(json.loads(json.dumps(processes.plain(result))))

    settings = Settings((str(tiny),), "fp16", 4, (1,), (16, 12), kernels=False)
    measure_gpu(settings, print, save)
    models = [set(result["models"][str(tiny)]) for result in saved]
    assert models[0] == {"model", "build"} and models[1] == {"model", "build", "answers"} and "stages" in models[2]
    assert "not_done" in saved[3]["kernels"] or "not_done" in saved[3]["torch"]
    assert all(result["schema"] == 2 and "aims" in result for result in saved)


def test_random_weights_get_ranges_where_int8_is_asked_for(gpu: Standin, tmp_path: Path, monkeypatch):
    """Plans are built in INT8 on a machine that has not fetched the weights. The network is small here, for time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(run, "write_untrained", partial(write_untrained, size=(32, 32)))
    for step in ("in_process", "time_torch"):
        monkeypatch.setattr(run, step, lambda *_: {})
    built: list[Bundle] = []
    monkeypatch.setattr(run, "build_command", lambda bundle, settings: built.append(bundle) or ["true"])
    settings = Settings(models=("siggraph17",), touches=4, hints=(1,), display=(16, 12), kernels=False)
    for precision in ("int8", "auto"):
        measure_gpu(replace(settings, precision=precision), print)
    assert [bundle.manifest.ranges for bundle in built] == ["ranges.json", ""]


def test_without_plans_the_reasons_are_in_the_result(gpu: Standin, tiny: Path, tmp_path: Path):
    path = tmp_path / "gpu.json"
    done = bench(tiny, path, "--skip-build")
    model = json.loads(path.read_text())["models"][str(tiny)]
    assert done.exit_code == 0 and "build" not in model
    assert "no plans" in model["answers"]["not_done"] and "no plans" in model["stages"]["not_done"]


def test_wrong_answers_end_with_exit_code_1_and_a_result(
    gpu: Standin, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bundle = tiny_bundle(tmp_path / "small", side=256)
    build_for_standin(bundle)
    case = Case(np.zeros((256, 256, 3), np.uint8), lightness_of(256), some_hints(5))
    assert compare_answers(bundle, cases=[case])["plan"]["within"]
    path = tmp_path / "gpu.json"
    assert bench(bundle.folder, path, "--skip-build").exit_code == 0
    monkeypatch.setenv("FAKECUDA_SPOIL", "1")
    done = bench(bundle.folder, path, "--skip-build")
    report = json.loads(path.read_text())
    assert done.exit_code == 1 and f"WRONG  {bundle.folder} by plan" in done.output
    assert not report["models"][str(bundle.folder)]["answers"]["plan"]["within"]
    report["kernels"] = {"lab": "failed", "memcheck": "passed", "said": {}}
    assert [line.split(":")[0] for line in wrong_in(report)] == ["kernels", f"{bundle.folder} by plan"]


def test_a_quick_run_has_its_own_settings_and_an_end(gpu: Standin, tiny: Path, tmp_path: Path):
    settings = quick(Settings())
    assert settings.touches == 200 and settings.limit_s == 225 and settings.quick
    assert "--optimisation 0" in " ".join(build_command(find_model("touch"), settings))
    assert "--optimisation 2 --force" in " ".join(build_command(Bundle.load(tiny), settings))
    other = quick(Settings(optimisation=3, all_plans=True, limit_s=60))
    assert "--optimisation 3 --all-plans" in " ".join(build_command(find_model("touch"), other)) and other.limit_s == 60
    assert build_command(Bundle.load(tiny), Settings())[-1] == "auto"


def test_a_run_without_time_says_so_of_every_step(gpu: Standin, tiny: Path):
    settings = Settings((str(tiny),), "fp16", 4, (1,), (16, 12), kernels=False, limit_s=1.0)
    report = measure_gpu(quick(settings), print)
    steps = {step: found["not_done"] for step, found in report["models"][str(tiny)].items() if step != "model"}
    assert steps == dict.fromkeys(("build", "answers", "stages"), "no time was left")
    assert report["torch"]["not_done"] == "no time was left"


def test_quick_builds_run_side_by_side_and_are_taken_by_the_next_run(gpu: Standin, tiny: Path, tmp_path: Path):
    path, other = tmp_path / "gpu.json", tiny_bundle(tmp_path / "other", side=256, ab_scale=3.0).folder
    for said in ("built:", "plans of an earlier build"):
        done = bench(tiny, path, "--quick", "--model", str(other))
        report = json.loads(path.read_text())
        assert done.exit_code == 0, done.output
        for model in (report["models"][str(folder)] for folder in (tiny, other)):
            assert any(said in line for line in model["build"]["said"])
            assert model["stages"]["plan"]["hints"]["16"]["touch → ab"]["graph"]["n"] == 4
            assert [plan["stage"] for plan in model["answers"]["plans"]["plans"]] == ["colour"]
        assert [line.rpartition(" were ")[2] for line in report["warnings"][:2]] == [
            "built at optimisation level 2: TensorRT tried few kernels"
        ] * 2


def test_a_build_that_hangs_is_ended_and_the_rest_runs(
    gpu: Standin, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program(tmp_path / "hang", "echo waiting for the GPU; sleep 600")
    monkeypatch.setattr("livetint.bench.gpu.run.BUILD", (str(tmp_path / "hang"),))
    path = tmp_path / "gpu.json"
    monkeypatch.setattr("livetint.bench.gpu.run.BUILDS_SHARE", 0.02)
    bench(tiny, path, "--quick")
    report = json.loads(path.read_text())
    model = report["models"][str(tiny)]
    assert re.fullmatch(
        r"livetint build: did not end within \d+ s; its last line: waiting .*", model["build"]["not_done"]
    )
    assert "no plans" in model["stages"]["not_done"] and "no GPU" in report["torch"]["not_done"]


def test_kernels_are_checked_with_what_the_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("livetint.bench.gpu.kernel_lab.NVCC_PLACES", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert check(tmp_path) == {"not_done": "nvcc was not found"}
    # An "nvcc" whose lab prints its architecture and a table, and a sanitizer that finds a race.
    program(
        tmp_path / "nvcc",
        'while [ "$1" != -o ]; do a="$a $1"; shift; done\n'
        'cat >"$2" <<END\n#!/bin/sh\necho $a\n'
        "echo 'touch_values 64x64, 16 hints      6.4 us      0.2 GB/s   0.0 %'\n"
        "echo 'compose_rgb 3840x2160                    WRONG'\n"
        "echo '1 of 2 launches are right'\nexit 1\nEND\nchmod +x \"$2\"",
    )
    found = check(tmp_path)
    assert found["compile"] == "passed" and found["lab"] == "failed" and "-arch=sm_87" in found["said"]["lab"][0]
    assert (found["right"], found["launches"], found["wrong"]) == (1, 2, ["compose_rgb 3840x2160"])
    assert found["us"] == {"touch_values 64x64, 16 hints": 6.4}
    assert found["racecheck"] == "not run: compute-sanitizer was not found"
    program(tmp_path / "compute-sanitizer", '[ "$2" != racecheck ]')
    found = check(tmp_path)
    assert {tool: found[tool] for tool in TOOLS} == {
        "memcheck": "passed", "racecheck": "failed", "synccheck": "passed", "initcheck": "passed",
    }  # fmt: skip
    program(tmp_path / "nvcc", "sleep 600")
    assert check(tmp_path, LabLimits(compile_s=0.2))["compile"].startswith("not done: did not end")


def check(folder: Path, limits: LabLimits = LabLimits()) -> dict[str, Any]:  # noqa: B008 - it is frozen
    lab = KernelLab(folder, "8.7")
    try:
        return lab.check(limits, print)
    finally:
        lab.close()


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
