"""Everything that is measured on a GPU, in one run: plans built, answers compared with the CPU's, every stage timed,
the kernels checked, and PyTorch beside them.

Each step runs in a process of its own, with a time limit. The result is saved after every step; a step that fails
leaves its reason and the next one runs. The steps of most worth come first.
"""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from ...build_engine.planes_bundle import write_untrained
from ...build_engine.sensitivity import calibrate_on_examples
from ...engine.bundle import Bundle, write_bundle
from ...engine.errors import LivetintError, ModelFileError, NoDevice
from ...engine.models import find_model
from ...engine.runners.tensorrt.device import Device
from ...engine.runners.tensorrt.plan_folder import StalePlan, find_plans
from ...engine.runners.tensorrt.versions import installed_targets, load_target
from ..environment import machine, model_table, versions
from ..measure import Result
from .findings import aims_of, warnings_of, wrong_in
from .kernel_lab import KernelLab, LabLimits
from .processes import NOT_DONE, Program, Say, attempt, in_process
from .torch_process import time_torch

SCHEMA = 2
MODELS = ("touch", "siggraph17")
BUILD = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "build")
# A quick run: its seconds, the share of them after which builds are ended, and its touches.
QUICK_S, BUILDS_SHARE = 225.0, 0.6
QUICK_TOUCHES = 200
# Optimisation levels of its builds. The encoder of `touch` takes minutes at a higher one, and is not what a touch
# waits for; the paper's networks run at every touch.
QUICK_STAGED_LEVEL, QUICK_LEVEL = 0, 2
# Visits from which the ranges of random weights are measured for INT8: a few seconds.
UNTRAINED_SAMPLES = 4
# Less time than this is not worth a start.
MIN_S = 8.0

Save = Callable[[Result], None]


@dataclass(frozen=True)
class Settings:
    """What is asked of a run.

    models: names or folders. precision: of the plans. touches: samples of every stage. hints: numbers of hints of
    timed touches. display: width and height of composed pictures. kernels: whether the kernel lab runs. lab: the lab's
    program, if it is compiled already. build: whether plans are built; without, those of earlier builds are measured.
    optimisation: level of the builds, None for the usual ones. all_plans: also those of stages that kernels serve.
    torch_python: an interpreter with PyTorch, None for this one. quick: all in four minutes (`quick`). limit_s: seconds
    for all steps, None for no limit. note: words for the report, such as the commit.
    """

    models: tuple[str, ...] = MODELS
    precision: str = "auto"
    touches: int = 1000
    hints: tuple[int, ...] = (1, 16, 64, 128)
    display: tuple[int, int] = (1920, 1080)
    kernels: bool = True
    lab: Path | None = None
    build: bool = True
    optimisation: int | None = None
    all_plans: bool = False
    torch_python: str | None = None
    quick: bool = False
    limit_s: float | None = None
    note: str = ""

    @property
    def main_hints(self) -> int:
        """The number of hints that is compared with PyTorch and the aims."""
        return 16 if 16 in self.hints else self.hints[0]


@dataclass(frozen=True)
class Limits:
    """Seconds that each step may take."""

    build_s: float = 3600
    answers_s: float = 300
    stages_s: float = 600
    torch_s: float = 900
    lab: LabLimits = field(default_factory=LabLimits)


QUICK_LIMITS = Limits(
    answers_s=30, stages_s=40, torch_s=60, lab=LabLimits(compile_s=45, lab_s=60, tool_s=0)
)  # fmt: skip


def quick(settings: Settings) -> Settings:
    """The settings of a quick run.

    Fewer touches, no compute-sanitizer, plans of an earlier build where there are some. Else plans are built side by
    side, at low optimisation levels, those of the paper's networks without the distribution.
    """
    limit_s = QUICK_S if settings.limit_s is None else settings.limit_s
    return replace(settings, quick=True, touches=min(settings.touches, QUICK_TOUCHES), limit_s=limit_s)


