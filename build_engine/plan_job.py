"""Building the plans of a bundle: convert, build, try them on the GPU, and put them in place only if they are good.

Plans are built in a folder beside their own. Until they have passed the gate, the old plans stay as they are.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..calibration.ranges import Ranges
from ..engine.bundle import Bundle
from ..engine.errors import DeviceError, RunnerError
from ..engine.runners.tensorrt.plan_folder import PLANS, PlanManifest, StalePlan, read_plans
from ..engine.runners.tensorrt.runner import TensorRTRunner
from ..engine.runners.tensorrt.versions import LoadedTarget
from .accuracy_report import Accuracy, example_cases
from .apply_precision import folded_stages, measured_dialect, ranges_of
from .gate import Gate, Refused, WrongDistribution
from .ladder import Rung, ladder
from .plan_cache import build_plans, cache_key, locked, publish, why_stale
from .plan_graphs import plan_graphs
from .plans import Graph, PlanOptions, Progress
from .prepare import bundle_at_precision, shortest_seconds

AUTO = "auto"
INT8 = Rung("int8", "int8")


@dataclass(frozen=True)
class PlanJob:
    """What to build. options.precision: "auto" for the ladder. capability: of the GPU here, None for none.

    say(line) receives what a user should know. progress(title) returns the progress callback of one plan. all_plans:
    of `plan_graphs`. force: build even if nothing changed or too much accuracy is lost.
    """

    bundle: Bundle
    folder: Path
    target: LoadedTarget
    options: PlanOptions
    capability: str | None
    ranges: Ranges | None = None
    all_plans: bool = False
    force: bool = False
    say: Callable[[str], None] = lambda line: None
    progress: Callable[[str], Progress] | None = None

    @property
    def asked(self) -> str:
        return self.options.precision

    @functools.cached_property
    def rungs(self) -> list[Rung]:
        """What may be built, in order."""
        if self.asked != AUTO:
            return [Rung(self.asked, self.asked)]
        return ladder(folded_stages(self.bundle, self.target.traits.dialect))

    def rung(self, name: str) -> Rung:
        """The rung of this name, as plans.json has it."""
        return next((rung for rung in self.rungs if rung.name == name), Rung(name, name))

    def graphs(self, rung: Rung) -> list[Graph]:
        """The graph of every plan of a rung."""
        converted = self.converted(rung, self.target.traits.dialect)
        return plan_graphs(converted, rung.precision, rung.keep_fp32, self.all_plans)

    def converted(self, rung: Rung, dialect: str) -> Bundle:
        """The bundle at a rung, in a dialect."""
        return bundle_at_precision(self.bundle, rung.precision, dialect, self.ranges, keep_fp32=rung.keep_fp32)

    def options_of(self, rung: Rung) -> PlanOptions:
        return msgspec.structs.replace(self.options, precision=rung.precision)


def build(job: PlanJob) -> tuple[PlanManifest, bool]:
    """Build the plans of a job in its folder, unless they are there: the manifest, whether anything was built.

    Raises AccuracyLost or WrongAnswers when no rung passes the gate, RunnerError when TensorRT cannot build,
    OutputError when the folder cannot be written. The folder is then as it was.
    """
    with locked(job.folder):
        current = None if job.force else _current(job)
        if current is not None:
            return current, False
        gate = Gate(job.bundle, job.force, job.say)
        manifest, tried = _climb(job, gate)
        if job.asked == AUTO and tried:
            manifest = _faster_int8(job, gate, manifest)
        return manifest, True


def _current(job: PlanJob) -> PlanManifest | None:
    """The manifest of the plans in the folder if they are what this job would build."""
    try:
        there = read_plans(job.folder)
    except StalePlan:
        return None
    if there.asked != job.asked or there.rung not in {*(rung.name for rung in job.rungs), INT8.name}:
        return None
    rung = job.rung(there.rung)
    if rung.precision == "int8" and not _has_ranges(job):
        return None
    key = cache_key(job.graphs(rung), job.target, job.capability, job.options_of(rung))
    return why_stale(job.folder, job.bundle, job.target, job.capability, key)[0]


def _climb(job: PlanJob, gate: Gate) -> tuple[PlanManifest, bool]:
    """Build the first rung that passes the gate: its manifest, and whether a GPU ran it."""
    with _beside(job.folder) as place:
        for rung, above in zip(job.rungs, [*job.rungs[1:], None], strict=True):
            try:
                manifest, tried = _build_rung(job, gate, rung, place)
            except (Refused, RunnerError) as error:
                if above is None or isinstance(error, DeviceError):
                    raise
                job.say(f"{rung.name} was refused: {getattr(error, 'reason', error)}; next: {above.name}")
                continue
            publish(place, job.folder, job.bundle, manifest)
            if job.asked == AUTO:
                job.say(f"auto: {rung.name}")
            return manifest, tried
    raise AssertionError("a ladder has rungs")


def _build_rung(job: PlanJob, gate: Gate, rung: Rung, place: Path) -> tuple[PlanManifest, bool]:
    """Build a rung in the folder `place` and check it: its manifest, and whether a GPU ran it."""
    dialect, bundle = job.target.traits.dialect, job.bundle
    stored = job.converted(rung, measured_dialect(dialect))
    expected = gate.check(stored, rung.precision, dialect)
    manifest = _build_in(job, rung, place)
    try:
        found = gate.check_plans(place, expected)
    except WrongDistribution as error:
        if not any(plan.dynamic for plan in manifest.plans):
            raise
        job.say(f"{error.reason}; next: a plan of the distribution for each number of hints")
        manifest = _build_in(job, rung, place, dynamic=False)
        found = gate.check_plans(place, expected)
    measured = found or expected
    if found is None and rung.precision == "fp16" and bundle.manifest.input.kind == "hints":
        measured = gate.check_emulated(rung.keep_fp32)
    manifest = msgspec.structs.replace(manifest, rung=rung.name, asked=job.asked, accuracy=_numbers(measured))
    return manifest, found is not None


def _build_in(job: PlanJob, rung: Rung, place: Path, dynamic: bool = True) -> PlanManifest:
    """Build the plans of a rung in the folder `place`. dynamic: of `build_plans`."""
    return build_plans(
        job.bundle, job.graphs(rung), place, job.target, job.options_of(rung), job.capability,
        say=lambda line: job.say(line.replace(str(place), str(job.folder))), progress=job.progress,
        force=job.force and dynamic, dynamic=dynamic,
    )[0]  # fmt: skip


def _faster_int8(job: PlanJob, gate: Gate, manifest: PlanManifest) -> PlanManifest:
    """Build INT8 too and keep it if it is faster on the GPU: for networks that run whole at every touch, with ranges.

    Where the encoder runs once for each photograph, INT8 would save a millisecond there and change colours.
    """
    if not _has_ranges(job) or job.bundle.manifest.input.kind == "hints":
        return manifest
    with _beside(job.folder) as place:
        try:
            narrow, tried = _build_rung(job, gate, INT8, place)
        except (Refused, RunnerError) as error:
            job.say(f"int8 was refused: {getattr(error, 'reason', error)}")
            return manifest
        if not tried:
            return manifest
        bundles = [Bundle.load(job.folder), Bundle.load(place)]
        kept, new = (1e3 * s for s in shortest_seconds(bundles, example_cases()[0], TensorRTRunner))
        if new >= kept:
            job.say(f"auto: {manifest.rung} stays ({kept:.2f} ms for a touch; int8 takes {new:.2f})")
            return manifest
        publish(place, job.folder, job.bundle, narrow)
    job.say(f"auto: int8 ({new:.2f} ms for a touch; {manifest.rung} takes {kept:.2f})")
    return narrow


def _has_ranges(job: PlanJob) -> bool:
    return (job.ranges or ranges_of(job.bundle)) is not None


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` with links to its plans, so that those which are the same are not built again."""
    place = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(place, ignore_errors=True)
    try:
        _link(folder, place)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        place.with_name(f".{place.name}.lock").unlink(missing_ok=True)


def _link(folder: Path, place: Path) -> None:
    """Link the plans of `folder` into the new folder `place`. Where that is not possible, they are built again."""
    with contextlib.suppress(OSError):
        if (folder / PLANS).is_file():
            shutil.copytree(folder, place, copy_function=os.link)


def _numbers(accuracy: Accuracy) -> dict[str, float]:
    """What plans.json says of the accuracy. JSON has no infinity."""
    numbers = {
        "max_ab": accuracy.max_ab, "mean_ab": accuracy.mean_ab, "delta_e": accuracy.delta_e,
        "lost_db": accuracy.lost_db, "map_error": accuracy.map_error,
    }  # fmt: skip
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
