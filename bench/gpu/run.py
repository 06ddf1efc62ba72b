"""Everything that is measured on a GPU, in one run.

The kernels against their references and under compute-sanitizer, plans built, answers compared with OnnxRunner, every
stage timed by CUDA events with and without its graph, and PyTorch where it is installed. A step that cannot run
leaves its reason in the result.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...build_engine.accuracy_report import Case, answers, compare, example_cases
from ...build_engine.planes_bundle import write_untrained
from ...engine.bundle import Bundle
from ...engine.errors import LivetintError, ModelFileError
from ...engine.models import find_model
from ...engine.runners.onnx import OnnxRunner
from ...engine.runners.tensorrt.device import Device
from ...engine.runners.tensorrt.plan_folder import StalePlan
from ...engine.runners.tensorrt.runner import TensorRTRunner
from ..environment import machine, model_table, versions
from ..measure import Result
from .kernel_lab import check_kernels
from .pytorch import time_torch
from .timing import time_touch

SCHEMA = 1
MODELS = ("touch", "siggraph17")
# Models with random weights must answer alike, but they have no accuracy to lose: the largest mean |Δab|.
UNTRAINED_AB = 1.0
# What can answer a touch; the kernels only where they know the model's form.
WAYS = ("plan", "kernels")
BUILD = (sys.executable, "-c", "from livetint.cli.__main__ import main; main()", "build")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What is asked of a run.

    models: names or folders. precision: of the plans. touches: samples of every stage. hints: in a timed touch.
    display: width and height of composed pictures. kernels: whether the kernel lab runs, which takes minutes.
    """

    models: tuple[str, ...] = MODELS
    precision: str = "fp16"
    touches: int = 1000
    hints: int = 16
    display: tuple[int, int] = (1920, 1080)
    kernels: bool = True


def measure_gpu(settings: Settings, say: Say) -> Result:
    """Check and time everything on the first GPU; `say` gets a line about each step. Raises NoDevice without a GPU."""
    Device().close()
    result: Result = {
        "schema": SCHEMA, "kind": "gpu", "machine": machine(), "versions": versions(),
        "display": list(settings.display), "touches": settings.touches, "hints": settings.hints,
        "precision": settings.precision, "models": {},
    }  # fmt: skip
    result["kernels"] = check_kernels(say) if settings.kernels else {"status": "skipped"}
    with tempfile.TemporaryDirectory() as folder:
        for name in settings.models:
            say(f"{name}:")
            result["models"][name] = _model(_bundle(name, Path(folder), say), settings, say)
    return result | {"wrong": wrong_in(result)}


def _model(bundle: Bundle, settings: Settings, say: Say) -> dict[str, Any]:
    """Everything about one model. A step that cannot be done holds its reason."""
    cases = example_cases()
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "build": lambda: _build(bundle, settings.precision),
        "answers": lambda: compare_answers(bundle, settings.precision, cases, say),
        "stages": lambda: _time(bundle, cases, settings),
        "torch": lambda: time_torch(bundle, settings.touches, settings.hints),
    }
    return {"model": model_table(bundle)} | {name: _attempt(step, say) for name, step in steps.items()}


def _bundle(name: str, folder: Path, say: Say) -> Bundle:
    """A model by name. One of the paper's networks gets random weights where others were not fetched."""
    try:
        return find_model(name)
    except ModelFileError:
        if name not in MODELS:
            raise
        say(f"  there is no {name} here; it gets random weights: its cost is right, its colours mean nothing")
        return write_untrained(folder / name, name)


