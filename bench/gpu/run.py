"""Everything that is measured on a GPU, in one run: plans built, answers compared with the CPU's, every stage timed,
the kernels checked, and PyTorch beside them.

Each step runs in a process of its own, with a time limit. The result is saved after every step; a step that fails
leaves its reason and the next one runs. The steps of most worth come first.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...build_engine.planes_bundle import write_untrained
from ...build_engine.sensitivity import calibrate_on_examples
from ...engine.bundle import Bundle
from ...engine.errors import LivetintError, ModelFileError, NoDevice
from ...engine.models import find_model
from ...engine.runners.tensorrt.device import Device
from ...engine.runners.tensorrt.plan_folder import StalePlan, find_plans
from ...engine.runners.tensorrt.versions import installed_targets, load_target
from ..environment import machine, model_table, versions
from ..measure import Result
from .findings import aims_of, warnings_of, wrong_in
from .kernel_lab import KernelLab, LabLimits
from .processes import NOT_DONE, Say, attempt, in_process, run_limited
from .torch_process import time_torch

SCHEMA = 2
MODELS = ("touch", "siggraph17")
BUILD = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "build")
QUICK_S = 225.0
QUICK_TOUCHES, QUICK_OPTIMISATION = 200, 1
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
    build_options: for `livetint build`. torch_python: an interpreter with PyTorch, None for this one. quick: all in
    four minutes, without compute-sanitizer. note: words for the report, such as the commit.
    """

    models: tuple[str, ...] = MODELS
    precision: str = "auto"
    touches: int = 1000
    hints: tuple[int, ...] = (1, 16, 64, 128)
    display: tuple[int, int] = (1920, 1080)
    kernels: bool = True
    lab: Path | None = None
    build: bool = True
    build_options: tuple[str, ...] = ()
    torch_python: str | None = None
    quick: bool = False
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
    # Kept free by the builds of all models but the first, for what comes after them.
    reserve_s: float = 0


QUICK_LIMITS = Limits(
    build_s=120, answers_s=30, stages_s=40, torch_s=60, lab=LabLimits(compile_s=45, lab_s=60, tool_s=0), reserve_s=45
)


def quick(settings: Settings) -> Settings:
    """The settings of a quick run: fewer touches, and a low optimisation level unless another is asked for."""
    options = settings.build_options
    if "--optimisation" not in options:
        options = (*options, "--optimisation", str(QUICK_OPTIMISATION))
    return replace(settings, quick=True, touches=min(settings.touches, QUICK_TOUCHES), build_options=options)


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
        "note": settings.note, "build_options": list(settings.build_options), "models": {}, "kernels": {}, "torch": {},
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

    def all(self) -> None:
        lab = KernelLab(self._folder, self._capability, self._settings.lab) if self._settings.kernels else None
        try:
            for index, name in enumerate(self._settings.models):
                self._model(name, self._limits.reserve_s if index else 0)
                if index == 0:
                    self._kernels(lab)
            self._torch()
        finally:
            if lab is not None:
                lab.close()

    def note(self) -> None:
        """Draw the conclusions from what there is, and save it."""
        self.result["seconds"] = round(time.perf_counter() - self._started, 1)
        for key, conclude in (("warnings", warnings_of), ("aims", aims_of), ("wrong", wrong_in)):
            self.result[key] = conclude(self.result)
        self._save(self.result)

    def _model(self, name: str, reserve_s: float) -> None:
        self._say(f"{name}:")
        found: dict[str, Any] = {}
        self.result["models"][name] = found
        opened = attempt(name, lambda: {"model": model_table(self._bundle(name))}, self._say)
        found |= {key: value for key, value in opened.items() if key != "seconds"}
        if NOT_DONE in opened:
            self.note()
            return
        bundle, limits, settings = self._bundles[name], self._limits, self._settings
        given = {"bundle": str(bundle.folder), "display": settings.display, "touches": settings.touches,
                 "hints": settings.hints}  # fmt: skip
        if settings.build:
            build = functools.partial(build_plans, bundle, settings, self._capability, say=self._say)
            self._step(found, "build", limits.build_s, build, reserve_s)
        self._step(found, "answers", limits.answers_s, lambda s: in_process("answers", given, s, self._say))
        self._step(found, "stages", limits.stages_s, lambda s: in_process("stages", given, s, self._say))

    def _kernels(self, lab: KernelLab | None) -> None:
        if lab is None:
            self.result["kernels"] = {NOT_DONE: "left out"}
            return
        limits = self._limits.lab
        self._step(self.result, "kernels", math.inf, lambda left_s: lab.check(limits.within(left_s), self._say))

    def _torch(self) -> None:
        settings = self._settings

        def work(limit_s: float) -> dict[str, Any]:
            return time_torch(
                self._bundles, settings.touches, settings.main_hints, limit_s, self._say, settings.torch_python
            )

        self._step(self.result, "torch", self._limits.torch_s, work)

    def _step(
        self, found: dict[str, Any], name: str, limit_s: float, work: Callable[[float], dict[str, Any]],
        reserve_s: float = 0,
    ) -> None:  # fmt: skip
        """found[name] = work(the seconds that it may take), unless too little time is left; then save the result."""
        left_s = QUICK_S - (time.perf_counter() - self._started) - reserve_s if self._settings.quick else limit_s
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
        self._bundles[name] = bundle
        return bundle


def build_plans(bundle: Bundle, settings: Settings, capability: str, limit_s: float, say: Say) -> dict[str, Any]:
    """Build a model's plans in the user's cache. said: the build's lines.

    A quick run takes plans of an earlier build with any options.
    """
    earlier = earlier_plans(bundle, capability) if settings.quick else ""
    if earlier:
        return {"said": [earlier]}
    command = [*BUILD, str(bundle.folder), "--precision", settings.precision, *settings.build_options]
    ended = run_limited(command, limit_s)
    if not ended.well:
        say(ended.output.strip())
        raise LivetintError(f"livetint build: {ended.reason}")
    return {"said": ended.output.strip().splitlines()}


def earlier_plans(bundle: Bundle, capability: str) -> str:
    """Which plans of an earlier build serve this bundle on this GPU, in words; "" if there are none."""
    for target in installed_targets():
        with contextlib.suppress(StalePlan, NoDevice):
            _, manifest = find_plans(bundle, target, load_target(target).version, capability)
            return f"{len(manifest.plans)} {manifest.precision} plans of an earlier build"
    return ""
