"""`livetint calibrate` and `livetint build` as commands, on a small network."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from livetint.build_engine import gate, plan_job, prepare
from livetint.build_engine.accuracy_report import cases_of, example_photographs
from livetint.build_engine.limits import LIMITS, Limits
from livetint.calibration import samples
from livetint.calibration.ranges import load_ranges
from livetint.cli.build import build
from livetint.cli.calibrate import calibrate
from livetint.engine.bundle import Bundle, write_bundle
from livetint.engine.errors import ConfigError, LivetintError
from livetint.engine.runners.base import NO_GLOBAL_HINTS
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.plan_folder import PLANS, read_plans

from ..build_engine.small_network import SIDE, small_bundle
from ..disk import watch_disk
from ..needs import needs


@pytest.fixture(autouse=True)
def small_photographs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Photographs resized to the small network's side, and a cache of the test's own."""
    squares = samples.squares

    def small(sources, side=SIDE):
        return squares(sources, side)

    for module in (samples, "livetint.build_engine.sensitivity", "livetint.build_engine.accuracy_report"):
        target = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{target}.squares", small)
    cases = cases_of(small(example_photographs()))
    for module in (prepare, gate, plan_job):
        monkeypatch.setattr(module, "example_cases", lambda: cases)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=True)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return small_bundle(tmp_path / "small")


@pytest.fixture
def calibrated(bundle: Bundle) -> Bundle:
    result = run(calibrate, bundle.folder, "--photos", example_photographs(), "--samples", 9, "--into-bundle")
    assert result.exit_code == 0, result.output
    return Bundle.load(bundle.folder)


