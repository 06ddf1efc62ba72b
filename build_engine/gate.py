"""The gate: a precision that loses too much accuracy, or answers wrongly, is refused, by the CPU or by the GPU."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from ..engine.bundle import Bundle
from ..engine.errors import LivetintError, NoDevice, RunnerError
from ..engine.runners.tensorrt.runner import TensorRTRunner
from .accuracy_report import (
    Accuracy,
    answers,
    compare,
    example_cases,
    measure_accuracy,
    measure_emulated,
    reference_answers,
)
from .apply_precision import apply_precision

Say = Callable[[str], None]


class Refused(LivetintError):
    """A precision did not pass the gate. reason: why, without the advice that ends the message."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


class AccuracyLost(Refused):
    """A precision loses more accuracy than its limits allow."""


class WrongAnswers(Refused):
    """A back end gives answers that no rounding explains."""


def check_accuracy(converted: Bundle, bundle: Bundle, precision: str, dialect: str, force: bool, say: Say) -> Accuracy:
    """Measure in ONNX Runtime what `converted` loses against `bundle`, and report it through say(line).

    Raises AccuracyLost if a trained bundle loses more than the limits, unless `force` is set.
    """
    accuracy = measure_accuracy(bundle, converted, precision, dialect, example_cases())
    say(accuracy.sentence())
    if not (accuracy.within or force) and bundle.manifest.trained:
        raise AccuracyLost(_too_much(accuracy), "use another --precision, calibrate again, or build with --force")
    return accuracy


def check_plans_accuracy(bundle: Bundle, folder: Path, expected: Accuracy, force: bool, say: Say) -> Accuracy | None:
    """Run the plans in `folder` on this machine's GPU and measure what they lose; None if no GPU can run them.

    expected: the same precision in ONNX Runtime. Raises, for a trained bundle beyond the limits and unless `force` is
    set: WrongAnswers if no rounding explains the difference (Accuracy.is_fault), else AccuracyLost.
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
    accuracy = compare(expected.precision, cases, reference_answers(bundle, cases), found)
    say(f"on the GPU, {accuracy.sentence()}")
    if accuracy.within or force or not bundle.manifest.trained:
        return accuracy
    if accuracy.is_fault(expected):
        raise WrongAnswers(
            f"TensorRT answers wrongly: {', '.join(accuracy.excesses())}, where {expected.precision} in ONNX Runtime "
            f"has mean |Δab| {expected.mean_ab:.3f}",
            f"run `livetint build {bundle.name} --compare-layers`, or build with --force",
        )
    raise AccuracyLost(f"on the GPU, {_too_much(accuracy)}", "use another --precision or build with --force")


def check_emulated(bundle: Bundle, force: bool, say: Say, keep_fp32: Collection[str] = ()) -> Accuracy:
    """Measure what a GPU's fp16 arithmetic loses (half_arithmetic.py): the gate where no GPU runs plans, and for new
    bundles.

    keep_fp32: of `apply_precision`. Raises AccuracyLost if a trained bundle loses more than the limits, unless `force`
    is set.
    """
    half = apply_precision(bundle, "fp16", "tensorrt", keep_fp32=keep_fp32)
    accuracy = measure_emulated(bundle, half, example_cases())
    say(f"in emulated {accuracy.sentence()}")
    if not (accuracy.within or force) and bundle.manifest.trained:
        raise AccuracyLost(f"in a GPU's arithmetic, emulated, {_too_much(accuracy)}", "use fp32 or --force")
    return accuracy


def check_new_bundle(bundle: Bundle, say: Say) -> None:
    """The gate for a bundle that was just written: it must stand a GPU's fp16 arithmetic.

    For bundles with an encoder (`touch`: six seconds). The paper's networks would take minutes; they are checked when
    their plans are built. Raises AccuracyLost.
    """
    if bundle.manifest.input.kind != "hints":
        return
    try:
        check_emulated(bundle, force=False, say=say)
    except AccuracyLost as error:
        raise AccuracyLost(
            error.reason, f"{bundle.folder} was written, but GPUs will need more than fp16: train or adjust it further"
        ) from error


def _too_much(accuracy: Accuracy) -> str:
    return f"{accuracy.precision} loses too much: {', '.join(accuracy.excesses())}"
