"""A build makes one builder and as few plans as it can, starts from earlier timings, and says what it does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livetint.build_engine import plan_builder
from livetint.build_engine.apply_precision import apply_precision
from livetint.build_engine.plan_builder import HINT_STAGE_LEVEL, NETWORK_LEVEL
from livetint.build_engine.plan_cache import build_plans
from livetint.build_engine.plan_graphs import plan_graphs
from livetint.build_engine.plans import Graph, PlanOptions, network_layers
from livetint.build_engine.timing_cache import timing_cache_path
from livetint.engine.bundle import Bundle
from livetint.engine.errors import OutputError, RunnerError
from livetint.engine.models import bundled_folder
from livetint.engine.runners.tensorrt.plan_folder import PLANS, PlanManifest, cached_folder
from livetint.engine.runners.tensorrt.versions import LoadedTarget, traits_of, version_of

from ..fakecuda.plans import tiny_bundle
from ..fakecuda.tensorrt_builder import Config
from ..fakecuda.tensorrt_standin import module

CAPABILITY = "9.0"
FP32 = PlanOptions("fp32")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def touch() -> Bundle:
    return Bundle.load(bundled_folder() / "touch")


def loaded(version: str = "8.6.1") -> tuple[LoadedTarget, list[int]]:
    """The stand-in TensorRT of a version, and a list that grows by one for every builder that is made."""
    trt, made = module("tensorrt", version), []
    make = trt.Builder
    trt.__dict__["Builder"] = lambda log: made.append(1) or make(log)
    return LoadedTarget("tensorrt", trt, version, traits_of("tensorrt", version_of(version))), made


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The timings with which every plan was begun."""
    seen: list[bytes] = []
    real = Config.create_timing_cache

    def create(self: Config, data: bytes) -> Any:
        seen.append(data)
        return real(self, data)

    monkeypatch.setattr(Config, "create_timing_cache", create)
    yield seen


def graphs_of(bundle: Bundle, target: LoadedTarget, precision: str = "fp32", all_plans: bool = False) -> list[Graph]:
    converted = apply_precision(bundle, precision, target.traits.dialect)
    return plan_graphs(converted, precision, all_plans=all_plans)


def build(
    bundle: Bundle, target: LoadedTarget, folder: Path | None = None, options: PlanOptions = FP32, **more
) -> PlanManifest:
    graphs = graphs_of(bundle, target, options.precision)
    folder = folder or cached_folder(bundle, target.name)
    return build_plans(bundle, graphs, folder, target, options, CAPABILITY, **more)[0]


def test_touch_is_two_plans_and_five_if_all_are_wanted(touch: Bundle):
    target, _ = loaded()
    assert [graph.title for graph in graphs_of(touch, target)] == ["encoder", "distribution"]
    every = [graph.title for graph in graphs_of(touch, target, all_plans=True)]
    assert every == ["encoder", "touch-16", "touch-64", "touch-128", "distribution"]


def test_one_builder_makes_all_plans_of_a_process(touch: Bundle):
    target, made = loaded()
    build(touch, target)
    build(touch, target, options=PlanOptions("fp16"))
    network_layers(target, graphs_of(touch, target)[0].onnx)
    assert len(made) == 1
    other, made_too = loaded("10.3.0")
    build(touch, other)
    assert (len(made), len(made_too)) == (1, 1)


def test_an_error_of_one_build_is_not_in_the_words_of_the_next(touch: Bundle, tmp_path: Path):
    target, _ = loaded()
    without_profile = dataclasses.replace(graphs_of(touch, target)[1], dynamic=False)
    with pytest.raises(RunnerError, match="no optimization profile"):
        build_plans(touch, [without_profile], tmp_path / "plans", target, FP32, CAPABILITY)
    with pytest.raises(RunnerError) as caught:
        network_layers(target, b"")
    assert "profile" not in str(caught.value)


def test_timings_outlive_an_update_of_weights_and_another_precision(tmp_path: Path, given: list[bytes]):
    target, _ = loaded()
    first = tiny_bundle(tmp_path / "one")
    build(first, target)
    assert given == [b"", b"t"]
    second = tiny_bundle(tmp_path / "two", ab_scale=10.0)
    assert cached_folder(first, target.name) != cached_folder(second, target.name)
    build(second, target)
    build(second, target, options=PlanOptions("fp16"))
    build(second, target, folder=tmp_path / "elsewhere")
    assert given == [b"t" * count for count in range(8)]