def test_calibrate_writes_a_file_that_says_how_it_was_made(bundle: Bundle, tmp_path: Path):
    result = run(calibrate, bundle.folder, "--photos", example_photographs(), "--samples", 6, "-o", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    ranges = load_ranges(tmp_path / "r.json")
    assert ranges.made.samples == 6 and ranges.choice is not None
    assert set(ranges.choice.lost_db) == {"minmax", "percentile", "entropy"}
    planes = ranges.of("colour", "minmax")["planes"]
    assert planes[1] >= 0.9, "the mask channel was seen with hints"
    assert (tmp_path / "r-sensitivity.json").is_file()


def test_calibrate_without_photographs_takes_the_bundled_ones(bundle: Bundle, tmp_path: Path):
    result = run(calibrate, bundle.folder, "--samples", 3, "-o", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    ranges = load_ranges(tmp_path / "r.json")
    assert ranges.made.photographs == 8 and ranges.choice is not None


def test_calibrate_into_the_bundle_keeps_it_whole(calibrated: Bundle):
    assert calibrated.manifest.ranges == "ranges.json"
    table = msgspec.json.decode(calibrated.files["sensitivity.json"])
    assert {row["layer"] for row in table["rows"]} == {"first", "second", "up", "head"}


def test_calibrate_into_the_bundle_leaves_files_that_it_does_not_list(bundle: Bundle, tmp_path: Path, monkeypatch):
    (bundle.folder / "notes.txt").write_text("mine")
    log = watch_disk(monkeypatch, tmp_path)
    run(calibrate, bundle.folder, "--photos", example_photographs(), "--samples", 3, "--no-sweep", "--into-bundle")
    assert (bundle.folder / "notes.txt").read_text() == "mine"
    assert ("sync", "temporary/notes.txt") in log.events, "it moves with the bundle, in one step"
    assert Bundle.load(bundle.folder).manifest.ranges == "ranges.json"


def test_int8_for_onnxruntime_is_a_bundle(calibrated: Bundle, tmp_path: Path):
    result = run(build, calibrated.folder, "--target", "onnxruntime", "--precision", "int8", "-o", tmp_path / "q",
                 "--inspect")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "dB lost" in result.output and "int8" in result.output
    assert Bundle.load(tmp_path / "q").name == "small-int8"


def test_without_a_folder_the_bundle_goes_to_the_users_models(calibrated: Bundle, tmp_path: Path):
    result = run(build, calibrated.folder, "--target", "onnxruntime")
    assert result.exit_code == 0, result.output
    assert "auto: " in result.output
    assert list((tmp_path / "cache" / "livetint" / "models").glob("small-*/model.toml"))


def test_int8_without_ranges_says_what_to_do(bundle: Bundle, tmp_path: Path):
    result = run(build, bundle.folder, "--target", "onnxruntime", "--precision", "int8", "-o", tmp_path / "q")
    assert isinstance(result.exception, ConfigError) and "livetint calibrate" in str(result.exception)


def test_ranges_of_another_model_are_refused(calibrated: Bundle, tmp_path: Path):
    other = small_bundle(tmp_path / "other", seed=8)
    result = run(build, other.folder, "--target", "onnxruntime", "--precision", "int8", "-o", tmp_path / "q",
                 "--ranges", calibrated.folder / "ranges.json")  # fmt: skip
    assert isinstance(result.exception, ConfigError) and "another small" in str(result.exception)


def test_a_trained_bundle_that_loses_too_much_is_refused_unless_forced(
    calibrated: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trained = write_bundle(
        calibrated.folder, msgspec.structs.replace(calibrated.manifest, trained=True), calibrated.files
    )
    monkeypatch.setitem(LIMITS, "int8 onnxruntime", Limits(-np.inf, np.inf, np.inf))
    arguments = (trained.folder, "--target", "onnxruntime", "--precision", "int8", "-o", tmp_path / "q")
    refused = run(build, *arguments)
    assert isinstance(refused.exception, LivetintError) and "--force" in str(refused.exception)
    assert not (tmp_path / "q").exists()
    assert run(build, *arguments, "--force").exit_code == 0


@needs("tensorrt_rtx")
def test_plans_are_built_said_and_found_up_to_date(calibrated: Bundle, tmp_path: Path):
    arguments = (calibrated.folder, "--target", "tensorrt-rtx", "--precision", "int8", "-o", tmp_path / "p")
    first = run(build, *arguments, "--compute-capability", "8.6", "--inspect")
    assert first.exit_code == 0, first.output
    assert "built: 1 int8 plans" in first.output and "QUANTIZE" in first.output
    assert "building colour (1 of 1)…" in first.output and " s at level 3" in first.output
    again = run(build, *arguments, "--compute-capability", "8.6")
    assert "up to date" in again.output and "dB lost" not in again.output
    assert read_plans(tmp_path / "p").accuracy["mean_ab"] >= 0
    assert "has changed" in run(build, *arguments).output.replace("have changed", "has changed")


@needs("tensorrt_rtx")
@pytest.mark.parametrize("spoilt", [False, True])
def test_plans_are_tried_on_the_gpu_where_there_is_one(
    calibrated: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: bool
):
    class GpuRunner(OnnxRunner):
        def colorize(self, features, hints, global_hints=NO_GLOBAL_HINTS):
            return super().colorize(features, hints, global_hints) * (-1 if spoilt else 1)

    trained = write_bundle(
        calibrated.folder, msgspec.structs.replace(calibrated.manifest, trained=True), calibrated.files
    )
    monkeypatch.setattr(gate, "TensorRTRunner", GpuRunner)
    arguments = (trained.folder, "--target", "tensorrt-rtx", "--precision", "fp16", "-o", tmp_path / "p")
    result = run(build, *arguments, "--compute-capability", "8.6")
    assert "on the GPU, fp16" in result.output or "on the GPU, fp16" in str(result.exception)
    assert (tmp_path / "p" / PLANS).is_file() is not spoilt
    if spoilt:
        assert isinstance(result.exception, LivetintError) and "--force" in str(result.exception)


def test_a_target_that_is_not_here_says_how_to_get_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    result = run(build, bundle.folder, "--target", "tensorrt")
    assert isinstance(result.exception, ConfigError) and "apt-get" in str(result.exception)
