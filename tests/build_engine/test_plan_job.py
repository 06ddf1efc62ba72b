"""The ladder of `--precision auto`: what is refused, what is taken, and that old plans stay until new ones are good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from livetint.build_engine import gate, plan_job
from livetint.build_engine.accuracy_report import cases_of
from livetint.build_engine.apply_precision import folded_stages, model_at_precision
from livetint.build_engine.attention import attention_nodes, attentions, first_nodes
from livetint.build_engine.fold import element_types, fold_constants
from livetint.build_engine.gate import AccuracyLost, WrongAnswers
from livetint.build_engine.ladder import ladder
from livetint.build_engine.limits import LIMITS, Limits
from livetint.build_engine.plan_job import PlanJob, build
from livetint.build_engine.plans import PlanOptions
from livetint.build_engine.quantise import measured_tensors
from livetint.build_engine.tensorrt_versions import load_target
from livetint.calibration.ranges import Choice, Provenance, Ranges, all_methods, measure
from livetint.engine.bundle import Bundle, write_bundle
from livetint.engine.errors import DeviceLost, RunnerError
from livetint.engine.files import sha256_of
from livetint.engine.models import find_model
from livetint.engine.runners.base import NO_GLOBAL_HINTS
from livetint.engine.runners.onnx import OnnxRunner
from livetint.engine.runners.tensorrt.plan_folder import PLANS, read_plans
from onnx import TensorProto

from ..needs import needs
from .small_network import SIDE, small_bundle, small_planes


def test_the_rungs_of_touch_follow_the_structure_of_its_encoder():
    for dialect in ("onnxruntime", "tensorrt", "tensorrt-8"):
        models = folded_stages(find_model("touch"), dialect)
        fp16, attention, first, fp32 = ladder(models)
        assert (fp16.precision, fp16.keep_fp32, fp32.precision) == ("fp16", frozenset(), "fp32")
        assert attention.name == "fp16 with attention in fp32"
        named = {node.name for node in models["encoder"].graph.node if "/attend16." in node.name}
        assert attention.keep_fp32 == named and len(attentions(models["encoder"])) == 2
        blocks = ("/stem/", "/blocks.0/", "/blocks.1/")
        early = {n.name for n in models["encoder"].graph.node if any(block in n.name for block in blocks)}
        assert early <= first.keep_fp32 - attention.keep_fp32 and "/blocks.2/" not in "".join(first.keep_fp32)


def test_what_a_rung_keeps_is_in_fp32_in_the_graph():
    model = folded_stages(find_model("touch"), "tensorrt")["encoder"]
    keep = ladder({"encoder": model})[2].keep_fp32
    half = model_at_precision(model, "fp16", "tensorrt", keep_fp32=keep)
    types = element_types(half)
    for node in half.graph.node:
        if node.name in keep and node.op_type in ("Conv", "MatMul", "Softmax"):
            assert types[node.output[0]] == TensorProto.FLOAT, node.name
    assert sum(types[node.output[0]] == TensorProto.FLOAT16 for node in half.graph.node if node.op_type == "Conv") > 50


def test_attention_is_found_without_names():
    model = folded_stages(find_model("touch"), "tensorrt")["encoder"]
    for node in model.graph.node:
        node.name = node.output[0].strip("/").replace("/", "_")
    kinds = [n.op_type for n in model.graph.node if n.name in attention_nodes(model)]
    assert kinds.count("MatMul") == 2 * 6, "q, k, v, scores, values and projection of two blocks"


def test_networks_without_attention_have_no_rung_for_it(tmp_path: Path):
    models = folded_stages(small_bundle(tmp_path / "small"))
    assert [rung.name for rung in ladder(models)] == ["fp16", "fp32"]
    assert first_nodes(models["colour"], convolutions=2) > first_nodes(models["colour"], convolutions=1) > set()


class Gpu(OnnxRunner):
    """The GPU of these tests: `change` alters its answers at a rung, by the precision in plans.json."""

    change: ClassVar[dict[str, float]] = {}

    def colorize(self, features: Any, hints: Any, global_hints: Any = NO_GLOBAL_HINTS) -> np.ndarray:
        ab = super().colorize(features, hints, global_hints)
        return ab + np.float32(self.change.get(read_plans(self.bundle.folder).precision, 0))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanJob:
    """A trained small network for TensorRT-RTX, and a GPU; what is said is in `said`."""
    monkeypatch.setattr(Gpu, "change", {})
    monkeypatch.setattr(gate, "TensorRTRunner", Gpu)
    monkeypatch.setattr(plan_job, "TensorRTRunner", Gpu)
    cases = cases_of(np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8))
    for module in (gate, plan_job):
        monkeypatch.setattr(module, "example_cases", lambda: cases)
    small = small_bundle(tmp_path / "small")
    bundle = write_bundle(small.folder, msgspec.structs.replace(small.manifest, trained=True), small.files)
    options = PlanOptions("auto", compute_capabilities=("8.6",))
    return PlanJob(bundle, tmp_path / "plans", load_target("tensorrt-rtx"), options, None, say=[].append)


def said(job: PlanJob) -> str:
    return "\n".join(job.say.__self__)  # type: ignore[attr-defined]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder and beside it, but for locks."""
    found = folder.parent.rglob("*")
    return {str(p): p.read_bytes() for p in found if p.is_file() and not p.name.endswith(".lock")}


