"""The paper's networks through the engine: one file for two stages, the order of the classes, global hints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from livetint.build_engine.networks import TOPOLOGIES
from livetint.build_engine.networks.topology import Builder
from livetint.build_engine.planes_bundle import FILE, planes_manifest, write_untrained
from livetint.build_engine.topology_onnx import random_weights, topology_model
from livetint.cli.__main__ import main
from livetint.engine.bundle import Bundle
from livetint.engine.colour.bins import GRID_CENTRES
from livetint.engine.colour.global_hints import GlobalHints
from livetint.engine.errors import HintRejected, ModelFileError
from livetint.engine.hints import Hint
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.subgraph import extract_outputs
from livetint.engine.session import Session
from PIL import Image

from ...build_engine.networks_common import answer, session

SIDE = 64


class GreyPhoto:
    """A stand-in for a photograph of one grey level."""

    def __init__(self, L: float) -> None:
        self.L = self.working_L = np.full((256, 256), L, np.float32)


@pytest.fixture(scope="module", params=list(TOPOLOGIES))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_untrained(tmp_path_factory.mktemp("models") / request.param, request.param, size=(SIDE, SIDE))


def test_an_untrained_bundle_takes_any_number_of_hints(bundle: Bundle) -> None:
    L = np.linspace(0, 100, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    with OnnxRunner(bundle, threads=2) as runner:
        features = runner.encode(L)
        for count in (0, 1, 10, 200):
            hints = [Hint(i / 200, 0.5, 40, -20, 1 + i % 9) for i in range(count)]
            if count and not bundle.manifest.input.local:
                with pytest.raises(HintRejected, match="siggraph17"):
                    runner.colorize(features, hints)
                continue
            ab = runner.colorize(features, hints)
            assert ab.shape == (2, SIDE, SIDE) and np.abs(ab).max() <= 110


def test_a_head_gives_probabilities_and_a_network_without_one_raises(bundle: Bundle) -> None:
    L, points = np.full((SIDE, SIDE), 50, np.float32), np.array([[0.5, 0.5], [0.0, 1.0]], np.float32)
    with OnnxRunner(bundle, threads=2) as runner:
        features = runner.encode(L)
        table = bundle.manifest.distribution
        if table is None:
            with pytest.raises(ModelFileError, match="suggests no colours"):
                runner.distribution(features, [], GlobalHints(), points)
        else:
            found = runner.distribution(features, [], GlobalHints(), points)
            assert found.shape == (2, len(table.centres))
            np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_each_stage_loads_its_own_part_of_the_file(bundle: Bundle) -> None:
    if not bundle.has("distribution"):
        return
    data = bundle.files[FILE]
    colour, head = (onnx.load_model_from_string(extract_outputs(data, [name])) for name in ("ab", "logits"))
    names = [{value.name.split(".")[0] for value in model.graph.initializer} for model in (colour, head)]
    assert not names[0] & {"model_class", "hypercolumn"}
    assert not names[1] & {"model9", "model10", "model1short10", "model2short9", "model_out"}
    assert "model7" in names[0] & names[1]
    onnx.checker.check_model(colour)
    onnx.checker.check_model(head)


def test_parts_of_the_file_answer_as_the_whole(bundle: Bundle) -> None:
    if not bundle.has("distribution"):
        return
    planes = np.random.default_rng(0).normal(0, 0.4, (1, 4, SIDE, SIDE)).astype(np.float32)
    whole = answer(session(bundle.files[FILE]), ["ab", "logits"], {"planes": planes})
    for name, expected in zip(("ab", "logits"), whole, strict=True):
        part = session(extract_outputs(bundle.files[FILE], [name]))
        np.testing.assert_allclose(answer(part, [name], {"planes": planes})[0], expected, atol=1e-3)


def suggesting(a: int, b: int, tmp_path: Path) -> Bundle:
    """A bundle whose head of 529 classes is certain of the class of (a, b), in the order of the released training."""
    table = Builder()
    planes = table.input("planes", 4)
    quarter = table.decimate(table.decimate(planes))
    logits = table.conv(quarter, "model_class.0", 529, kernel=1)
    topology = table.finish({"ab": table.pointwise("scale", table.conv(planes, "out", 2), "ab"), "logits": logits})
    weights = {key: np.zeros_like(value) for key, value in random_weights(topology).items()}
    weights["model_class.0.bias"][23 * round((a + 110) / 10) + round((b + 110) / 10)] = 100
    manifest = planes_manifest("siggraph17", "0", "none", "none", trained=False)
    data = topology_model(topology, weights).SerializeToString()
    return Bundle(tmp_path, manifest, {FILE: data})


@pytest.mark.parametrize(("a", "b"), [(50, -20), (-20, 50), (0, 40), (60, 30)])
def test_suggested_colours_are_not_transposed(a: int, b: int, tmp_path: Path) -> None:
    """The released interface reads the 529 classes with a and b exchanged; Livetint does not."""
    session = Session(GreyPhoto(55), OnnxRunner(suggesting(a, b, tmp_path), threads=1))  # type: ignore[arg-type]
    first = session.suggest(0.3, 0.7).swatches[0]
    assert first.confidence > 0.9
    assert np.hypot(first.a - a, first.b - b) < 6


def test_a_varies_slowly_and_b_fast_over_the_classes() -> None:
    classes = 23 * np.rint((GRID_CENTRES[:, 0] + 110) / 10) + np.rint((GRID_CENTRES[:, 1] + 110) / 10)
    assert np.array_equal(classes, np.arange(529))


def test_global_hints_change_the_answer_of_the_global_network(tmp_path: Path) -> None:
    bundle = write_untrained(tmp_path / "global", "siggraph17-global", size=(SIDE, SIDE))
    histogram = np.zeros(313, np.float32)
    histogram[7] = 1
    with OnnxRunner(bundle, threads=2) as runner:
        features = runner.encode(np.full((SIDE, SIDE), 50, np.float32))
        plain = runner.colorize(features, [])
        by_histogram = runner.colorize(features, [], GlobalHints(histogram))
        by_saturation = runner.colorize(features, [], GlobalHints(saturation=0.8))
    assert np.abs(by_histogram - plain).max() > 0.01
    assert np.abs(by_saturation - plain).max() > 0.01
    assert np.abs(by_saturation - by_histogram).max() > 0.01


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    noise = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.mark.parametrize("network", list(TOPOLOGIES))
def test_the_commands_run_with_every_network(
    network: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / network, tmp_path / "out.png"
    write_untrained(folder, network)
    options = ["--hint", "30,20,#C04040,7"]
    if network == "siggraph17-global":
        options = ["--reference", str(picture), "--saturation", "0.4"]
    run(["colorize", str(picture), "-o", str(out), "--model", str(folder), *options], 0)
    with Image.open(out) as image:
        assert image.size == (60, 40)
    code = 2 if network == "siggraph17-global" else 0
    capsys.readouterr()
    run(["suggest", str(picture), "30,20", "--model", str(folder), *options], code)
    printed = capsys.readouterr()
    assert ("suggests no colours" in printed.err) if code else (printed.out.count("#") >= 3)


def run(arguments: list[str], code: int) -> None:
    """Run the command line and check its exit code."""
    try:
        main(arguments)
    except SystemExit as ended:
        assert (ended.code or 0) == code
    else:
        assert code == 0
