"""Plans of a whole bundle: built once, stored with a key, built again when anything they depend on has changed.

A power cut at any moment leaves the old plans or the new ones. The order of writing sees to it: the bundle, every plan
under a name that contains its digest, `plans.json`; then the old plans are removed. A lock keeps two builders apart.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from ..engine.bundle import MANIFEST, Bundle, write_bundle
from ..engine.errors import LivetintError, OutputError
from ..engine.files import atomic_write, sha256_of, sync_folder, write_error
from ..engine.runners.subgraph import stage_graph
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
from ..engine.runners.tensorrt.versions import LoadedTarget
from .apply_precision import stage_precision
from .fold import fold_constants
from .plans import Graph, PlanOptions, Progress, build_plan, plan_validity

# The hint axis of TensorRT plans is static. A runner pads to the next of these.
HINT_SIZES = (16, 64, 128)
# Points in one run of the distribution stage. A runner pads fewer, and runs again for more.
POINT_COUNT = 16
LOCK_SECONDS = 1800
TIMINGS = "timings.cache"


def static_graphs(converted: Bundle, precision: str, keep_fp32: Collection[str] = ()) -> list[Graph]:
    """The graph of every plan: one for each stage, or for each of HINT_SIZES where a stage takes hints.

    precision, keep_fp32: those that `converted` was made with. Stages that are never converted have fp32.
    """
    graphs = []
    for stage in converted.manifest.stages:
        own = stage_precision(converted, stage, precision)
        keep = frozenset(keep_fp32) if own != "fp32" else frozenset()
        data = stage_graph(converted, stage)
        if converted.manifest.input.kind == "hints" and stage != "encoder":
            points = POINT_COUNT if stage == "distribution" else 0
            for hints in HINT_SIZES:
                fixed = fold_constants(data, {"hints": hints, "points": points}).SerializeToString()
                graphs.append(Graph(stage, hints, points, fixed, own, keep))
        else:
            graphs.append(Graph(stage, 0, 0, fold_constants(data).SerializeToString(), own, keep))
    return graphs


def cache_key(graphs: list[Graph], target: LoadedTarget, capability: str | None, options: PlanOptions) -> str:
    """SHA-256 over the graphs with their precisions, target, version, GPU and every option."""
    parts = [f"{g.title} {g.points} {sha256_of(g.onnx)} {g.precision} {sorted(g.keep_fp32)}" for g in graphs]
    parts += [target.name, target.version, capability or "no GPU", msgspec.json.encode(options).decode()]
    return sha256_of("\n".join(parts).encode())


def bound_to(target: LoadedTarget, capability: str | None) -> str:
    """The GPU that plans are bound to; "" for targets that build for other machines and finish plans on the GPU."""
    return "" if target.traits.compute_capabilities else capability or ""


def why_stale(
    folder: Path, bundle: Bundle, target: LoadedTarget, capability: str | None, key: str
) -> tuple[PlanManifest | None, str]:
    """The manifest if every plan in `folder` is sound and current, else None; and why not, in one line."""
    try:
        manifest = read_plans(folder)
        check_plans(manifest, bundle, target.name, target.version, capability)
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
    target: LoadedTarget,
    options: PlanOptions,
    capability: str | None = None,
    accuracy: dict[str, float] | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str], Progress] | None = None,
    force: bool = False,
) -> tuple[PlanManifest, bool]:
    """Build plans of `graphs` (made from `bundle`) in `folder`, unless they are there: the manifest, whether it built.

    capability: of the GPU here, None for none. accuracy: what the precision loses, for plans.json. say(line) receives
    why plans are built. progress(title) returns the progress callback of one plan. Raises OutputError when another
    process holds the lock too long or the folder cannot be written, RunnerError when TensorRT cannot build.
    """
    key = cache_key(graphs, target, capability, options)
    with locked(folder):
        manifest, reason = why_stale(folder, bundle, target, capability, key)
        if manifest is not None and not force:
            return manifest, False
        say(f"building: {reason or 'asked to build again'}")
        _place_bundle(folder, bundle)
        timings = _timings(folder)
        plans = []
        for graph in graphs:
            follow = progress(graph.title) if progress else None
            data, timings = build_plan(target, graph, options, follow, timings, say)
            _check_well_formed(target, graph, data)
            digest = sha256_of(data)
            file = f"{graph.title}-{digest[:12]}.plan"
            atomic_write(folder / file, data)
            plans.append(Plan(graph.stage, graph.hints, graph.points, file, digest, len(data)))
        manifest = PlanManifest(
            key=key, model=bundle.name, target=target.name, version=target.version,
            compute_capability=bound_to(target, capability), precision=options.precision,
            options=msgspec.json.decode(msgspec.json.encode(options)), sources=sources_of(bundle), plans=plans,
            accuracy=accuracy or {}, livetint=importlib.metadata.version("livetint"),
        )  # fmt: skip
        if timings:
            atomic_write(folder / TIMINGS, timings)
        _write_manifest(folder, manifest)
        _remove_old_plans(folder, manifest)
        return manifest, True


def publish(place: Path, folder: Path, bundle: Bundle, manifest: PlanManifest) -> None:
    """Move the plans that were built in `place`, on the same file system, into `folder`; `manifest` becomes plans.json.

    The caller holds the lock of `folder`. Raises OutputError when the folder cannot be written.
    """
    _place_bundle(folder, bundle)
    own = {MANIFEST, PLANS, *bundle.files}
    try:
        for path in [path for path in place.iterdir() if path.name not in own and not path.name.startswith(".")]:
            path.replace(folder / path.name)
        sync_folder(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    _write_manifest(folder, manifest)
    _remove_old_plans(folder, manifest)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a plan folder. The lock file lies beside the folder, because the folder may be replaced."""
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=LOCK_SECONDS)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputError(f"another process has been building {folder} for half an hour; end it first") from error
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _place_bundle(folder: Path, bundle: Bundle) -> None:
    """Write the bundle itself into the folder: `--model FOLDER` then works, without a GPU too."""
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


def _check_well_formed(target: LoadedTarget, graph: Graph, data: bytes) -> None:
    answer = plan_validity(target, data)
    if answer and "MALFORMED" in answer:
        raise OutputError(f"the plan of {graph.title} came out malformed; delete the cache and build again")


def _write_manifest(folder: Path, manifest: PlanManifest) -> None:
    atomic_write(folder / PLANS, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def _remove_old_plans(folder: Path, manifest: PlanManifest) -> None:
    kept = {plan.file for plan in manifest.plans} | {PLANS, MANIFEST}
    for path in folder.glob("*.plan"):
        if path.name not in kept:
            with contextlib.suppress(OSError):
                path.unlink()
