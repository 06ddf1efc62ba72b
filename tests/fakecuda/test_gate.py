"""`livetint build touch` on a GPU that answers wrongly or loses too much: refused, named, or one rung up.

The stand-in TensorRT returns the parts of a three-way Split in reverse order, as TensorRT 8.6 very likely did.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from livetint.build_engine import gate
from livetint.build_engine.attention import attentions
from livetint.build_engine.fold import fold_constants
from livetint.build_engine.gate import WrongAnswers
from livetint.cli.build import build
from livetint.engine.bundle import Bundle, write_bundle
from livetint.engine.models import find_model
from livetint.engine.runners.tensorrt.plan_folder import PLANS, read_plans
from livetint.engine.runners.tensorrt.runner import TensorRTRunner
from onnx import helper

from ..needs import needs
from .standin import Standin
from .tensorrt_builder import LOSS
from .tensorrt_standin import module

pytestmark = [needs("c++"), needs("pycuda")]


@pytest.fixture(autouse=True)
def tensorrt_8_6(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 8.6."""
    monkeypatch.setitem(sys.modules, "tensorrt", module("tensorrt", "8.6.0"))


def run(folder: Path, *arguments: str, model: str = "touch") -> Result:
    return CliRunner().invoke(build, [model, "--target", "tensorrt", "-o", str(folder), *arguments])


def with_splits(folder: Path) -> Bundle:
    """`touch` with the same answers, but q and v of every attention are the first and the last part of a Split."""
    touch = find_model("touch")
    encoder = fold_constants(touch.stage("encoder"))
    for attention in attentions(encoder):
        query, value = attention.scores.input[0], attention.values.input[1]
        base = attention.softmax.name.rpartition("/")[0]
        parts = [f"{base}/{name}" for name in ("query", "unused", "value")]
        added = [
            helper.make_node("Concat", [query, query, value], [f"{base}/packed"], f"{base}/Concat", axis=0),
            helper.make_node("Split", [f"{base}/packed"], parts, f"{base}/Split", axis=0),
        ]
        place = list(encoder.graph.node).index(attention.scores)
        attention.scores.input[0], attention.values.input[1] = parts[0], parts[2]
        for node in reversed(added):
            encoder.graph.node.insert(place, node)
    files = {**touch.files, touch.manifest.stages["encoder"]: encoder.SerializeToString()}
    return write_bundle(folder, touch.manifest, files)


def test_a_loss_in_fp16_ends_one_rung_up_and_says_so(gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LOSS, "attend16 base 1.022")
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


def test_exchanged_q_and_v_are_refused_and_named(gpu: Standin, tmp_path: Path):
    model = str(with_splits(tmp_path / "model").folder)
    done = run(tmp_path / "plans", "--precision", "fp16", model=model)
    assert isinstance(done.exception, WrongAnswers) and not (tmp_path / "plans" / PLANS).exists()
    message = str(done.exception)
    assert message.startswith("TensorRT answers wrongly: ") and "map 'mood' is off by 0.26" in message
    assert "run `livetint build touch --compare-layers`" in message
    named = run(tmp_path / "plans", "--precision", "fp32", "--compare-layers", model=model)
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
