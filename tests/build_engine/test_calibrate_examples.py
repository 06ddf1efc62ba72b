"""The paper's networks get ranges from the bundled photographs, so that INT8 can be built for them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from livetint.build_engine.apply_precision import ranges_of
from livetint.build_engine.networks import TOPOLOGIES
from livetint.build_engine.planes_bundle import write_untrained
from livetint.build_engine.prepare import bundle_at_precision
from livetint.build_engine.sensitivity import add_ranges, calibrate_on_examples
from livetint.calibration.ranges import Ranges
from livetint.cli.build import build
from livetint.engine.bundle import Bundle
from livetint.engine.errors import ConfigError
from livetint.engine.hints import Hint
from livetint.engine.runners.onnx import OnnxRunner

SIDE = 32


@pytest.fixture(scope="module", params=sorted(TOPOLOGIES))
def calibrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    bundle = write_untrained(tmp_path_factory.mktemp("models") / request.param, request.param, size=(SIDE, SIDE))
    return calibrate_on_examples(bundle, samples=3)


def measured(bundle: Bundle) -> Ranges:
    ranges = ranges_of(Bundle.load(bundle.folder))
    assert ranges is not None
    return ranges


def test_the_bundle_carries_ranges_of_all_bundled_photographs(calibrated: Bundle):
    ranges = measured(calibrated)
    assert (ranges.made.photographs, ranges.made.samples) == (8, 3)
    assert ranges.choice is not None and ranges.choice.held_out == 0
    planes = ranges.of("colour", "minmax")["planes"]
    if calibrated.manifest.input.local:
        assert planes[1] >= 0.9, "the mask channel was seen with hints"


def test_int8_answers_as_fp32_does(calibrated: Bundle):
    L = np.random.default_rng(0).uniform(10, 90, (SIDE, SIDE)).astype(np.float32)
    hints = [Hint(0.3, 0.4, 40, 20)] if calibrated.manifest.input.local else []
    found = []
    for bundle in (calibrated, bundle_at_precision(calibrated, "int8", "onnxruntime")):
        with OnnxRunner(bundle, 1) as runner:
            found.append(runner.colorize(runner.encode(L), hints))
    assert np.abs(found[0] - found[1]).mean() < 0.2 * np.abs(found[0]).mean()


def test_the_graph_for_tensorrt_is_quantised(calibrated: Bundle):
    converted = bundle_at_precision(calibrated, "int8", "tensorrt")
    kinds = [node.op_type for node in onnx.load_model_from_string(converted.stage("colour")).graph.node]
    assert kinds.count("QuantizeLinear") >= 20


def test_ranges_that_saw_wrong_histograms_do_not_count(tmp_path: Path):
    bundle = write_untrained(tmp_path / "global", "siggraph17-global", size=(SIDE, SIDE))
    bundle = calibrate_on_examples(bundle, samples=1)
    ranges = measured(bundle)
    old = msgspec.structs.replace(ranges, made=msgspec.structs.replace(ranges.made, inputs=1))
    bundle = add_ranges(bundle, old, None)
    assert ranges_of(bundle) is None
    with pytest.raises(ConfigError, match="wrong; measure them: livetint calibrate"):
        bundle_at_precision(bundle, "int8", "tensorrt", old)


def test_without_ranges_one_line_says_which_command_measures_them(tmp_path: Path):
    bundle = write_untrained(tmp_path / "siggraph17", "siggraph17", size=(SIDE, SIDE))
    command = [str(bundle.folder), "--precision", "int8", "--target", "onnxruntime", "-o", str(tmp_path / "q")]
    error = CliRunner().invoke(build, command).exception
    assert str(error) == (
        f"siggraph17 has no ranges for INT8; measure them: livetint calibrate {bundle.folder} --into-bundle"
    )
