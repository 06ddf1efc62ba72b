"""Bundles and their plans for the stand-in TensorRT, in the place where runners look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from livetint.build_engine.apply_precision import apply_precision
from livetint.build_engine.plan_cache import build_plans
from livetint.build_engine.plan_graphs import plan_graphs
from livetint.build_engine.plans import PlanOptions
from livetint.build_engine.tensorrt_versions import load_target
from livetint.engine.bundle import Bundle, DistributionTable, InputTable, Manifest, OutputTable, write_bundle
from livetint.engine.hints import Hint
from livetint.engine.runners.tensorrt.plan_folder import PlanManifest, cached_folder
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CAPABILITY = "8.7"


def build_for_standin(
    bundle: Bundle,
    precision: str = "fp16",
    target: str = "tensorrt",
    stages: Sequence[str] = (),
    folder: Path | None = None,
    all_plans: bool = True,
) -> tuple[Path, PlanManifest]:
    """Build the bundle's plans into `folder` or the user's cache, with the TensorRT that `import` finds. stages: () for
    all. all_plans: with those of the touch stage."""
    found = load_target(target)
    converted = apply_precision(bundle, precision, found.traits.dialect)
    graphs = plan_graphs(converted, precision, all_plans=all_plans)
    folder = folder or cached_folder(bundle, target)
    kept = [graph for graph in graphs if not stages or graph.stage in stages]
    manifest, _ = build_plans(bundle, kept, folder, found, PlanOptions(precision), CAPABILITY)
    return folder, manifest


def tiny_bundle(folder: Path, side: int = 32, ab_scale: float = 1.0, half: bool = False) -> Bundle:
    """A network of one 1 × 1 convolution on planes: ab follows the hints, the mask and, a little, L.

    It has a distribution too: logits of the 313 bins from the planes. half: planes and logits are fp16.
    """
    weight = np.zeros((2, 4, 1, 1), np.float32)
    weight[0, 1], weight[1, 2] = 110 / ab_scale, 110 / ab_scale
    weight[:, 3], weight[:, 0] = 2 / ab_scale, 5 / ab_scale
    head = np.random.default_rng(5).normal(size=(313, 4, 4, 4)).astype(np.float32)
    value, node, io = (
        helper.make_tensor_value_info,
        helper.make_node,
        TensorProto.FLOAT16 if half else TensorProto.FLOAT,
    )
    graph = helper.make_graph(
        [
            node("Cast", ["planes"], ["wide"], "in", to=TensorProto.FLOAT),
            node("Conv", ["wide", "weight"], ["ab"], "only"),
            node("Conv", ["wide", "head"], ["scores"], "head", strides=[4, 4]),
            node("Cast", ["scores"], ["logits"], "out", to=io),
        ],
        "tiny", [value("planes", io, [1, 4, side, side])],
        [value("ab", TensorProto.FLOAT, [1, 2, side, side]), value("logits", io, [1, 313, side // 4, side // 4])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(head, "head")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    manifest = Manifest(
        name="tiny", network="siggraph17", version="1", licence="none", data="none", trained=False,
        input=InputTable(working_size=(side, side)), stages={"colour": "network.onnx", "distribution": "network.onnx"},
        output=OutputTable(ab_scale), distribution=DistributionTable("in-gamut-313", "logits", 0.7),
    )  # fmt: skip
    return write_bundle(folder, manifest, {"network.onnx": model.SerializeToString()})


def some_hints(count: int, seed: int = 0) -> list[Hint]:
    """Hints of any colour and size at any place, the edges of the photograph included."""
    rng = np.random.default_rng(seed)
    return [
        Hint(float(x), float(y), float(a), float(b), int(size))
        for (x, y), (a, b), size in zip(
            np.clip(rng.uniform(-0.1, 1.1, (count, 2)), 0, 1),
            rng.uniform(-60, 60, (count, 2)),
            rng.integers(1, 10, count),
            strict=True,
        )
    ]


def lightness_of(side: int, seed: int = 1) -> NDArray[np.float32]:
    """A random working L float32 [side, side]."""
    return np.random.default_rng(seed).uniform(0, 100, (side, side)).astype(np.float32)
