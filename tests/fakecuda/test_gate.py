"""`livetint build touch` on a GPU that answers wrongly or loses too much: refused, named, or one rung up.

The stand-in TensorRT returns the parts of a three-way Split in reverse order, as TensorRT 8.6 very likely did.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from livetint.build_engine import apply_precision, gate
from livetint.build_engine.gate import WrongAnswers
from livetint.cli.build import build
from livetint.engine.models import find_model
from livetint.engine.runners.tensorrt.plan_folder import PLANS, read_plans
from livetint.engine.runners.tensorrt.runner import TensorRTRunner

from ..needs import needs
from .standin import Standin
from .tensorrt_builder import LOSS
from .tensorrt_standin import module

pytestmark = [needs("c++"), needs("pycuda")]


@pytest.fixture(autouse=True)
def tensorrt_8_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 8.6."""
    monkeypatch.setitem(sys.modules, "tensorrt", module("tensorrt", "8.6.0"))


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(build, ["touch", "--target", "tensorrt", "-o", str(folder), *arguments])


def test_a_loss_in_fp16_ends_one_rung_up_and_says_so(gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LOSS, "attend16 base 1.0185")
    done = run(tmp_path / "plans")
    assert done.exit_code == 0, done.output
    assert "fp16 was refused: on the GPU, fp16 loses too much: +0.06" in done.output
    assert "dB lost (limit 0.05); next: fp16 with attention in fp32" in done.output
    assert "auto: fp16 with attention in fp32" in done.output
    assert "fp16 (fp16 with attention in fp32) plans in" in done.output
    manifest = read_plans(tmp_path / "plans")
    assert (manifest.precision, manifest.rung) == ("fp16", "fp16 with attention in fp32")
    assert "up to date" in run(tmp_path / "plans").output
    with TensorRTRunner(find_model(str(tmp_path / "plans"))) as runner:
        L = gate.example_cases()[0].L
        assert runner.colorize(runner.encode(L), ()).shape == (2, 256, 256)


def test_exchanged_q_and_v_are_refused_and_named(gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(apply_precision, "three_products", lambda model: model)
    done = run(tmp_path / "plans", "--precision", "fp16")
    assert isinstance(done.exception, WrongAnswers) and not (tmp_path / "plans" / PLANS).exists()
    message = str(done.exception)
    assert message.startswith("TensorRT answers wrongly: ") and "map 'base' is off by 0.18" in message
    assert "run `livetint build touch --compare-layers`" in message
    named = run(tmp_path / "plans", "--precision", "fp32", "--compare-layers")
    assert named.exit_code == 1, named.output
    last = named.output.splitlines()[-1]
    assert last == "the first layer that differs: Split /encoder/attend16.0/Split, whose inputs are right"


def test_without_a_fault_no_layer_differs(gpu: Standin, tmp_path: Path):
    done = run(tmp_path / "plans", "--precision", "fp16", "--compare-layers")
    assert done.exit_code == 0, done.output
    assert "no output of the graph differs from ONNX Runtime" in done.output and not (tmp_path / "plans").exists()


def test_layers_are_compared_with_tensorrt_alone(gpu: Standin):
    done = CliRunner().invoke(build, ["touch", "--target", "onnxruntime", "--compare-layers"])
    assert "compares TensorRT with ONNX Runtime" in str(done.exception)
