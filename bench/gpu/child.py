"""Steps of the bench that use the GPU from Python. Each runs in a process of its own (`processes.in_process`)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...build_engine.accuracy_report import Accuracy, answers, compare, example_cases
from ...engine.bundle import Bundle
from ...engine.runners.onnx import OnnxRunner
from ...engine.runners.tensorrt.plan_folder import Plan, PlanManifest, find_plans
from ...engine.runners.tensorrt.runner import TensorRTRunner
from .processes import NOT_DONE, plain, reason_of, say_traceback, write_json
from .timing import WAYS, time_way

# Models with random weights must answer alike, but they have no accuracy to lose: the largest mean |Δab|.
UNTRAINED_AB = 1.0

Given = dict[str, Any]
Found = dict[str, Any]
Save = Callable[[Found], None]


def compare_answers(bundle: Bundle, save: Save = lambda found: None, cases: Sequence[Any] = ()) -> Found:
    """way → the GPU's answers against the CPU's in fp32; and the plans: precision, options, and each plan.

    cases: the bundled photographs if empty.
    """
    cases = cases or example_cases()
    with OnnxRunner(bundle) as runner:
        reference = answers(runner, cases)
    found: Found = {}

    def answer(runner: TensorRTRunner) -> Found:
        manifest = _manifest(bundle, runner)
        found["plans"] = {"precision": manifest.precision, "options": manifest.options,
                          "plans": [_without_names(plan) for plan in manifest.plans]}  # fmt: skip
        return _accuracy(bundle, compare(manifest.precision, cases, reference, answers(runner, cases)))

    _for_each_way(bundle, (0, 0), answer, found, save)
    return found


def time_stages(bundle: Bundle, given: Given, save: Save = lambda found: None) -> Found:
    """The device, and way → the times of `time_way`. given: display, touches, hints."""
    display = tuple(given["display"])
    working = np.full(bundle.manifest.input.working_size, 50, np.float32)
    working += np.random.default_rng(0).normal(0, 15, working.shape).astype(np.float32)
    L = np.random.default_rng(1).uniform(0, 100, display[::-1]).astype(np.float32)
    found: Found = {}

    def measure(runner: TensorRTRunner) -> Found:
        device = runner.device
        found["device"] = {"name": device.name, "compute_capability": device.compute_capability,
                           "integrated": device.integrated, "tensorrt": runner.tensorrt}  # fmt: skip
        by = runner.served_by
        return time_way(runner, np.clip(working, 0, 100), L, given["touches"], tuple(given["hints"]),
                        lambda part: save({by: part}))  # fmt: skip

    _for_each_way(bundle, (display[0], display[1]), measure, found, save)
    return found


def _for_each_way(
    bundle: Bundle, display: tuple[int, int], measure: Callable[[TensorRTRunner], Found], found: Found, save: Save
) -> None:
    """found[way] = measure(a runner that answers so), for all ways that serve the bundle; why not, for others."""
    reasons = {}
    for by in WAYS:
        try:
            with TensorRTRunner(bundle, display, touch_by=by) as runner:
                if runner.served_by == by:
                    found[by] = measure(runner)
        except Exception as error:  # noqa: BLE001 - the other way is still measured
            say_traceback(_print)
            reasons[by] = reason_of(error)
        save(found)
    ways = [by for by in WAYS if by in found]
    if reasons:
        found["left_out"] = reasons
    if not ways:
        found[NOT_DONE] = next(reversed(reasons.values()), "no way serves this model")


def _manifest(bundle: Bundle, runner: TensorRTRunner) -> PlanManifest:
    target, version = runner.tensorrt.rsplit(" ", 1)
    return find_plans(bundle, target, version, runner.device.compute_capability)[1]


def _without_names(plan: Plan) -> Found:
    return {key: value for key, value in msgspec.to_builtins(plan).items() if key not in ("file", "sha256", "key")}


def _accuracy(bundle: Bundle, accuracy: Accuracy) -> Found:
    within = accuracy.within if bundle.manifest.trained else accuracy.mean_ab <= UNTRAINED_AB
    return {**msgspec.to_builtins(accuracy), "within": bool(within), "sentence": accuracy.sentence()}


def _run(given: Given, save: Save) -> Found:
    bundle = Bundle.load(Path(given["bundle"]))
    if given["step"] == "answers":
        return compare_answers(bundle, save)
    return time_stages(bundle, given, save)


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """SPEC.json FOUND.json: run a step; write what is found after every part of it."""
    spec, out = map(Path, sys.argv[1:])
    found: Found = {}

    def save(part: Found) -> None:
        found.update(part)
        write_json(out, found)

    try:
        save(_run(plain(msgspec.json.decode(spec.read_bytes())), save))
    except Exception as error:  # noqa: BLE001 - the bench reports it
        say_traceback(_print)
        save({NOT_DONE: reason_of(error)})
        sys.exit(1)
