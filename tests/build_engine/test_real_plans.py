"""Plans of the real networks, built without a GPU: every stage of `touch`, `siggraph17` in every precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from livetint.build_engine.accuracy_report import example_photographs
from livetint.build_engine.apply_precision import apply_precision, ranges_of
from livetint.build_engine.plan_cache import build_plans, cache_key, why_stale
from livetint.build_engine.plan_graphs import plan_graphs
from livetint.build_engine.planes_bundle import write_untrained
from livetint.build_engine.plans import Graph, PlanOptions, plan_validity
from livetint.build_engine.sensitivity import measure_ranges
from livetint.build_engine.tensorrt_versions import load_target
from livetint.calibration.ranges import Choice, Ranges
from livetint.engine.bundle import Bundle, write_bundle
from livetint.engine.models import bundled_folder
from livetint.engine.runners.tensorrt.plan_folder import HINT_SIZES, Plan, verified_plan
from livetint.engine.runners.tensorrt.versions import LoadedTarget

from ..needs import needs

pytestmark = needs("tensorrt_rtx")
MINMAX = Choice("minmax", [], {}, 0)


@pytest.fixture(scope="module")
def rtx() -> LoadedTarget:
    return load_target("tensorrt-rtx")


@pytest.fixture(scope="module")
def touch(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundled `touch`, or one with random weights if none is bundled."""
    if (bundled_folder() / "touch").is_dir():
        return Bundle.load(bundled_folder() / "touch")
    pytest.importorskip("torch")
    from livetint.build_engine.networks.touch import TouchNetwork
    from livetint.build_engine.touch_bundle import export_stages, touch_manifest

    manifest = touch_manifest("0", "none", "random", trained=False)
    return write_bundle(tmp_path_factory.mktemp("bundles") / "touch", manifest, export_stages(TouchNetwork()))


@pytest.fixture(scope="module")
def siggraph17(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Ranges]:
    bundle = write_untrained(tmp_path_factory.mktemp("bundles") / "siggraph17", "siggraph17")
    return bundle, measure_ranges(bundle, example_photographs(), samples=8, held_out=0)


def life_of_plans(
    bundle: Bundle, graphs: list[Graph], folder: Path, rtx: LoadedTarget, options: PlanOptions
) -> list[Plan]:
    """They are built, valid and found again; after a change of one byte of a graph or a plan they are rebuilt."""
    manifest, built = build_plans(bundle, graphs, folder, rtx, options)
    assert built and len(manifest.plans) == len(graphs)
    for plan in manifest.plans:
        assert len(verified_plan(folder, plan)) == plan.bytes
        answer = plan_validity(rtx, verified_plan(folder, plan))
        assert answer is not None and "MALFORMED" not in answer
    assert build_plans(bundle, graphs, folder, rtx, options) == (manifest, False)

    other = bytearray(graphs[-1].onnx)
    other[len(other) // 2] ^= 1
    changed = [*graphs[:-1], dataclasses.replace(graphs[-1], onnx=bytes(other))]
    key = cache_key(changed, rtx, None, options)
    assert "have changed" in why_stale(folder, bundle, rtx, None, key)[1]

    plan = folder / manifest.plans[-1].file
    damaged = bytearray(plan.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    plan.write_bytes(damaged)
    said: list[str] = []
    again, rebuilt = build_plans(bundle, graphs, folder, rtx, options, say=said.append)
    assert rebuilt and len(said) == 1 and "is damaged" in said[0]
    assert "MALFORMED" not in (plan_validity(rtx, verified_plan(folder, again.plans[-1])) or "")
    return again.plans


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_stage_of_touch_becomes_a_plan(touch: Bundle, rtx: LoadedTarget, tmp_path: Path, precision: str):
    ranges = ranges_of(touch) or measure_ranges(touch, example_photographs(), samples=4, held_out=0)
    converted = apply_precision(touch, precision, "tensorrt", ranges, ranges.choice or MINMAX)
    assert [graph.title for graph in plan_graphs(converted, precision)] == ["encoder", "distribution"]
    graphs = plan_graphs(converted, precision, all_plans=True)
    assert len(graphs) == 2 + len(HINT_SIZES)
    if precision != "fp32":
        # The stages of a touch are the same fp32 graphs at every precision.
        graphs = [graph for graph in graphs if graph.stage != "touch" or graph.hints == HINT_SIZES[0]]
    plans = life_of_plans(touch, graphs, tmp_path / "plans", rtx, PlanOptions(precision, compute_capabilities=("8.6",)))
    assert {plan.stage for plan in plans} == {"encoder", "touch", "distribution"}


@pytest.mark.parametrize(("precision", "megabytes"), [("fp32", 137), ("fp16", 69), ("int8", 39)])
def test_siggraph17_becomes_a_plan_of_the_expected_size(
    siggraph17, rtx: LoadedTarget, tmp_path: Path, precision: str, megabytes: int
):
    bundle, ranges = siggraph17
    converted = apply_precision(bundle, precision, "tensorrt", ranges, MINMAX)
    graphs = [graph for graph in plan_graphs(converted, precision) if graph.stage == "colour"]
    plans = life_of_plans(bundle, graphs, tmp_path / "plans", rtx, PlanOptions(precision))
    assert plans[0].bytes / 1e6 == pytest.approx(megabytes, rel=0.05)
