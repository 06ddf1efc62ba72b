"""One plan of the distribution for any number of hints answers as one for each number does, and captures few graphs."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from livetint.build_engine.apply_precision import apply_precision
from livetint.build_engine.plan_cache import build_plans, cache_key, why_stale
from livetint.build_engine.plan_graphs import plan_graphs, static_graphs
from livetint.build_engine.plans import Graph, PlanOptions
from livetint.build_engine.tensorrt_versions import load_target
from livetint.cli.build import build as build_command
from livetint.engine import Photo
from livetint.engine.bundle import Bundle
from livetint.engine.models import bundled_folder
from livetint.engine.runners.base import NO_GLOBAL_HINTS
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.device import Device
from livetint.engine.runners.tensorrt.plan_folder import HINT_SIZES, PLANS, StalePlan, cached_folder
from livetint.engine.runners.tensorrt.plans import TensorRT
from livetint.engine.runners.tensorrt.runner import TensorRTRunner
from numpy.typing import NDArray

from ..needs import needs
from .plans import CAPABILITY, build_for_standin, some_hints
from .standin import Standin
from .tensorrt_standin import SPOIL_DYNAMIC, module

pytestmark = [needs("c++"), needs("pycuda")]
COUNTS = (0, 1, 2, 16, 17, 64, 65, 128)
OPTIONS = PlanOptions("fp32")


@pytest.fixture(scope="module")
def touch() -> Bundle:
    return Bundle.load(bundled_folder() / "touch")


@pytest.fixture(scope="module")
def lightness() -> NDArray[np.float32]:
    return Photo.open(sorted((bundled_folder().parent / "photos").glob("*.jpg"))[0]).working_L


@pytest.fixture(scope="module")
def points() -> NDArray[np.float32]:
    return np.random.default_rng(2).uniform(0, 1, (5, 2)).astype(np.float32)


def use(monkeypatch: pytest.MonkeyPatch, target: str, version: str) -> None:
    for name in ("tensorrt", "tensorrt-rtx"):
        monkeypatch.setitem(sys.modules, name.replace("-", "_"), module(name, version if name == target else "9.9"))


def graphs_of(bundle: Bundle, static: bool) -> list[Graph]:
    graphs = plan_graphs(apply_precision(bundle, "fp32", load_target("tensorrt").traits.dialect), "fp32")
    if not static:
        return graphs
    return [one for graph in graphs for one in (static_graphs(graph) if graph.dynamic else [graph])]


def build(bundle: Bundle, folder: Path, static: bool = False) -> Bundle:
    build_plans(bundle, graphs_of(bundle, static), folder, load_target("tensorrt"), OPTIONS, CAPABILITY)
    return Bundle.load(folder)


def distributions(
    bundle: Bundle, lightness: NDArray[np.float32], points: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    with TensorRTRunner(bundle) as runner:
        features = runner.encode(lightness)
        return [runner.distribution(features, some_hints(n, n), NO_GLOBAL_HINTS, points) for n in COUNTS]


@pytest.mark.parametrize(
    ("target", "version"), [("tensorrt", "8.6.2"), ("tensorrt", "10.3.0"), ("tensorrt", "11.4.1"),
                            ("tensorrt-rtx", "1.7.1")],
)  # fmt: skip
def test_touch_is_two_plans_on_every_tensorrt(
    gpu: Standin, touch: Bundle, lightness, points, monkeypatch: pytest.MonkeyPatch, target: str, version: str
):
    use(monkeypatch, target, version)
    _, manifest = build_for_standin(touch, "fp32", target, all_plans=False)
    assert [(plan.stage, plan.hints, plan.dynamic) for plan in manifest.plans] == [
        ("encoder", 0, False), ("distribution", 128, True),
    ]  # fmt: skip
    found = distributions(touch, lightness, points)
    with OnnxRunner(touch) as other:
        features = other.encode(lightness)
        for count, ours in zip(COUNTS, found, strict=True):
            theirs = other.distribution(features, some_hints(count, count), NO_GLOBAL_HINTS, points)
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-6, err_msg=f"{count} hints")


def test_it_answers_as_one_plan_for_each_number_of_hints(
    gpu: Standin, touch: Bundle, lightness, points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, "tensorrt", "8.6.2")
    dynamic = distributions(build(touch, tmp_path / "dynamic"), lightness, points)
    static = distributions(build(touch, tmp_path / "static", static=True), lightness, points)
    for ours, theirs in zip(dynamic, static, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-8)


def test_there_is_one_graph_for_each_size_and_nothing_is_allocated_after(
    gpu: Standin, touch: Bundle, lightness, points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, "tensorrt", "10.3.0")
    with TensorRTRunner(build(touch, tmp_path / "plans")) as runner:
        features = runner.encode(lightness)
        taken, held = gpu.allocations, gpu.held_bytes
        first = [runner.distribution(features, some_hints(n, n), NO_GLOBAL_HINTS, points) for n in COUNTS]
        captures = gpu.calls("cuStreamBeginCapture")
        assert captures == len(HINT_SIZES)
        order = np.random.default_rng(0).permutation(len(COUNTS))
        for which in order:
            hints = some_hints(COUNTS[which], COUNTS[which])
            again = runner.distribution(features, hints, NO_GLOBAL_HINTS, points)
            np.testing.assert_array_equal(again, first[which])
        assert gpu.calls("cuStreamBeginCapture") == captures
        assert (gpu.allocations, gpu.held_bytes) == (taken, held)


def test_plans_of_earlier_versions_are_served_and_then_built_again(
    gpu: Standin, touch: Bundle, lightness, points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Their plans.json lacks `dynamic`, `optimisation`, `seconds` and `key`, and has a plan for each size."""
    use(monkeypatch, "tensorrt", "8.6.2")
    folder = tmp_path / "old"
    bundle = build(touch, folder, static=True)
    manifest = json.loads((folder / PLANS).read_text())
    for plan in manifest["plans"]:
        for name in ("dynamic", "optimisation", "seconds", "key"):
            plan.pop(name, None)
    (folder / PLANS).write_text(json.dumps(manifest | {"key": "0" * 64}))
    old = distributions(bundle, lightness, points)
    target, graphs = load_target("tensorrt"), graphs_of(touch, static=False)
    key = cache_key(graphs, target, CAPABILITY, OPTIONS)
    assert why_stale(folder, touch, target, CAPABILITY, key) == (
        None, "the graphs or the options have changed since the plans were built",
    )  # fmt: skip
    new, built = build_plans(touch, graphs, folder, target, OPTIONS, CAPABILITY)
    assert built and len(new.plans) == 2 == len(list(folder.glob("*.plan")))
    for ours, theirs in zip(distributions(bundle, lightness, points), old, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-8)