def test_timings_of_another_tensorrt_gpu_or_model_are_not_taken(tmp_path: Path, given: list[bytes]):
    bundle = tiny_bundle(tmp_path / "one")
    build(bundle, loaded("8.6.1")[0])
    build(bundle, loaded("8.6.2")[0])
    assert given == [b"", b"t"] * 2
    places = {
        timing_cache_path(model, loaded(version)[0], capability)
        for model in ("tiny", "touch") for version in ("8.6.1", "10.3.0") for capability in ("8.7", "9.0", None)
    }  # fmt: skip
    assert len(places) == 12


def test_timings_are_kept_after_every_plan(tmp_path: Path, given: list[bytes], monkeypatch: pytest.MonkeyPatch):
    """What ends a build, such as a power cut, loses the plan that is being built and no more."""
    target, _ = loaded()
    bundle, real, calls = tiny_bundle(tmp_path / "one"), plan_builder.build_plan, []

    def failing(*arguments: Any) -> tuple[bytes, bytes]:
        calls.append(arguments)
        if len(calls) == 2:
            raise OutputError("the lights went out")
        return real(*arguments)

    monkeypatch.setattr(plan_builder, "build_plan", failing)
    with pytest.raises(OutputError, match="lights"):
        build(bundle, target)
    build(bundle, target)
    assert given == [b"", b"t", b"tt"]


def test_damaged_timings_cost_only_time(tmp_path: Path, given: list[bytes]):
    target, _ = loaded()
    path = timing_cache_path("tiny", target, CAPABILITY)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    assert len(build(tiny_bundle(tmp_path / "one"), target).plans) == 2
    assert given == [b"damaged", b"", b"t"]


def test_timings_that_cannot_be_kept_are_reported_in_a_line(tmp_path: Path):
    target, _ = loaded()
    path = timing_cache_path("tiny", target, CAPABILITY)
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file is in the way")
    said: list[str] = []
    build(tiny_bundle(tmp_path / "one"), target, say=said.append)
    assert said[1:] and all("its timings cannot be kept" in line for line in said[1:])


def test_plans_that_another_precision_does_not_change_are_kept(touch: Bundle, tmp_path: Path):
    target, _ = loaded("10.3.0")
    folder, built = tmp_path / "plans", list[str]()

    def progress(title: str):
        built.append(title)
        return lambda phase, done, total: None

    first = build(touch, target, folder, progress=progress)
    second = build(touch, target, folder, PlanOptions("fp16"), progress=progress)
    assert built == ["encoder (1 of 2)", "distribution (2 of 2)", "encoder (1 of 1)"]
    assert second.plans[1] == first.plans[1] and second.plans[0] != first.plans[0]
    (folder / second.plans[1].file).write_bytes(b"damaged")
    build(touch, target, folder, PlanOptions("fp16"), progress=progress)
    assert built[3:] == ["distribution (1 of 1)"]
    build(touch, target, folder, PlanOptions("fp16"), progress=progress, force=True)
    assert built[4:] == ["encoder (1 of 2)", "distribution (2 of 2)"]


@pytest.mark.parametrize(("asked", "levels"), [(None, [NETWORK_LEVEL, HINT_STAGE_LEVEL]), (5, [5, 5])])
def test_the_level_is_chosen_for_each_stage_and_recorded(
    touch: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int | None, levels: list[int]
):
    target, _ = loaded()
    used: list[int] = []
    real = plan_builder.build_plan

    def recording(target: LoadedTarget, graph: Graph, options: PlanOptions, *more: Any) -> tuple[bytes, bytes]:
        assert options.optimisation is not None
        used.append(options.optimisation)
        return real(target, graph, options, *more)

    monkeypatch.setattr(plan_builder, "build_plan", recording)
    manifest = build(touch, target, tmp_path / "plans", PlanOptions("fp32", optimisation=asked))
    written = json.loads((tmp_path / "plans" / PLANS).read_text())["plans"]
    assert (
        used == [plan.optimisation for plan in manifest.plans] == [plan["optimisation"] for plan in written] == levels
    )
    assert all(plan.seconds >= 0 for plan in manifest.plans)