def measure_gpu(settings: Settings, say: Say, save: Save = lambda result: None) -> Result:
    """Check and time everything on the first GPU. `say` gets a line about each step, `save` the result after each.

    Raises NoDevice without a GPU, at once.
    """
    before = machine()  # before this process has anything on the GPU
    device = Device()
    gpu = {"name": device.name, "compute_capability": device.compute_capability, "integrated": device.integrated}
    device.close()
    result: Result = {
        "schema": SCHEMA, "kind": "gpu", "gpu": gpu, "machine": before, "versions": versions(),
        "display": list(settings.display), "touches": settings.touches, "hints": list(settings.hints),
        "main_hints": settings.main_hints, "precision": settings.precision, "quick": settings.quick,
        "note": settings.note, "models": {}, "kernels": {}, "torch": {},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(settings, QUICK_LIMITS if settings.quick else Limits(), result, Path(folder), say, save)
        run.all()
    result["machine_after"] = machine()
    run.note()
    return result


class _Run:
    """The steps of one run. `result` is filled by them."""

    def __init__(self, settings: Settings, limits: Limits, result: Result, folder: Path, say: Say, save: Save) -> None:
        self._settings, self._limits, self._folder = settings, limits, folder
        self.result, self._say, self._save = result, say, save
        self._capability: str = result["gpu"]["compute_capability"]
        self._started = time.perf_counter()
        self._bundles: dict[str, Bundle] = {}
        self._builds: dict[str, Build] = {}
        self._lab: KernelLab | None = None

    def all(self) -> None:
        """All steps, those of most worth first. What was started is ended in any case."""
        first, *others = self._settings.models
        try:
            if self._settings.kernels:
                self._lab = KernelLab(self._folder, self._capability, self._settings.lab)
            if self._settings.quick:
                for name in (first, *others):
                    self._open(name)
                    self._start_build(name)
            self._build(first)
            self._answers(first)
            if self._settings.quick:
                # No other build may use the GPU while touches are timed.
                for name in others:
                    self._build(name)
            self._stages(first)
            self._kernels()
            for name in others:
                self._build(name)
                self._answers(name)
                self._stages(name)
            self._torch()
        finally:
            for started in (*self._builds.values(), *([self._lab] if self._lab else [])):
                started.close()

    def note(self) -> None:
        """Draw the conclusions from what there is, and save it."""
        self.result["seconds"] = round(time.perf_counter() - self._started, 1)
        for key, conclude in (("warnings", warnings_of), ("aims", aims_of), ("wrong", wrong_in)):
            self.result[key] = conclude(self.result)
        self._save(self.result)

    def _open(self, name: str) -> bool:
        """Find a model, once; whether it is there."""
        if name not in self.result["models"]:
            found = attempt(name, lambda: {"model": model_table(self._bundle(name))}, self._say)
            self.result["models"][name] = {key: value for key, value in found.items() if key != "seconds"}
        return name in self._bundles

    def _start_build(self, name: str) -> None:
        if self._settings.build and name in self._bundles:
            self._builds[name] = Build(self._bundles[name], self._settings, self._capability)

    def _build(self, name: str) -> None:
        """Build a model's plans, or wait for the build that was started; once."""
        self._say(f"{name}:")
        found = self.result["models"].get(name, {})
        if not self._open(name) or not self._settings.build or "build" in found:
            return
        found = self.result["models"][name]
        if name not in self._builds:
            self._start_build(name)
        limit_s = self._limits.build_s
        if self._settings.limit_s is not None:
            limit_s = max(1.0, BUILDS_SHARE * self._settings.limit_s - (time.perf_counter() - self._started))
        self._step(found, "build", limit_s, lambda left_s: self._builds[name].wait(left_s, self._say))

    def _answers(self, name: str) -> None:
        self._child(name, "answers", self._limits.answers_s)

    def _stages(self, name: str) -> None:
        self._child(name, "stages", self._limits.stages_s)

    def _child(self, name: str, step: str, limit_s: float) -> None:
        if not self._open(name):
            return
        settings = self._settings
        given = {"bundle": str(self._bundles[name].folder), "display": settings.display,
                 "touches": settings.touches, "hints": settings.hints}  # fmt: skip
        found = self.result["models"][name]
        self._step(found, step, limit_s, lambda left_s: in_process(step, given, left_s, self._say))

    def _kernels(self) -> None:
        lab, limits = self._lab, self._limits.lab
        if lab is None:
            self.result["kernels"] = {NOT_DONE: "left out"}
            return
        self._step(self.result, "kernels", math.inf, lambda left_s: lab.check(limits.within(left_s), self._say))

    def _torch(self) -> None:
        settings = self._settings

        def work(limit_s: float) -> dict[str, Any]:
            return time_torch(
                self._bundles, settings.touches, settings.main_hints, limit_s, self._say, settings.torch_python
            )

        self._step(self.result, "torch", self._limits.torch_s, work)

    def _step(self, found: dict[str, Any], name: str, limit_s: float, work: Callable[[float], dict[str, Any]]) -> None:
        """found[name] = work(the seconds that it may take), unless too little time is left; then save the result."""
        left_s = math.inf
        if self._settings.limit_s is not None:
            left_s = self._settings.limit_s - (time.perf_counter() - self._started)
        if left_s < MIN_S:
            found[name] = {NOT_DONE: "no time was left"}
        else:
            self._say(f"  {name}")
            found[name] = attempt(name, lambda: work(min(limit_s, left_s)), self._say)
        self.note()

    def _bundle(self, name: str) -> Bundle:
        """A model by name. One of the paper's networks gets random weights where others were not fetched."""
        try:
            bundle = find_model(name)
        except ModelFileError:
            if name not in MODELS:
                raise
            self._say(f"  there is no {name} here; it gets random weights: its cost is right, its colours mean nothing")
            bundle = write_untrained(self._folder / name, name)
            if self._settings.precision == "int8":
                bundle = calibrate_on_examples(bundle, UNTRAINED_SAMPLES)
        if self._settings.quick and bundle.manifest.input.kind != "hints":
            bundle = without_distribution(bundle, self._folder / f"{name} colours")
        self._bundles[name] = bundle
        return bundle


class Build:
    """`livetint build` of a model into the user's cache, running. A quick run takes plans of an earlier build."""

    def __init__(self, bundle: Bundle, settings: Settings, capability: str) -> None:
        self._earlier = earlier_plans(bundle, capability) if settings.quick else ""
        self._program = None if self._earlier else Program(build_command(bundle, settings))

    def wait(self, limit_s: float, say: Say) -> dict[str, Any]:
        """said: the build's lines. Raises LivetintError with the reason if there are no plans after `limit_s`."""
        if self._program is None:
            return {"said": [self._earlier]}
        ended = self._program.wait(limit_s)
        if not ended.well:
            say(ended.output.strip())
            raise LivetintError(f"livetint build: {ended.reason}")
        return {"said": ended.output.strip().splitlines(), "seconds": round(ended.seconds, 1)}

    def close(self) -> None:
        """End it if it still runs."""
        if self._program is not None:
            self._program.close()


def build_command(bundle: Bundle, settings: Settings) -> list[str]:
    """The command line of a build. Random weights have no accuracy to lose, so a quick build of them is forced."""
    level = settings.optimisation
    if settings.quick and level is None:
        level = QUICK_STAGED_LEVEL if bundle.manifest.input.kind == "hints" else QUICK_LEVEL
    options = [] if level is None else ["--optimisation", str(level)]
    options += ["--all-plans"] if settings.all_plans else []
    options += ["--force"] if settings.quick and not bundle.manifest.trained else []
    return [*BUILD, str(bundle.folder), "--precision", settings.precision, *options]


def without_distribution(bundle: Bundle, folder: Path) -> Bundle:
    """The same model without its distribution, whose plan takes as long to build and is not timed."""
    stages = {stage: file for stage, file in bundle.manifest.stages.items() if stage != "distribution"}
    manifest = msgspec.structs.replace(bundle.manifest, stages=stages, distribution=None)
    return write_bundle(folder, manifest, bundle.files)


def earlier_plans(bundle: Bundle, capability: str) -> str:
    """Which plans of an earlier build serve this bundle on this GPU, in words; "" if there are none."""
    for target in installed_targets():
        with contextlib.suppress(StalePlan, NoDevice):
            _, manifest = find_plans(bundle, target, load_target(target).version, capability)
            return f"{len(manifest.plans)} {manifest.precision} plans of an earlier build"
    return ""
