"""Plans of a whole bundle: built once, stored with a key, built again when anything they depend on has changed.

A power cut at any moment leaves the old plans or the new ones. The order of writing sees to it: the bundle, every plan
under a name that contains its digest, `plans.json`; then the old plans are removed. A lock keeps two builders apart.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from ..engine.bundle import MANIFEST, Bundle, write_bundle
from ..engine.errors import LivetintError, OutputError
from ..engine.files import atomic_write, sha256_of, sync_folder, write_error
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
from .plan_builder import PlanBuilder, plan_key
from .plans import Graph, PlanOptions, Progress

LOCK_SECONDS = 1800
# Where TensorRT's timings were kept before timing_cache.py.
OLD_TIMINGS = "timings.cache"


def cache_key(graphs: list[Graph], target: LoadedTarget, capability: str | None, options: PlanOptions) -> str:
    """SHA-256 over the keys of all plans and the options."""
    keys = [plan_key(graph, target, capability, options) for graph in graphs]
    return sha256_of("\n".join([*keys, msgspec.json.encode(options).decode()]).encode())


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
    dynamic: bool = True,
) -> tuple[PlanManifest, bool]:
    """Build plans of `graphs` (made from `bundle`) in `folder`, unless they are there: the manifest, whether it built.

    capability: of the GPU here, None for none. accuracy: what the precision loses, for plans.json. say(line) receives
    why plans are built. progress(title) returns the progress callback of one plan. dynamic: whether plans may take any
    number of hints; otherwise there is one for each of HINT_SIZES. Raises OutputError when another process holds the
    lock too long or the folder cannot be written, RunnerError when TensorRT cannot build.
    """
    key = cache_key(graphs, target, capability, options)
    keys = [plan_key(graph, target, capability, options) for graph in graphs]
    with locked(folder):
        manifest, reason = why_stale(folder, bundle, target, capability, key)
        unwanted = {} if dynamic or manifest is None else {plan.key for plan in manifest.plans if plan.dynamic}
        if manifest is not None and not force and not unwanted:
            return manifest, False
        say(f"building: {reason or 'asked to build again'}")
        _place_bundle(folder, bundle)
        kept = {} if force else {key: plans for key, plans in _sound_plans(folder).items() if key not in unwanted}
        builder = PlanBuilder(bundle.name, folder, target, capability, options, say, progress)
        missing = [key for key in keys if key not in kept]
        plans: list[Plan] = []
        for graph, own in zip(graphs, keys, strict=True):
            plans += kept.get(own) or builder.build(graph, f"{missing.index(own) + 1} of {len(missing)}", dynamic)
        manifest = PlanManifest(
            key=key, model=bundle.name, target=target.name, version=target.version,
            compute_capability=bound_to(target, capability), precision=options.precision,
            options=msgspec.json.decode(msgspec.json.encode(options)), sources=sources_of(bundle), plans=plans,
            accuracy=accuracy or {}, livetint=importlib.metadata.version("livetint"),
        )  # fmt: skip
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


def _sound_plans(folder: Path) -> dict[str, list[Plan]]:
    """The plans in a folder that are as they were written, by their keys. They are not built again."""
    found: dict[str, list[Plan]] = {}
    damaged: set[str] = set()
    try:
        plans = read_plans(folder).plans
    except StalePlan:
        return found
    for plan in plans:
        found.setdefault(plan.key, []).append(plan)
        try:
            verified_plan(folder, plan)
        except StalePlan:
            damaged.add(plan.key)
    return {key: plans for key, plans in found.items() if key not in damaged}


def _write_manifest(folder: Path, manifest: PlanManifest) -> None:
    atomic_write(folder / PLANS, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def _remove_old_plans(folder: Path, manifest: PlanManifest) -> None:
    kept = {plan.file for plan in manifest.plans} | {PLANS, MANIFEST}
    for path in [*folder.glob("*.plan"), folder / OLD_TIMINGS]:
        if path.name not in kept:
            with contextlib.suppress(OSError):
                path.unlink()
