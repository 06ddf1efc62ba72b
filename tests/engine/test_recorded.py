"""Files of version 0.1.0 stay readable: a bundle, model.toml of `touch`, hints and plans.json.

What is written today still has every key and value of then; keys may be added.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from livetint.engine import Photo, Session
from livetint.engine.bundle import Bundle, load_manifest, manifest_text
from livetint.engine.files import read_toml
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.plan_folder import PLANS, check_plans, read_plans
from PIL import Image

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A grey photograph, coloured by the recorded bundle."""
    Image.new("L", (64, 48), 128).save(tmp_path / "grey.png")
    return Session(Photo.open(tmp_path / "grey.png"), OnnxRunner(Bundle.load(RECORDED / "bundle")))


def assert_kept(new: Any, old: Any, place: str = "") -> None:
    """Everything in `old` is in `new`, with the same value."""
    if isinstance(old, dict):
        for key, value in old.items():
            assert key in new, f"{place}{key} is no longer written"
            assert_kept(new[key], value, f"{place}{key}.")
    else:
        assert new == old, place


def test_a_bundle_is_read_and_colours(session: Session):
    manifest = session.runner.bundle.manifest
    assert (manifest.name, manifest.version, manifest.stages["colour"]) == ("recorded", "7", "colour.onnx")
    assert (manifest.input.ab_scale, manifest.input.takes_global, manifest.input.max_hints) == (110, True, 128)
    assert manifest.distribution is not None and manifest.distribution.temperature_scale == 0.7
    session.add(0.5, 0.5, 20, -30)
    np.testing.assert_allclose(session.ab[:, 128, 128], (20, -30), atol=0.5)
    assert len(session.suggest(0.5, 0.5).swatches) == 9


@pytest.mark.parametrize("name", ["bundle", "touch"])
def test_model_toml_is_written_as_before(name: str, tmp_path: Path):
    (tmp_path / "model.toml").write_bytes(manifest_text(load_manifest(RECORDED / name)))
    assert_kept(read_toml(tmp_path / "model.toml"), read_toml(RECORDED / name / "model.toml"))


def test_hints_are_read_and_written_as_before(session: Session):
    text = (RECORDED / "hints.json").read_text()
    session.load_json(text)
    first, second = session.points
    assert (first.x, first.y, first.a, first.b, first.size) == (0.25, 0.5, 20.5, -31.25, 5)
    assert (second.x, second.y, second.a, second.b, second.size) == (0, 1, 0, 0, 9)
    histogram = session.global_hints.histogram
    assert session.global_hints.saturation == 0.6
    assert histogram is not None and (histogram[7], histogram[200]) == (0.25, 0.75)
    assert_kept(json.loads(session.to_json()), json.loads(text))


def test_plans_json_is_read_and_written_as_before(tmp_path: Path):
    text = (RECORDED / PLANS).read_bytes()
    plans = read_plans(RECORDED)
    assert (plans.target, plans.version, plans.precision) == ("tensorrt-rtx", "1.7.1.116", "fp16")
    assert plans.plan("colour").file == "colour-98c3b593aaea.plan"
    check_plans(plans, Bundle.load(RECORDED / "bundle"), "tensorrt-rtx", "1.7.1.116", "8.6")
    assert_kept(msgspec.json.decode(msgspec.json.encode(plans)), json.loads(text))
