"""Prepare a bundle for a back end: choose the precision, check the ranges, convert; and bundles for ONNX Runtime."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..calibration.ranges import Ranges
from ..engine.bundle import Bundle, write_bundle
from ..engine.errors import ModelFileError
from ..engine.models import cache_folder
from ..engine.runners.base import Runner
from ..engine.runners.onnx import OnnxRunner
from .accuracy_report import Accuracy, Case, example_cases
from .apply_precision import apply_precision, check_ranges, ranges_of
from .gate import Gate, Say
from .sensitivity import best_method

TIMED_RUNS = 5


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


def prepare_for_onnxruntime(
    bundle: Bundle, precision: str, ranges: Ranges | None, force: bool, say: Say = lambda line: None
) -> Prepared:
    """Convert for ONNX Runtime and check the accuracy. "auto" is the fastest precision within its limit, timed here."""

    gate = Gate(bundle, force or precision == "auto", say)

    def prepared(wanted: str) -> Prepared:
        converted = bundle_at_precision(bundle, wanted, "onnxruntime", ranges)
        return Prepared(bundle, converted, wanted, gate.check(converted, wanted, "onnxruntime"))

    if precision != "auto":
        return prepared(precision)
    candidates = [prepared("fp32")]
    if ranges or ranges_of(bundle):
        candidates.append(prepared("int8"))
    allowed = [c for c in candidates if c.accuracy.within or not bundle.manifest.trained]
    seconds = shortest_seconds([c.converted for c in allowed], example_cases()[0], OnnxRunner)
    times = {c.precision: shortest for c, shortest in zip(allowed, seconds, strict=True)}
    best = min(allowed, key=lambda c: times[c.precision])
    say(f"auto: {best.precision} (" + ", ".join(f"{name} {s * 1e3:.1f} ms" for name, s in times.items()) + ")")
    return best


def shortest_seconds(bundles: Sequence[Bundle], case: Case, runner: Callable[[Bundle], Runner]) -> list[float]:
    """The shortest of a few runs through the part that a precision changes, for each bundle.

    runner: makes a runner for a bundle. The bundles take turns, so that other load on the machine affects all alike.
    """
    with contextlib.ExitStack() as stack:
        runners = [stack.enter_context(runner(bundle)) for bundle in bundles]
        times = [[_seconds_once(one, case) for one in runners] for _ in range(TIMED_RUNS)]
    return [min(column) for column in zip(*times, strict=True)]


def _seconds_once(runner: Runner, case: Case) -> float:
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