def _build(bundle: Bundle, precision: str) -> dict[str, Any]:
    started = time.perf_counter()
    command = [*BUILD, str(bundle.folder), "--precision", precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelFileError(f"livetint build failed: {done.stderr.strip().rpartition(chr(10))[2]}")
    return {"seconds": round(time.perf_counter() - started, 2), "said": done.stdout.strip().splitlines()}


def compare_answers(bundle: Bundle, precision: str, cases: Sequence[Case], say: Say) -> dict[str, Any]:
    """The GPU's answers against the CPU's in fp32, for each way that can answer a touch."""
    with OnnxRunner(bundle) as runner:
        reference = answers(runner, cases)
    found: dict[str, Any] = {}
    for by in WAYS:
        try:
            runner = TensorRTRunner(bundle, touch_by=by)
        except (ModelFileError, StalePlan) as error:
            say(f"  {error}")
            continue
        with runner:
            if runner.served_by != by:
                continue
            accuracy = compare(precision, cases, reference, answers(runner, cases))
        within = accuracy.within if bundle.manifest.trained else accuracy.mean_ab <= UNTRAINED_AB
        found[by] = {"lost_db": accuracy.lost_db, "mean_ab": accuracy.mean_ab, "max_ab": accuracy.max_ab,
                     "within": within}  # fmt: skip
    return found


def _time(bundle: Bundle, cases: Sequence[Case], settings: Settings) -> dict[str, Any]:
    with TensorRTRunner(bundle, display=settings.display) as runner:
        L = np.random.default_rng(0).uniform(0, 100, settings.display[::-1]).astype(np.float32)
        return {
            "card": runner.device.name,
            "compute_capability": runner.device.compute_capability,
            "integrated": runner.device.integrated,
            "tensorrt": runner.tensorrt,
            "served_by": runner.served_by,
            **time_touch(runner, cases[0].L, L, settings.touches, settings.hints),
        }


def _attempt(step: Callable[[], dict[str, Any]], say: Say) -> dict[str, Any]:
    """A step's result, or why there is none."""
    try:
        return step()
    except LivetintError as error:
        say(f"  not done: {error}")
        return {"not_done": str(error)}


def wrong_in(result: Result) -> list[str]:
    """What answered wrongly, in words; empty when all that could be checked is right."""
    wrong = [f"kernels: {step}" for step, found in result["kernels"].items() if found == "failed"]
    for name, model in result["models"].items():
        for by, found in model["answers"].items():
            if by != "not_done" and not found["within"]:
                wrong.append(f"{name} by {by}: mean |Δab| {found['mean_ab']:.3f}, {found['lost_db']:+.3f} dB lost")
    return wrong


def as_lines(result: Result) -> str:
    """For the terminal."""
    lines = [f"kernels   {', '.join(f'{step} {found}' for step, found in result['kernels'].items() if step != 'said')}"]
    for name, model in result["models"].items():
        lines.append(f"\n{name} ({model['model']['version']}), {result['precision']}, {result['hints']} hints")
        lines += _model_lines(model)
    return "\n".join(lines + [f"WRONG  {line}" for line in result["wrong"]])


def _model_lines(model: dict[str, Any]) -> list[str]:
    stages, torch = model["stages"], model["torch"]
    lines = [f"  not timed: {stages['not_done']}"] if "not_done" in stages else []
    for by, found in model["answers"].items():
        if by != "not_done":
            lines.append(f"  answers of the {by}: {found['lost_db']:+.3f} dB, mean |Δab| {found['mean_ab']:.3f}")
    if "events" in stages:
        lines.append(f"  {stages['card']} ({stages['compute_capability']}), {stages['tensorrt']}, "
                     f"touches served by the {stages['served_by']}")  # fmt: skip
        lines.append(f"  {'stage, median ms':<34}{'direct':>10}{'graph':>10}")
        lines += [_row(stage, found) for stage, found in stages["events"].items()]
        lines += [_row(f"{stage} (host clock)", {"graph": found}) for stage, found in stages["host"].items()]
    lines += [_row(f"PyTorch: {stage}", found) for stage, found in torch.get("events", {}).items()]
    return lines + ([f"  PyTorch not timed: {torch['not_done']}"] if "not_done" in torch else [])


def _row(stage: str, found: dict[str, Any]) -> str:
    times = [f"{found[kind]['p50']:>10.4f}" if kind in found else f"{'':>10}" for kind in ("direct", "graph")]
    return f"  {stage:<34}{''.join(times)}"
