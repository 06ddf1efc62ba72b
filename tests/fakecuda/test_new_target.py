"""A new target is one row of the table: builder, runner, doctor and command line follow, with nothing else touched."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import livetint.cli
import numpy as np
import pytest
from click.testing import CliRunner
from livetint.build_engine.prepare import default_target
from livetint.build_engine.tensorrt_versions import load_target
from livetint.cli.doctor import doctor
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.runner import TensorRTRunner
from livetint.engine.runners.tensorrt.versions import TARGETS, Target, installed_targets

from ..needs import needs
from .plans import build_for_standin, lightness_of, some_hints, tiny_bundle
from .standin import Standin
from .tensorrt_standin import module

pytestmark = [needs("c++"), needs("pycuda")]
# Made like TensorRT 8.6, but it can build for two GPUs that need not be here.
ROW = Target(
    name="made-up", title="Made-Up", module="made_up", distribution="made-up-wheel",
    install="pip install made-up-wheel",
    versions=(replace(TARGETS["tensorrt"].versions[0], since=(3, 0), compute_capabilities=("4.2", "4.3")),),
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_more_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The row, and its module and package as if installed; the other targets are not."""
    monkeypatch.setitem(TARGETS, ROW.name, ROW)
    monkeypatch.setitem(sys.modules, ROW.module, module(ROW.name, "3.2.1"))
    for other in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, other, None)
    package = tmp_path / "site" / "made_up_wheel-3.2.1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up-wheel\nVersion: 3.2.1\n")
    monkeypatch.syspath_prepend(package.parent)


def test_the_builder_chooses_it():
    assert default_target(installed_targets()) == "made-up"
    found = load_target("made-up")
    assert (found.version, found.traits.dialect) == ("3.2.1", "tensorrt-8")


def test_the_runner_finds_its_plans_and_runs_them(gpu: Standin, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "tiny")
    _, manifest = build_for_standin(bundle, target="made-up")
    assert (manifest.target, manifest.version) == ("made-up", "3.2.1")
    with TensorRTRunner(bundle) as runner, OnnxRunner(bundle) as other:
        assert runner.tensorrt == "made-up 3.2.1"
        got = runner.colorize(runner.encode(lightness_of(32)), some_hints(5))
        np.testing.assert_allclose(got, other.colorize(other.encode(lightness_of(32)), some_hints(5)), atol=0.15)


def test_doctor_names_it(monkeypatch: pytest.MonkeyPatch):
    assert "made-up-wheel 3.2.1" in CliRunner().invoke(doctor).output
    monkeypatch.delitem(sys.modules, ROW.module)
    assert "made-up-wheel not installed (Made-Up plans); pip install made-up-wheel" in CliRunner().invoke(doctor).output


def test_the_command_line_offers_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(livetint.cli, "build", importlib.import_module("livetint.cli.build"))
    monkeypatch.delitem(sys.modules, "livetint.cli.build")
    build = importlib.import_module("livetint.cli.build").build
    said = CliRunner().invoke(build, ["--help"], terminal_width=200).output
    assert "[onnxruntime|tensorrt|tensorrt-rtx|made-up]" in said
    assert "for made-up: 4.2, 4.3" in " ".join(said.split())
    missing = CliRunner().invoke(build, ["no-such-model", "--target", "made-up"])
    assert "no-such-model" in str(missing.exception), "the target was taken"
