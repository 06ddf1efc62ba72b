"""Real plans of a small network: cached, found stale for every possible reason, and rebuilt."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from livetint.build_engine import plan_builder, plan_cache
from livetint.build_engine.apply_precision import apply_precision
from livetint.build_engine.plan_cache import build_plans, cache_key, why_stale
from livetint.build_engine.plan_graphs import plan_graphs
from livetint.build_engine.plans import Graph, PlanOptions, build_plan, network_layers, plan_validity
from livetint.build_engine.tensorrt_versions import load_target
from livetint.engine.bundle import Bundle
from livetint.engine.errors import OutputError, RunnerError
from livetint.engine.runners.tensorrt.plan_folder import (
    PLANS,
    StalePlan,
    cached_folder,
    check_plans,
    find_plans,
    read_plans,
    verified_plan,
)
from livetint.engine.runners.tensorrt.versions import LoadedTarget

from ..needs import needs
from .small_network import small_bundle, small_graph

pytestmark = needs("tensorrt_rtx")
OPTIONS = PlanOptions("fp16", compute_capabilities=("8.6",))


@pytest.fixture(scope="module")
def rtx() -> LoadedTarget:
    return load_target("tensorrt-rtx")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return small_bundle(tmp_path / "small")


def build(bundle: Bundle, folder: Path, rtx: LoadedTarget, options: PlanOptions = OPTIONS, **more):
    lines: list[str] = []
    graphs = plan_graphs(apply_precision(bundle, options.precision, "tensorrt"), options.precision)
    manifest, built = build_plans(bundle, graphs, folder, rtx, options, say=lines.append, **more)
    return manifest, built, lines


def test_built_once_then_found(bundle, rtx, tmp_path):
    manifest, built, _ = build(bundle, tmp_path / "plans", rtx)
    assert built and [p.stage for p in manifest.plans] == ["colour"]
    assert build(bundle, tmp_path / "plans", rtx)[1:] == (False, [])
    assert Bundle.load(tmp_path / "plans").files == bundle.files, "--model takes the folder"
    assert build(bundle, tmp_path / "plans", rtx, force=True)[1]


@pytest.mark.parametrize("damage", ["one byte", "cut off", "gone", "manifest", "half a manifest", "path"])
def test_damage_is_noticed_before_loading_and_repaired(bundle, rtx, tmp_path, damage):
    folder = tmp_path / "plans"
    manifest, _, _ = build(bundle, folder, rtx)
    plan = folder / manifest.plans[0].file
    data = bytearray(plan.read_bytes())
    if damage == "one byte":
        data[len(data) // 2] ^= 1
        plan.write_bytes(data)
    elif damage == "cut off":
        plan.write_bytes(data[:-100])
    elif damage == "gone":
        plan.unlink()
    elif damage == "manifest":
        text = json.loads((folder / PLANS).read_text())
        text["plans"][0]["sha256"] = "0" * 64
        (folder / PLANS).write_text(json.dumps(text))
    elif damage == "half a manifest":
        (folder / PLANS).write_bytes((folder / PLANS).read_bytes()[:90])
    else:
        text = (folder / PLANS).read_text().replace(plan.name, "../" + plan.name)
        (folder / PLANS).write_text(text)
    again, built, lines = build(bundle, folder, rtx)
    assert built and len(lines) == 1 and "\n" not in lines[0]
    assert len(verified_plan(folder, again.plans[0])) == again.plans[0].bytes


def test_one_changed_byte_of_the_model_makes_plans_stale(bundle, rtx, tmp_path):
    build(bundle, tmp_path / "plans", rtx)
    other = small_bundle(tmp_path / "other", seed=4)
    assert small_graph(3) != small_graph(4)
    manifest, built, lines = build(other, tmp_path / "plans", rtx)
    assert built and "another small" in lines[0]
    assert Bundle.load(tmp_path / "plans").files == other.files
    assert [p.name for p in (tmp_path / "plans").glob("*.plan")] == [manifest.plans[0].file], "the old plan is gone"


def test_every_option_version_and_gpu_is_part_of_the_key(bundle, rtx):
    graphs = plan_graphs(apply_precision(bundle, "fp16", "tensorrt"), "fp16")
    newer = LoadedTarget(rtx.name, rtx.module, "9.9", rtx.traits)
    keys = {
        cache_key(graphs, rtx, None, OPTIONS),
        cache_key(graphs, rtx, "8.6", OPTIONS),
        cache_key(graphs, newer, None, OPTIONS),
        *(cache_key(graphs, rtx, None, PlanOptions("fp16", **{k: v})) for k, v in
          {"workspace_mib": 5, "optimisation": 1, "hardware": "x", "version_compatible": True}.items()),
    }  # fmt: skip
    assert len(keys) == 7


def test_plans_of_another_tensorrt_or_gpu_are_foreign(bundle, rtx, tmp_path):
    manifest, _, _ = build(bundle, tmp_path / "plans", rtx)
    check_plans(manifest, bundle, rtx.name, rtx.version, "8.6")
    with pytest.raises(StalePlan, match="tensorrt 10"):
        check_plans(manifest, bundle, "tensorrt", "10.3.0", None)
    bound = type(manifest)(**{**{f: getattr(manifest, f) for f in manifest.__struct_fields__},
                              "compute_capability": "8.7"})  # fmt: skip
    with pytest.raises(StalePlan, match=r"8\.7, here is no GPU"):
        check_plans(bound, bundle, rtx.name, rtx.version, None)


@pytest.mark.parametrize("fails_at", [0, 1])
def test_a_power_cut_leaves_the_old_plans(bundle, rtx, tmp_path, monkeypatch, fails_at):
    folder = tmp_path / "plans"
    old, _, _ = build(bundle, folder, rtx)
    written = 0
    real = plan_cache.atomic_write

    def failing(path: Path, data: bytes) -> None:
        nonlocal written
        if written == fails_at:
            raise OutputError("the lights went out")
        written += 1
        real(path, data)

    for module in (plan_builder, plan_cache):
        monkeypatch.setattr(module, "atomic_write", failing)
    with pytest.raises(OutputError, match="lights"):
        build(bundle, folder, rtx, PlanOptions("fp32", compute_capabilities=("8.6",)))
    monkeypatch.undo()
    assert read_plans(folder) == old
    assert verified_plan(folder, old.plans[0])


def test_two_builders_at_once_build_once(bundle, rtx, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: build(bundle, tmp_path / "plans", rtx), range(2)))
    assert sorted(built for _, built, _ in results) == [False, True]
    assert results[0][0] == results[1][0]


def test_an_error_while_the_lock_is_held_stays_that_error(tmp_path):
    with pytest.raises(ConnectionError), plan_cache.locked(tmp_path / "plans"):
        raise ConnectionError("not about the folder")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"), plan_cache.locked(tmp_path / "file" / "plans"):
        pytest.fail("there is no such folder")


def test_runners_find_plans_beside_the_bundle_or_in_the_cache(bundle, rtx, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(StalePlan, match="no plans yet"):
        find_plans(bundle, rtx.name, rtx.version, None)
    cached, _, _ = build(bundle, cached_folder(bundle, rtx.name), rtx)
    assert find_plans(bundle, rtx.name, rtx.version, None) == (cached_folder(bundle, rtx.name), cached)
    beside, _, _ = build(bundle, tmp_path / "plans", rtx)
    assert find_plans(Bundle.load(tmp_path / "plans"), rtx.name, rtx.version, None)[1] == beside


def test_stale_folders_say_why(bundle, rtx, tmp_path):
    assert "no plans yet" in why_stale(tmp_path / "nothing", bundle, rtx, None, "key")[1]


def test_the_layers_tensorrt_sees_are_listed_with_their_types(bundle, rtx):
    graph = plan_graphs(apply_precision(bundle, "fp16", "tensorrt"), "fp16")[0]
    layers = network_layers(rtx, graph.onnx)
    assert {"half", "float"} <= {layer.precision for layer in layers}
    assert any(layer.kind == "CONVOLUTION" for layer in layers)


def test_plans_are_validated_and_nonsense_is_malformed(bundle, rtx):
    graph = plan_graphs(apply_precision(bundle, "fp32", "tensorrt"), "fp32")[0]
    plan, timings = build_plan(rtx, graph, PlanOptions("fp32"))
    assert timings == b""
    assert "MALFORMED" not in (plan_validity(rtx, plan) or "")
    assert "MALFORMED" in (plan_validity(rtx, b"x" * 500) or "")


def test_progress_is_reported_and_bad_graphs_are_refused_with_the_message_of_tensorrt(bundle, rtx):
    graph = plan_graphs(apply_precision(bundle, "fp16", "tensorrt"), "fp16")[0]
    steps: list[tuple[str, int, int]] = []
    build_plan(rtx, graph, OPTIONS, lambda *step: steps.append(step))
    assert steps and steps[-1][1] == steps[-1][2]
    with pytest.raises(RunnerError, match="cannot read the graph"):
        build_plan(rtx, Graph("colour", 0, 0, b"not onnx"), OPTIONS)
