"""Plans of a whole bundle: built once, kept under a key, rebuilt when anything they depend on has changed.

Order of writing, so that a power cut at any moment leaves old plans or new ones: the bundle, then every plan
under a name that carries its digest, then `plans.json`, then the old plans go. A lock keeps two builders apart.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from ..engine.bundle import MANIFEST, Bundle, write_bundle
from ..engine.errors import LivetintError, OutputError
from ..engine.files import atomic_write, sha256_of
from ..engine.runners.subgraph import extract_outputs
from ..engine.runners.tensorrt.plan_folder import (
    PLANS,
    Plan,
    PlanManifest,
    StalePlan,
    check_plans,
    read_plans,
    sources_of,
    verified_plan,
)
from .fold import plain
from .plans import PlanOptions, Progress, build_plan, plan_validity
from .tensorrt_versions import Flavour

# The hint axis of TensorRT plans is static; a runner pads to the next of these.
HINT_SIZES = (16, 64, 128)
# Points of one question to the distribution stage; a runner pads, and asks again for more.
POINT_COUNT = 16
LOCK_SECONDS = 1800
TIMINGS = "timings.cache"


@dataclass(frozen=True)
class Graph:
    """One ONNX graph with static shapes, ready to become a plan."""

    stage: str
    hints: int
    points: int
    onnx: bytes

    @property
    def title(self) -> str:
        return f"{self.stage}-{self.hints}" if self.hints else self.stage


def static_graphs(narrowed: Bundle) -> list[Graph]:
    """Every plan's graph: one a stage, but for stages with hints one for each of HINT_SIZES."""
    stages = narrowed.manifest.stages
    graphs = []
    for stage, file in stages.items():
        data = narrowed.files[file]
        if list(stages.values()).count(file) > 1:
            data = extract_outputs(data, ["ab" if stage == "colour" else "logits"])
        if narrowed.manifest.input.kind == "hints" and stage != "encoder":
            points = POINT_COUNT if stage == "distribution" else 0
            for hints in HINT_SIZES:
                fixed = plain(data, {"hints": hints, "points": points}).SerializeToString()
                graphs.append(Graph(stage, hints, points, fixed))
        else:
            graphs.append(Graph(stage, 0, 0, plain(data).SerializeToString()))
    return graphs


def cache_key(graphs: list[Graph], flavour: Flavour, capability: str | None, options: PlanOptions) -> str:
    """SHA-256 over the graphs' bytes, flavour, version, GPU and every option."""
    parts = [f"{g.title} {g.points} {sha256_of(g.onnx)}" for g in graphs]
    parts += [flavour.name, flavour.version, capability or "no GPU", msgspec.json.encode(options).decode()]
    return sha256_of("\n".join(parts).encode())


def bound_to(flavour: Flavour, capability: str | None) -> str:
    """The GPU plans belong to: RTX's plans finish on the GPU they run on, all others are for one GPU."""
    return "" if flavour.traits.compute_capabilities else capability or ""


def why_stale(
    folder: Path, bundle: Bundle, flavour: Flavour, capability: str | None, key: str
) -> tuple[PlanManifest | None, str]:
    """The manifest when every plan in `folder` is sound and current, else None and the reason in one line."""
    try:
        manifest = read_plans(folder)
        check_plans(manifest, bundle, flavour.name, flavour.version, capability)
        if manifest.key != key:
            raise StalePlan("the graphs or the options have changed since the plans were built")
        for plan in manifest.plans:
            verified_plan(folder, plan)
        Bundle.load(folder)
    except LivetintError as error:
        return None, str(error)
    return manifest, ""


def build_plans(
    bundle: Bundle,
    graphs: list[Graph],
    folder: Path,
    flavour: Flavour,
    options: PlanOptions,
    capability: str | None = None,
    accuracy: dict[str, float] | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str], Progress] | None = None,
    force: bool = False,
) -> tuple[PlanManifest, bool]:
    """Plans of `graphs` (made from `bundle`) in `folder`: the manifest, and whether anything was built.

    say(line) tells why plans are rebuilt. progress(title) gives the progress callback of one plan. Raises
    OutputError when another process holds the lock too long or the folder cannot be written.
    """
    key = cache_key(graphs, flavour, capability, options)
    with locked(folder):
        manifest, reason = why_stale(folder, bundle, flavour, capability, key)
        if manifest is not None and not force:
            return manifest, False
        say(f"building: {reason or 'asked to build again'}")
        _place_bundle(folder, bundle)
        timings = _timings(folder)
        plans = []
        for graph in graphs:
            follow = progress(graph.title) if progress else None
            data, timings = build_plan(flavour, graph.onnx, options, follow, timings)
            _refuse_malformed(flavour, graph, data)
            digest = sha256_of(data)
            file = f"{graph.title}-{digest[:12]}.plan"
            atomic_write(folder / file, data)
            plans.append(Plan(graph.stage, graph.hints, graph.points, file, digest, len(data)))
        manifest = PlanManifest(
            key=key, model=bundle.name, flavour=flavour.name, version=flavour.version,
            compute_capability=bound_to(flavour, capability), precision=options.precision,
            options=msgspec.json.decode(msgspec.json.encode(options)), sources=sources_of(bundle), plans=plans,
            accuracy=accuracy or {}, livetint=importlib.metadata.version("livetint"),
        )  # fmt: skip
        if timings:
            atomic_write(folder / TIMINGS, timings)
        atomic_write(folder / PLANS, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        _sweep_out(folder, manifest)
        return manifest, True


@contextlib.contextmanager
def locked(folder: Path):
    """Hold the lock of a plan folder; it lies beside the folder, which may be replaced meanwhile."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock", timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise OutputError(f"another process has been building {folder} for half an hour; end it first") from error
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}; choose a writable folder") from error


def _place_bundle(folder: Path, bundle: Bundle) -> None:
    """The bundle itself, so that `--model FOLDER` works, on a machine without a GPU too."""
    try:
        if Bundle.load(folder).files == bundle.files:
            return
    except LivetintError:
        pass
    write_bundle(folder, bundle.manifest, bundle.files)


def _timings(folder: Path) -> bytes:
    try:
        return (folder / TIMINGS).read_bytes()
    except OSError:
        return b""


def _refuse_malformed(flavour: Flavour, graph: Graph, data: bytes) -> None:
    answer = plan_validity(flavour, data)
    if answer and "MALFORMED" in answer:
        raise OutputError(f"the plan of {graph.title} came out malformed; delete the cache and build again")


def _sweep_out(folder: Path, manifest: PlanManifest) -> None:
    kept = {plan.file for plan in manifest.plans} | {PLANS, MANIFEST}
    for path in folder.glob("*.plan"):
        if path.name not in kept:
            with contextlib.suppress(OSError):
                path.unlink()
