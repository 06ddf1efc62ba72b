"""The same network in other run times: loaded, checked against ONNX Runtime, then timed in the same rounds.

Every peer is tried in a child process first, because it may crash or hang. A peer that is not installed, cannot load a
graph or answers differently is not timed; the result names it with the reason.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...build_engine.fold import fold_constants
from ...engine.bundle import Bundle
from ...engine.image.photo import Photo
from ...engine.inputs import normalise_lightness, planes_input, touch_input
from ...engine.runners.base import NO_GLOBAL_HINTS
from ...engine.runners.onnx import OnnxRunner
from ...engine.runners.sessions import first_line
from ...engine.runners.subgraph import stage_graph
from ..accuracy.levin import Optimiser
from ..cells import short, span
from ..measure import Result, Rows
from ..options import Option
from ..percentiles import ratio
from . import peer_loaders
from .against import other_bundle
from .peer_loaders import Answer, Graph
from .run import LatencyMeasure, Request, Run, Timed
from .samples import Samples
from .workloads import Workload, hint_sets, scene

TRIAL_S = 90.0
# How far a peer's answer may differ from ONNX Runtime's, as a share of its largest value.
TOLERANCE = 1e-2
BASELINE, LEVIN = "ONNX Runtime", "Levin et al. 2004"
SHARE, LEAST = 0.0625, 40
EXTRAS_TEXT = "pip install 'livetint[peers]'"

Loader = Callable[[Graph, int, Path], Callable[[], Answer]]


@dataclass(frozen=True)
class Peer:
    """A run time: the package that must be importable, and what makes a graph ready to run."""

    name: str
    package: str
    load: Loader


PEERS = (
    Peer("OpenVINO", "openvino", peer_loaders.openvino),
    Peer("PyTorch", "torch", peer_loaders.torch_cpu),
    Peer("PyTorch CUDA", "torch", peer_loaders.torch_cuda),
    Peer("ONNX Runtime CUDA", "onnxruntime", peer_loaders.onnxruntime_cuda),
    Peer("OpenCV DNN", "cv2", peer_loaders.opencv),
    Peer("ncnn", "ncnn", peer_loaders.ncnn),
)


def graphs(
    bundle: Bundle, L: NDArray[np.float32], numbers: Sequence[int], threads: int, prefix: str = ""
) -> list[Graph]:
    """The graphs of a bundle with their inputs: encode and touch_N, or colour_N for networks of planes.

    Constants are folded and the number of hints is fixed, because other run times take less than ONNX Runtime does.
    touch_N is the whole stage; the engine computes a part of it ahead, once per photograph.

    L: working L float32 [H, W] in 0…100. `prefix` begins every name.
    """
    with OnnxRunner(bundle, threads) as runner:
        features = runner.encode(L)
    settings = bundle.manifest.input
    plane = normalise_lightness(L, settings)[None, None]
    found = []
    if settings.kind == "hints":
        found.append(_graph(bundle, "encoder", f"{prefix}encode", {"light": plane}))
    for number in numbers:
        hints = hint_sets(number)[0]
        if settings.kind == "hints":
            feeds = {**features.maps, **touch_input(hints, NO_GLOBAL_HINTS)}
            found.append(_graph(bundle, "touch", f"{prefix}touch_{number}", feeds))
        else:
            feeds = planes_input(plane, hints if settings.local else (), NO_GLOBAL_HINTS, settings)
            found.append(_graph(bundle, "colour", f"{prefix}colour_{number}", feeds))
    return found


def _graph(bundle: Bundle, stage: str, name: str, feeds: dict[str, NDArray[np.float32]]) -> Graph:
    number = feeds["positions"].shape[1] if "positions" in feeds else 0
    model = fold_constants(stage_graph(bundle, stage), {"hints": number})
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    return Graph(name, stage, bundle, model.SerializeToString(), {key: feeds[key] for key in inputs}, tuple(outputs))


def workloads(found: Sequence[Graph], threads: int, folder: Path) -> tuple[list[Workload], dict[str, dict[str, str]]]:
    """Workloads `peer: graph` of every peer that works, ONNX Runtime first; and peer → graph → why it is left out.

    `folder` must exist for as long as the workloads run.
    """
    loads = [_workload(BASELINE, graph, peer_loaders.onnxruntime(graph, threads, folder)) for graph in found]
    left_out: dict[str, dict[str, str]] = {}
    for peer in PEERS:
        reasons = try_peer(peer, found, threads, folder)
        for graph in found:
            reason = reasons.get(graph.name) or ""
            if not reason:
                loads.append(_workload(peer.name, graph, peer.load(graph, threads, folder)))
            else:
                left_out.setdefault(peer.name, {})[graph.name] = reason
    return loads, left_out


def _workload(peer: str, graph: Graph, run: Callable[[], Answer]) -> Workload:
    return Workload(f"{peer}: {graph.name}", run, SHARE, LEAST)


def try_peer(
    peer: Peer, found: Sequence[Graph], threads: int, folder: Path, limit_s: float = TRIAL_S
) -> dict[str, str]:
    """graph → why the peer cannot run it, empty for graphs that it can run. A child process tries them."""
    if importlib.util.find_spec(peer.package) is None:
        return {graph.name: f"{peer.package} is not installed; {EXTRAS_TEXT}" for graph in found}
    reasons: dict[str, str] = {}
    while len(reasons) < len(found):
        reasons |= _try_some(peer, found[len(reasons) :], threads, folder, limit_s)
    return reasons


def _try_some(peer: Peer, found: Sequence[Graph], threads: int, folder: Path, limit_s: float) -> dict[str, str]:
    """graph → reason for the first graphs: all of them, or those up to the one that ended the child."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_try_all, args=(theirs, peer, list(found), threads, folder), daemon=True)
    child.start()
    theirs.close()
    reasons: dict[str, str] = {}
    for graph in found:
        try:
            late = not ours.poll(limit_s)
            reasons[graph.name] = f"no answer within {limit_s:g} seconds" if late else ours.recv()
        except EOFError:
            child.join(5)
            reasons[graph.name] = f"its process ended with code {child.exitcode}"
            break
        if late:
            break
    child.kill()
    child.join()
    ours.close()
    return reasons