def test_where_tensorrt_cannot_build_it_there_is_a_plan_for_each_size(
    gpu: Standin, touch: Bundle, lightness, points, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, "tensorrt", "8.6.2")
    target, graphs, said = load_target("tensorrt"), graphs_of(touch, static=False), []
    monkeypatch.setattr("tests.fakecuda.tensorrt_builder.Config.add_optimization_profile", lambda *_: -1)
    folder = cached_folder(touch, "tensorrt")
    manifest, _ = build_plans(touch, graphs, folder, target, OPTIONS, CAPABILITY, say=said.append)
    assert [(plan.stage, plan.hints, plan.dynamic) for plan in manifest.plans] == [
        ("encoder", 0, False), *(("distribution", size, False) for size in HINT_SIZES),
    ]  # fmt: skip
    assert "refuses the profile for 1 to 128 hints" in said[-1]
    assert build_plans(touch, graphs, folder, target, OPTIONS, CAPABILITY) == (manifest, False)
    assert len(distributions(touch, lightness, points)) == len(COUNTS)


def test_where_it_answers_wrongly_on_the_gpu_there_is_a_plan_for_each_size(
    gpu: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, "tensorrt", "8.6.2")
    monkeypatch.setenv(SPOIL_DYNAMIC, "1")
    arguments = ["touch", "--target", "tensorrt", "-o", str(tmp_path / "plans"), "--precision", "fp16"]
    done = CliRunner().invoke(build_command, arguments)
    assert done.exit_code == 0, done.output
    assert "answers wrongly: distributions of colours differ by 0.5" in done.output
    assert "next: a plan of the distribution for each number of hints" in done.output
    assert "built: 4 fp16 plans" in done.output and "distribution for 64 hints" in done.output
    assert "up to date: 4 fp16 plans" in CliRunner().invoke(build_command, arguments).output


