"""Builds plans into a folder, one after another, from one timing cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ..engine.errors import OutputError, RunnerError
from ..engine.files import atomic_write, sha256_of
from ..engine.runners.tensorrt.plan_folder import Plan
from ..engine.runners.tensorrt.versions import LoadedTarget
from .plan_graphs import static_graphs
from .plans import Graph, PlanOptions, Progress, build_plan, plan_validity
from .timing_cache import keep_timings, read_timings, timing_cache_path

# The builder level for the encoder and for whole networks, which take nearly all of the time of a build.
NETWORK_LEVEL = 3
# The one for stages that take hints: a few hundred small operations in fp32, where kernels hardly differ.
HINT_STAGE_LEVEL = 1


def options_of(graph: Graph, options: PlanOptions) -> PlanOptions:
    """The options of one plan: the precision of its graph, and the builder level of its stage if none was asked for."""
    level = HINT_STAGE_LEVEL if graph.hints else NETWORK_LEVEL
    if options.optimisation is not None:
        level = options.optimisation
    return msgspec.structs.replace(options, precision=graph.precision, optimisation=level)


def plan_key(graph: Graph, target: LoadedTarget, capability: str | None, options: PlanOptions) -> str:
    """SHA-256 over everything that a plan depends on: its graph, target, version, GPU and options."""
    parts = [
        f"{graph.title} {graph.points} {graph.dynamic} {sha256_of(graph.onnx)} {sorted(graph.keep_fp32)}",
        target.name, target.version, capability or "no GPU",
        msgspec.json.encode(options_of(graph, options)).decode(),
    ]  # fmt: skip
    return sha256_of("\n".join(parts).encode())


@dataclass
class PlanBuilder:
    """model: names the timing cache. capability: of the GPU here, None for none. say(line) receives what a user should
    know; progress(title) returns the progress callback of one plan."""

    model: str
    folder: Path
    target: LoadedTarget
    capability: str | None
    options: PlanOptions
    say: Callable[[str], None]
    progress: Callable[[str], Progress] | None
    _timings: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        self._timings_path = timing_cache_path(self.model, self.target, self.capability)
        if self.target.traits.timing_cache:
            self._timings = read_timings(self._timings_path)

    def build(self, graph: Graph, which: str, dynamic: bool = True) -> list[Plan]:
        """Build and write the plan of a graph. which: such as "2 of 2".

        Where TensorRT cannot build a plan for any number of hints, or `dynamic` is False, there is one for each of
        HINT_SIZES. Raises RunnerError when TensorRT cannot build, OutputError when the folder cannot be written.
        """
        key = plan_key(graph, self.target, self.capability, self.options)
        if dynamic or not graph.dynamic:
            try:
                return [self._build(graph, key, f"{graph.title} ({which})")]
            except RunnerError as error:
                if not graph.dynamic:
                    raise
                self.say(f"no plan of {graph.title} for 1 to {graph.hints} hints, but one for each size: {error}")
        return [self._build(one, key, f"{one.title} ({which})") for one in static_graphs(graph)]

    def _build(self, graph: Graph, key: str, title: str) -> Plan:
        own = options_of(graph, self.options)
        follow = self.progress(title) if self.progress else None
        started = time.perf_counter()
        data, timings = build_plan(self.target, graph, own, follow, self._timings, self.say)
        seconds = time.perf_counter() - started
        if follow is not None:
            follow("built", 1, 1)
        self._check_well_formed(graph, data)
        if timings and timings != self._timings:
            self._timings = timings
            keep_timings(self._timings_path, timings, self.say)
        digest = sha256_of(data)
        file = f"{graph.title}-{digest[:12]}.plan"
        atomic_write(self.folder / file, data)
        return Plan(
            graph.stage, graph.hints, graph.points, file, digest, len(data), graph.dynamic, own.optimisation,
            round(seconds, 2), key,
        )  # fmt: skip

    def _check_well_formed(self, graph: Graph, data: bytes) -> None:
        answer = plan_validity(self.target, data)
        if answer and "MALFORMED" in answer:
            raise OutputError(f"the plan of {graph.title} came out malformed; delete the cache and build again")