def _try_all(answers: Connection, peer: Peer, found: list[Graph], threads: int, folder: Path) -> None:
    """In the child: send one sentence for every graph, empty where the answer agrees."""
    for graph in found:
        try:
            answers.send(difference(graph, peer.load(graph, threads, folder)(), threads, folder))
        except Exception as error:  # noqa: BLE001 - the peers' own errors share no base class, and all are reported
            answers.send(first_line(error) or type(error).__name__)


def difference(graph: Graph, answer: Answer, threads: int, folder: Path) -> str:
    """How an answer differs from ONNX Runtime's: a sentence, empty if they agree."""
    expected = peer_loaders.onnxruntime(graph, threads, folder)()
    for name, right in expected.items():
        given = answer.get(name)
        if given is None or given.size != right.size:
            return f"its output {name!r} has another shape"
        off = float(np.abs(given.reshape(right.shape) - right).max())
        if not off <= TOLERANCE * max(float(np.abs(right).max()), 1e-6):
            return f"its output {name!r} is off by {off:.3g} of {np.abs(right).max():.3g}"
    return ""


def all_workloads(
    bundles: Sequence[Bundle], numbers: Sequence[int], threads: int, folder: Path
) -> tuple[list[Workload], dict[str, dict[str, str]]]:
    """Workloads of all peers for every bundle's graphs (those of later bundles under their names), and of Levin's
    optimiser; and peer → graph → why it is left out."""
    L = Photo.from_rgb(scene()).working_L
    found = graphs(bundles[0], L, numbers, threads)
    for bundle in bundles[1:]:
        found += graphs(bundle, L, numbers[:1], threads, f"{bundle.name} ")
    loads, left_out = workloads(found, threads, folder)
    if importlib.util.find_spec("scipy") is None:
        left_out[LEVIN] = {
            f"touch_{number}": "SciPy is not installed; pip install 'livetint[bench]'" for number in numbers
        }
        return loads, left_out
    optimiser = Optimiser(L)
    return loads + [_levin(optimiser, number) for number in numbers if number], left_out