@needs("tensorrt_rtx")
def test_auto_takes_fp16_where_it_is_good_and_keeps_it(job: PlanJob):
    manifest, built = build(job)
    assert built and (manifest.rung, manifest.asked, manifest.precision) == ("fp16", "auto", "fp16")
    assert read_plans(job.folder) == manifest and manifest.accuracy["mean_ab"] < 0.2
    before = contents(job.folder)
    assert build(job) == (manifest, False) and contents(job.folder) == before
    assert said(job).splitlines()[-1] == "auto: fp16"


@needs("tensorrt_rtx")
def test_auto_climbs_and_says_why(job: PlanJob, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Gpu, "change", {"fp16": 0.3})
    manifest, _ = build(job)
    assert (manifest.rung, read_plans(job.folder).rung) == ("fp32", "fp32")
    assert "fp16 was refused: on the GPU, fp16 loses too much: mean |Δab| is 0.3" in said(job)
    assert "; next: fp32" in said(job) and said(job).endswith("auto: fp32")
    assert build(job) == (manifest, False), "the rung is remembered"


@needs("tensorrt_rtx")
def test_what_cannot_be_built_is_a_reason_to_climb_but_a_lost_gpu_is_not(job: PlanJob, monkeypatch: pytest.MonkeyPatch):
    real, errors = plan_job.build_plans, [RunnerError("a layer is narrow"), DeviceLost("the GPU is gone")]

    def build_plans(
        bundle: Bundle, graphs: Any, folder: Path, target: Any, options: PlanOptions, *more: Any, **named: Any
    ):
        if options.precision == "fp16":
            raise errors.pop(0)
        return real(bundle, graphs, folder, target, options, *more, **named)

    monkeypatch.setattr(plan_job, "build_plans", build_plans)
    assert build(job)[0].rung == "fp32"
    assert "fp16 was refused: a layer is narrow; next: fp32" in said(job)
    with pytest.raises(DeviceLost):
        build(replace(job, force=True))


@needs("tensorrt_rtx")
def test_where_fp32_fails_too_the_old_plans_stay(job: PlanJob, monkeypatch: pytest.MonkeyPatch):
    build(job)
    before = contents(job.folder)
    monkeypatch.setattr(Gpu, "change", {"fp16": 0.3, "fp32": 9.0})
    other = replace(job, options=msgspec.structs.replace(job.options, workspace_mib=64))
    with pytest.raises(WrongAnswers, match=r"TensorRT answers wrongly: .*mean \|Δab\| is [89]\.\d.*--compare-layers"):
        build(other)
    assert contents(job.folder) == before, "nothing was written, and nothing left behind"


@needs("tensorrt_rtx")
def test_a_precision_that_was_asked_for_is_refused(job: PlanJob, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Gpu, "change", {"fp16": 0.3})
    named = replace(job, options=msgspec.structs.replace(job.options, precision="fp16"))
    with pytest.raises(AccuracyLost, match=r"fp16 loses too much.*--force"):
        build(named)
    assert not job.folder.exists() and not list(job.folder.parent.glob(".plans.new*"))
    manifest, built = build(replace(named, force=True))
    assert built and manifest.rung == "fp16" and (job.folder / PLANS).is_file()


@needs("tensorrt_rtx")
@pytest.mark.parametrize(
    ("times", "mean_ab", "taken", "words"),
    [
        ([2e-3, 1e-3], 9.0, "int8", "auto: int8 (1.00 ms for a touch; fp16 takes 2.00)"),
        ([1e-3, 2e-3], 9.0, "fp16", "auto: fp16 stays (1.00 ms for a touch; int8 takes 2.00)"),
        ([2e-3, 1e-3], 0.1, "fp16", "int8 was refused: int8 loses too much: mean |Δab| is "),
    ],
)
def test_int8_is_kept_only_where_it_is_good_and_faster(
    job: PlanJob, monkeypatch: pytest.MonkeyPatch, times: list[float], mean_ab: float, taken: str, words: str
):
    monkeypatch.setitem(LIMITS, "int8", Limits(9.0, mean_ab, 9.0))
    monkeypatch.setattr(plan_job, "shortest_seconds", lambda bundles, case, runner: times)
    ranges = ranges_of_noise(job.bundle)
    manifest, _ = build(replace(job, ranges=ranges))
    assert manifest.rung == read_plans(job.folder).rung == taken
    assert Bundle.load(job.folder).files == job.bundle.files
    assert said(job).splitlines()[-1].startswith(words)
    assert build(replace(job, ranges=ranges)) == (manifest, False)


def ranges_of_noise(bundle: Bundle) -> Ranges:
    """Ranges of the small network on random planes, with a choice."""
    model = fold_constants(bundle.stage("colour"))
    stages = {"colour": all_methods(measure(model, measured_tensors(model), small_planes(4), 1))}
    made = Provenance("small", {"colour": sha256_of(bundle.stage("colour"))}, 4, 4, "", 0, "", "")
    return Ranges(made, stages, Choice("minmax", [], {}, 0))
