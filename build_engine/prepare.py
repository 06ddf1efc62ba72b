"""Prepare a bundle for a back end: choose the precision, check the ranges, convert, and limit the loss of accuracy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
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
    """A precision loses more accuracy than its limit allows."""


@dataclass(frozen=True)
class Prepared:
    """A bundle, the same bundle converted to a precision in the dialect of a back end, and what that costs."""

    bundle: Bundle
    converted: Bundle
    precision: str
    accuracy: Accuracy


def default_target(installed: Sequence[str]) -> str:
    """The back end of this machine: the first TensorRT target that is installed, else ONNX Runtime."""
    return next(iter(installed), "onnxruntime")


def bundle_at_precision(
    bundle: Bundle,
    precision: str,
    dialect: str,
    ranges: Ranges | None = None,
    cases: Sequence[Case] | None = None,
    keep_fp32: Collection[str] = (),
) -> Bundle:
    """The bundle converted to a precision, in the dialect of a back end.

    ranges: None for those of the bundle. cases: to choose a method if the ranges come without a choice; None for the
    bundled photographs. keep_fp32: names of nodes of `folded_stages(bundle, dialect)` that stay in fp32. Raises
    ConfigError for INT8 without ranges of this bundle.
    """
    ranges = ranges or ranges_of(bundle)
    choice = None
    if precision == "int8" and ranges is not None:
        check_ranges(bundle, ranges)
        choice = ranges.choice or best_method(bundle, ranges, example_cases() if cases is None else cases)
    return apply_precision(bundle, precision, dialect, ranges, choice, keep_fp32=keep_fp32)


def check_accuracy(converted: Bundle, bundle: Bundle, precision: str, dialect: str, force: bool, say: Say) -> Prepared:
    """Measure what `converted` loses against `bundle` and report it through say(line).

    Raises AccuracyLost if a trained bundle loses more than the limit, unless `force` is set.
    """
    accuracy = measure_accuracy(bundle, converted, precision, dialect, example_cases())
    say(accuracy.sentence())
    if bundle.manifest.trained and not accuracy.within and not force:
        raise AccuracyLost(f"{accuracy.sentence()}; use another --precision, calibrate again, or build with --force")
    return Prepared(bundle, converted, precision, accuracy)


def check_plans_accuracy(bundle: Bundle, folder: Path, precision: str, force: bool, say: Say) -> Accuracy | None:
    """Run the plans in `folder` on this machine's GPU and measure what they lose; None if no GPU can run them.

    Raises AccuracyLost if a trained bundle loses more than the limit, unless `force` is set. The list of plans is
    then removed, so that no runner loads them.
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
    """Convert for ONNX Runtime and check the accuracy. "auto" is the fastest precision within its limit, timed here."""
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
    times = {c.precision: shortest for c, shortest in zip(allowed, seconds, strict=True)}
    best = min(allowed, key=lambda c: times[c.precision])
    say(f"auto: {best.precision} (" + ", ".join(f"{name} {s * 1e3:.1f} ms" for name, s in times.items()) + ")")
    return best


def _encode_seconds(bundles: Sequence[Bundle], case: Case) -> list[float]:
    """The shortest of a few runs through the part that a precision changes, for each bundle.

    The bundles take turns, so that other load on the machine affects all of them alike.
    """
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
    """Where a bundle for ONNX Runtime is written without -o: among the user's models, as NAME-PRECISION."""
    return cache_folder() / f"{bundle.name}-{precision}"


def write_onnxruntime(folder: Path, bundle: Bundle, prepared: Prepared) -> Bundle:
    """Write the converted graphs as a bundle, which `--model` takes by folder or by name.

    Raises ModelFileError if `folder` is that of `bundle` itself.
    """
    if folder.resolve() == bundle.folder.resolve():
        raise ModelFileError(f"{folder} is the bundle itself; name another folder with -o")
    name = f"{bundle.name}-{prepared.precision}"
    manifest = msgspec.structs.replace(prepared.converted.manifest, name=name)
    return write_bundle(folder, manifest, prepared.converted.files)
