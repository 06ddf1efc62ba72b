"""`livetint bench gpu` runs from end to end on the stand-in: answers agree, every stage has its times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from livetint.bench.gpu.kernel_lab import TOOLS, check_kernels
from livetint.bench.gpu.run import compare_answers, wrong_in
from livetint.build_engine.accuracy_report import Case
from livetint.cli.bench.gpu import gpu as command

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import Standin

pytestmark = [needs("c++"), needs("pycuda")]


def test_one_json_and_one_table(gpu: Standin, tmp_path: Path):
    bundle, path = tiny_bundle(tmp_path / "tiny", side=256, ab_scale=2.0), tmp_path / "card.json"
    done = CliRunner().invoke(
        command, ["--model", str(bundle.folder), "--touches", "8", "--display", "16x12", "--skip-kernels",
                  "--json", str(path)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(path.read_text())
    model = report["models"][str(bundle.folder)]
    assert report["wrong"] == [] and model["answers"]["plan"]["within"]
    assert model["build"]["seconds"] > 0 and model["stages"]["served_by"] == "plan"
    events = model["stages"]["events"]
    assert list(events) == [
        "upload", "raster", "network", "scale", "download", "compose", "download picture",
        "outside the network", "touch → picture", "touch → ab", "encoder",
    ]  # fmt: skip
    for stage, found in events.items():
        assert found["direct"]["n"] == 8 and (stage == "encoder" or found["graph"]["n"] == 8)
    assert model["stages"]["host"]["touch → ab"]["p50"] > 0
    assert "not_done" in model["torch"], "there is no GPU for PyTorch"
    for words in ("stand-in (no GPU)", "touch → picture", "PyTorch not timed"):
        assert words in done.output


def test_wrong_answers_are_told(gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = tiny_bundle(tmp_path / "tiny", side=256)
    build_for_standin(bundle)
    case = Case(np.zeros((256, 256, 3), np.uint8), lightness_of(256), some_hints(5))
    assert compare_answers(bundle, "fp16", [case], print)["plan"]["within"]
    monkeypatch.setenv("FAKECUDA_SPOIL", "1")
    answers = compare_answers(bundle, "fp16", [case], print)
    assert not answers["plan"]["within"]
    report = {"kernels": {"lab": "failed", "said": {}}, "models": {"tiny": {"answers": answers}}}
    assert [line.partition(":")[0] for line in wrong_in(report)] == ["kernels", "tiny by plan"]


def test_kernels_are_checked_with_what_the_machine_has(gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("livetint.bench.gpu.kernel_lab.NVCC_PLACES", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert check_kernels(print) == {"lab": "not run: nvcc was not found"}
    # An "nvcc" whose lab prints its architecture and passes, and a sanitizer that finds a race.
    program(
        tmp_path / "nvcc",
        'while [ "$1" != -o ]; do a="$a $1"; shift; done; printf "#!/bin/sh\necho $a" >"$2"; chmod +x "$2"',
    )
    found = check_kernels(print)
    assert found["lab"] == "passed" and "-arch=sm_87" in found["said"]["lab"]
    assert found["racecheck"] == "not run: compute-sanitizer was not found"
    program(tmp_path / "compute-sanitizer", '[ "$2" != racecheck ]')
    found = check_kernels(print)
    assert {tool: found[tool] for tool in TOOLS} == {
        "memcheck": "passed", "racecheck": "failed", "synccheck": "passed", "initcheck": "passed",
    }  # fmt: skip


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