def test_a_number_of_hints_outside_the_profile_is_refused_in_words(
    gpu: Standin, touch: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, "tensorrt", "10.3.0")
    folder = tmp_path / "plans"
    graphs = [dataclasses.replace(graph, hints=min(graph.hints, 64)) for graph in graphs_of(touch, static=False)]
    build_plans(touch, graphs, folder, load_target("tensorrt"), OPTIONS, CAPABILITY)
    text = (folder / PLANS).read_text()
    (folder / PLANS).write_text(text.replace('"hints": 64', '"hints": 128'))
    with pytest.raises(StalePlan, match=r"distribution-128 does not take 128 hints: .*not within the profile"):
        TensorRTRunner(Bundle.load(folder))


class TestStandIn:
    """The stand-in's contexts behave as those of TensorRT do."""

    @pytest.fixture
    def engine(self, touch: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        use(monkeypatch, "tensorrt", "8.6.2")
        build(touch, tmp_path / "plans")
        data = next((tmp_path / "plans").glob("distribution-*.plan")).read_bytes()
        return TensorRT("tensorrt")._runtime.deserialize_cuda_engine(data)

    def test_open_axes_are_minus_one_until_they_are_set(self, gpu: Standin, engine: Any):
        assert engine.get_tensor_shape("positions") == (1, -1, 2)
        context = engine.create_execution_context_without_device_memory()
        assert context.get_tensor_shape("positions") == (1, -1, 2)
        assert context.set_input_shape("positions", (1, 7, 2))
        assert context.get_tensor_shape("positions") == (1, 7, 2)

    @pytest.mark.parametrize("shape", [(1, 0, 2), (1, 129, 2), (1, 16, 3), (16, 2)])
    def test_shapes_outside_the_profile_are_refused(self, gpu: Standin, engine: Any, shape: tuple[int, ...]):
        context = engine.create_execution_context_without_device_memory()
        assert not context.set_input_shape("positions", shape)
        assert context.get_tensor_shape("positions") == (1, -1, 2)

    def test_a_second_context_of_tensorrt_8_has_no_profile(self, gpu: Standin, engine: Any):
        first, second = (engine.create_execution_context_without_device_memory() for _ in range(2))
        assert first.set_input_shape("positions", (1, 16, 2)) and not second.set_input_shape("positions", (1, 16, 2))

    def test_nothing_runs_before_every_shape_is_set(self, gpu: Standin, engine: Any):
        device = Device()
        try:
            with device.at_work("testing"):
                context = engine.create_execution_context_without_device_memory()
                for index in range(engine.num_io_tensors):
                    context.set_tensor_address(engine.get_tensor_name(index), device.memory(4 << 20))
                context.device_memory = device.memory(4096)
                stream = device.stream()
                assert not context.execute_async_v3(stream.handle)
                for name, shape in (("positions", (1, 3, 2)), ("colours", (1, 3, 2)), ("sizes", (1, 3))):
                    assert context.set_input_shape(name, shape)
                assert not context.execute_async_v3(stream.handle)
                assert context.set_input_shape("valid", (1, 3))
                assert context.execute_async_v3(stream.handle)
                stream.wait("testing")
        finally:
            device.close()
