"""The graphs from which a bundle's plans are built: which stages get a plan, and how many hints each takes."""

from __future__ import annotations

from collections.abc import Collection

from ..engine.bundle import Bundle
from ..engine.kernels.touch import kernels_serve
from ..engine.runners.subgraph import stage_graph
from ..engine.runners.tensorrt.plan_folder import HINT_SIZES
from .apply_precision import stage_precision
from .fold import fold_constants
from .plans import Graph

# Points in one run of the distribution stage. A runner pads fewer, and runs again for more.
POINT_COUNT = 16


def plan_graphs(
    converted: Bundle, precision: str, keep_fp32: Collection[str] = (), all_plans: bool = False
) -> list[Graph]:
    """The graph of every plan of a bundle.

    precision, keep_fp32: those that `converted` was made with. Stages that are never converted have fp32. all_plans:
    the touch stage gets plans even where the CUDA kernels serve it.

    The distribution gets one plan for 1 to 128 hints. The touch stage gets one for each of HINT_SIZES: it runs at every
    move of a finger, and TensorRT is fastest for a fixed number.
    """
    graphs = []
    for stage in converted.manifest.stages:
        if stage == "touch" and not all_plans and kernels_serve(converted):
            continue
        own = stage_precision(converted, stage, precision)
        keep = frozenset(keep_fp32) if own != "fp32" else frozenset()
        data = stage_graph(converted, stage)
        if converted.manifest.input.kind == "hints" and stage != "encoder":
            points = POINT_COUNT if stage == "distribution" else 0
            fixed = fold_constants(data, {"points": points}).SerializeToString()
            graph = Graph(stage, max(HINT_SIZES), points, fixed, own, keep, dynamic=True)
            graphs += [graph] if stage == "distribution" else static_graphs(graph)
        else:
            graphs.append(Graph(stage, 0, 0, fold_constants(data).SerializeToString(), own, keep))
    return graphs


def static_graphs(graph: Graph) -> list[Graph]:
    """The graphs, one for each of HINT_SIZES, that do together what a graph for any number of hints does."""
    return [
        Graph(
            graph.stage, hints, graph.points, fold_constants(graph.onnx, {"hints": hints}).SerializeToString(),
            graph.precision, graph.keep_fp32,
        )
        for hints in HINT_SIZES
    ]  # fmt: skip