def _levin(optimiser: Optimiser, number: int) -> Workload:
    """Levin's optimiser solves its whole system at every touch; its weights are made once per photograph."""
    sets, turn = hint_sets(number), count()
    return Workload(f"{LEVIN}: touch_{number}", lambda: optimiser.colorize(sets[next(turn) % len(sets)]), SHARE, LEAST)


def as_table(found: Samples, left_out: dict[str, dict[str, str]]) -> dict[str, Any]:
    """stages: `peer: graph` → ms; ratios: graph → peer → times ONNX Runtime's; left_out: peer → graph → reason."""
    ratios: dict[str, dict[str, Any]] = {}
    for name, parts in found.rounds.items():
        peer, graph = name.split(": ", 1)
        if peer != BASELINE and f"{BASELINE}: {graph}" in found.rounds:
            ratios.setdefault(graph, {})[peer] = ratio(parts, found.rounds[f"{BASELINE}: {graph}"])
    return {
        "baseline": BASELINE,
        "tolerance": TOLERANCE,
        "stages": found.summaries(),
        "ratios": ratios,
        "left_out": left_out,
        "samples": found.raw(),
    }


def as_lines(found: Result) -> str:
    """For the terminal."""
    lines = [
        f"{peer} takes {row['ratio']:.4g} times as long as {BASELINE} for {graph}"
        for graph, rows in found["ratios"].items()
        for peer, row in rows.items()
    ]
    return "\n".join(lines + [f"left out: {peer}, {why}" for peer, why in reasons(found["left_out"])])


def reasons(left_out: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    """peer, sentence: each reason once, with the graphs it is about."""
    found = []
    for peer, by_graph in left_out.items():
        for why in dict.fromkeys(by_graph.values()):
            names = ", ".join(graph for graph, reason in by_graph.items() if reason == why)
            found.append((peer, f"{names}: {why}"))
    return found


def ratio_rows(found: Result) -> Rows:
    """Header and rows of the report: the same network in other run times, as ratios to ONNX Runtime."""
    rows = [["graph", "run time", f"times as long as {found['baseline']}", "95 % interval"]]
    for graph, peers in found["ratios"].items():
        rows += [[graph, peer, f"{short(row['ratio'])} ×", span(row)] for peer, row in peers.items()]
    return rows if len(rows) > 1 else []


def missing_rows(found: Result) -> Rows:
    """Header and rows of the report: peers that were not timed, and why."""
    rows = [[peer, why] for peer, why in reasons(found["left_out"])]
    return [["not timed", "why"], *rows] if rows else []


class Peers(LatencyMeasure):
    """The same network in other run times, and Levin's optimiser.

    others: further bundles whose graphs are timed too, under their names.
    """

    key = "peers"
    prefix = "peer "
    workload_s = 2.5
    options = (Option("--peers", "Also time the same network in other run times, and Levin's optimiser."),)

    def __init__(self, others: Sequence[Bundle] = ()) -> None:
        self.others = tuple(others)
        self.left_out: dict[str, dict[str, str]] = {}

    @classmethod
    def from_options(cls, request: Request) -> Peers | None:
        if not request.options["peers"]:
            return None
        request.require_single_stream("--peers")
        name = request.options["against"]
        return cls([other_bundle(name)] if name else [])

    def workloads(self, run: Run, resources: ExitStack) -> list[Workload]:
        folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="livetint-peers-"))
        bundles = [run.runner.bundle, *self.others]
        loads, self.left_out = all_workloads(bundles, run.numbers, run.threads, Path(folder))
        return loads

    def measure(self, run: Run, timed: Timed, result: Result) -> Result:
        return {self.key: as_table(timed.own, self.left_out)}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def tables(part: Result) -> list[Rows]:
        return [ratio_rows(part), missing_rows(part)]
