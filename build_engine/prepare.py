"""From a bundle and a wish to graphs that may be used: precision chosen, ranges checked, accuracy gated."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..calibration.ranges import Ranges
from ..engine.bundle import Bundle, write_bundle
from ..engine.errors import LivetintError, ModelFileError, NoDevice, RunnerError
from ..engine.models import cache_folder
from ..engine.runners.onnx import OnnxRunner
from ..engine.runners.tensorrt.plan_folder import PLANS
from ..engine.runners.tensorrt.runner import TensorRTRunner
from .accuracy_report import Accuracy, Case, answers, compare, example_cases, measure_accuracy, reference_answers
from .apply_precision import apply_precision, check_ranges, ranges_of
from .sensitivity import best_method

TIMED_RUNS = 5

Say = Callable[[str], None]


class AccuracyLost(LivetintError):
    """A narrower precision loses more than its limit."""


@dataclass(frozen=True)
class Prepared:
    """A bundle at a precision with what it costs. `converted` holds the graphs in the back end's dialect."""

    bundle: Bundle
    converted: Bundle
    precision: str
    accuracy: Accuracy


def default_target(installed: Sequence[str]) -> str:
    """The back end of this machine: the first TensorRT target that is installed, else ONNX Runtime."""
    return next(iter(installed), "onnxruntime")


def bundle_at_precision(
    bundle: Bundle, precision: str, dialect: str, ranges: Ranges | None = None, cases: Sequence[Case] | None = None
) -> Bundle:
    """The bundle's graphs at a precision, in a back end's dialect. `ranges`: those of the bundle if None.

    `cases` serve to pick a method where the ranges come without a choice. Raises ConfigError for INT8 without
    ranges that fit.
    """
    ranges = ranges or ranges_of(bundle)
    choice = None
    if precision == "int8" and ranges is not None:
        check_ranges(bundle, ranges)
        choice = ranges.choice or best_method(bundle, ranges, example_cases() if cases is None else cases)
    return apply_precision(bundle, precision, dialect, ranges, choice)


def check_accuracy(prepared: Bundle, bundle: Bundle, precision: str, dialect: str, force: bool, say: Say) -> Prepared:
    """Measure what `prepared` lost against `bundle` and say it.

    Raises AccuracyLost beyond the limit for trained bundles, unless forced.
    """
    result = Prepared(
        bundle, prepared, precision, measure_accuracy(bundle, prepared, precision, dialect, example_cases())
    )
    say(result.accuracy.sentence())
    if bundle.manifest.trained and not result.accuracy.within and not force:
        raise AccuracyLost(
            f"{result.accuracy.sentence()}; use another --precision, calibrate again, or build with --force"
        )
    return result


def check_plans_accuracy(bundle: Bundle, folder: Path, precision: str, force: bool, say: Say) -> Accuracy | None:
    """Run the plans in `folder` on this machine's GPU and measure what they lost; None where no GPU can run them.

    Raises AccuracyLost beyond the limit for trained bundles, unless forced; the plans are then unlisted, so that no
    runner takes them.
    """
    cases = example_cases()
    try:
        with TensorRTRunner(Bundle.load(folder)) as runner:
            found = answers(runner, cases)
    except NoDevice:
        return None
    except RunnerError as error:
        say(f"the plans were not tried on the GPU: {error}")
        return None
    accuracy = compare(precision, cases, reference_answers(bundle, cases), found)
    say(f"on the GPU, {accuracy.sentence()}")
    if bundle.manifest.trained and not accuracy.within and not force:
        (folder / PLANS).unlink(missing_ok=True)
        raise AccuracyLost(f"on the GPU, {accuracy.sentence()}; use another --precision or build with --force")
    return accuracy


def prepare_for_onnxruntime(
    bundle: Bundle, precision: str, ranges: Ranges | None, force: bool, say: Say = lambda line: None
) -> Prepared:
    """Narrow and judge for ONNX Runtime; precision "auto" is the fastest within its limit, measured here."""
    dialect = "onnxruntime"
    if precision != "auto":
        return check_accuracy(
            bundle_at_precision(bundle, precision, dialect, ranges), bundle, precision, dialect, force, say
        )
    candidates = [check_accuracy(bundle_at_precision(bundle, "fp32", dialect), bundle, "fp32", dialect, True, say)]
    if ranges or ranges_of(bundle):
        converted = bundle_at_precision(bundle, "int8", dialect, ranges)
        candidates.append(check_accuracy(converted, bundle, "int8", dialect, True, say))
    allowed = [c for c in candidates if c.accuracy.within or not bundle.manifest.trained]
    seconds = _encode_seconds([c.converted for c in allowed], example_cases()[0])
    times = {c.precision: least for c, least in zip(allowed, seconds, strict=True)}
    best = min(allowed, key=lambda c: times[c.precision])
    say(f"auto: {best.precision} (" + ", ".join(f"{name} {s * 1e3:.1f} ms" for name, s in times.items()) + ")")
    return best


def _encode_seconds(bundles: Sequence[Bundle], case: Case) -> list[float]:
    """The least time of a few runs through the part that a precision changes; the bundles take turns, so that a
    machine that gets busy meanwhile is unfair to none."""
    with contextlib.ExitStack() as stack:
        runners = [stack.enter_context(OnnxRunner(bundle)) for bundle in bundles]
        times = [[_seconds_once(runner, case) for runner in runners] for _ in range(TIMED_RUNS)]
    return [min(column) for column in zip(*times, strict=True)]


def _seconds_once(runner: OnnxRunner, case: Case) -> float:
    start = time.perf_counter()
    features = runner.encode(case.L)
    if runner.bundle.manifest.input.kind != "hints":
        runner.colorize(features, ())
    return time.perf_counter() - start


def onnxruntime_folder(bundle: Bundle, precision: str) -> Path:
    """Where a bundle for ONNX Runtime goes without -o: among the user's models, found as NAME-PRECISION."""
    return cache_folder() / f"{bundle.name}-{precision}"


def write_onnxruntime(folder: Path, bundle: Bundle, prepared: Prepared) -> Bundle:
    """The converted graphs as a bundle of their own: `--model` takes it, by folder or by name."""
    if folder.resolve() == bundle.folder.resolve():
        raise ModelFileError(f"{folder} is the bundle itself; name another folder with -o")
    name = f"{bundle.name}-{prepared.precision}"
    manifest = msgspec.structs.replace(prepared.converted.manifest, name=name)
    return write_bundle(folder, manifest, prepared.converted.files)
