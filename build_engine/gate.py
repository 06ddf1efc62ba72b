"""The gate: a precision that loses too much accuracy, or answers wrongly, is refused, by the CPU or by the GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..engine.bundle import Bundle
from ..engine.errors import LivetintError, NoDevice, RunnerError
from ..engine.runners.base import Runner
from ..engine.runners.onnx import OnnxRunner
from ..engine.runners.tensorrt.runner import TensorRTRunner
from .accuracy_report import (
    Accuracy,
    Answer,
    Case,
    answers,
    compare,
    example_cases,
    measure_accuracy,
    measure_emulated,
    reference_answers,
)
from .apply_precision import apply_precision
from .distribution_check import LIMITS, distributions, total_variation

Say = Callable[[str], None]
# Photographs whose distributions are compared.
DISTRIBUTION_CASES = 2


class Refused(LivetintError):
    """A precision did not pass the gate. reason: why, without the advice that ends the message."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


class AccuracyLost(Refused):
    """A precision loses more accuracy than its limits allow."""


class WrongAnswers(Refused):
    """A back end gives answers that no rounding explains."""


class WrongDistribution(WrongAnswers):
    """A back end gives distributions of colours that no rounding explains."""


@dataclass(frozen=True)
class Gate:
    """The gate for the precisions of one bundle. It measures on the example photographs and reports to say(line).

    force: nothing is refused. Bundles that are not trained are never refused: they have no accuracy to lose.
    """

    bundle: Bundle
    force: bool
    say: Say

    @functools.cached_property
    def _cases(self) -> list[Case]:
        return example_cases()

    @functools.cached_property
    def _reference(self) -> list[Answer]:
        return reference_answers(self.bundle, self._cases)

    @functools.cached_property
    def _distributions(self) -> NDArray[np.float32]:
        with OnnxRunner(self.bundle) as runner:
            return distributions(runner, self._cases[:DISTRIBUTION_CASES])

    def check(self, converted: Bundle, precision: str, dialect: str) -> Accuracy:
        """Measure in ONNX Runtime what `converted` loses. Raises AccuracyLost beyond the limits."""
        accuracy = measure_accuracy(self._reference, converted, precision, dialect, self._cases)
        self.say(accuracy.sentence())
        if not self._passes(accuracy):
            raise AccuracyLost(_too_much(accuracy), "use another --precision, calibrate again, or build with --force")
        return accuracy

    def check_plans(self, folder: Path, expected: Accuracy) -> Accuracy | None:
        """Run the plans in `folder` on this machine's GPU and measure what they lose; None if no GPU can run them.

        expected: the same precision in ONNX Runtime. Raises beyond the limits: WrongAnswers if no rounding explains the
        difference (Accuracy.is_fault), WrongDistribution if that is in the distributions of `touch` alone, else
        AccuracyLost.
        """
        try:
            with TensorRTRunner(Bundle.load(folder)) as runner:
                found = answers(runner, self._cases)
                apart = self._distributions_apart(runner)
        except NoDevice:
            return None
        except RunnerError as error:
            self.say(f"the plans were not tried on the GPU: {error}")
            return None
        accuracy = compare(expected.precision, self._cases, self._reference, found)
        self.say(f"on the GPU, {accuracy.sentence()}")
        if self._passes(accuracy):
            self._check_distributions(apart, expected.precision)
            return accuracy
        if accuracy.is_fault(expected):
            raise WrongAnswers(
                f"TensorRT answers wrongly: {', '.join(accuracy.excesses())}, where {expected.precision} in ONNX "
                f"Runtime has mean |Δab| {expected.mean_ab:.3f}",
                f"run `livetint build {self.bundle.name} --compare-layers`, or build with --force",
            )
        raise AccuracyLost(f"on the GPU, {_too_much(accuracy)}", "use another --precision or build with --force")

    def _distributions_apart(self, runner: Runner) -> float:
        """The total variation of a runner's distributions; 0 for the paper's networks, which have no known limit."""
        manifest = self.bundle.manifest
        if manifest.input.kind != "hints" or manifest.distribution is None:
            return 0.0
        return total_variation(distributions(runner, self._cases[:DISTRIBUTION_CASES]), self._distributions)

    def _check_distributions(self, apart: float, precision: str) -> None:
        limit = LIMITS[precision]
        if apart > limit and not self._lenient:
            raise WrongDistribution(
                f"TensorRT answers wrongly: distributions of colours differ by {apart:.4f} (limit {limit})",
                "build with --force",
            )

    def check_emulated(self, keep_fp32: Collection[str] = ()) -> Accuracy:
        """Measure what a GPU's fp16 arithmetic loses (half_arithmetic.py), where no GPU can run plans.

        keep_fp32: of `apply_precision`. Raises AccuracyLost beyond the limits.
        """
        half = apply_precision(self.bundle, "fp16", "tensorrt", keep_fp32=keep_fp32)
        accuracy = measure_emulated(self._reference, half, self._cases)
        self.say(f"in emulated {accuracy.sentence()}")
        if not self._passes(accuracy):
            raise AccuracyLost(f"in a GPU's arithmetic, emulated, {_too_much(accuracy)}", "use fp32 or --force")
        return accuracy

    def _passes(self, accuracy: Accuracy) -> bool:
        return accuracy.within or self._lenient

    @property
    def _lenient(self) -> bool:
        return self.force or not self.bundle.manifest.trained


def check_new_bundle(bundle: Bundle, say: Say) -> None:
    """The gate for a bundle that was just written: it must stand a GPU's fp16 arithmetic.

    For bundles with an encoder (`touch`: six seconds). The paper's networks would take minutes; they are checked when
    their plans are built. Raises AccuracyLost.
    """
    if bundle.manifest.input.kind != "hints":
        return
    try:
        Gate(bundle, force=False, say=say).check_emulated()
    except AccuracyLost as error:
        raise AccuracyLost(
            error.reason, f"{bundle.folder} was written, but GPUs will need more than fp16: train or adjust it further"
        ) from error


def _too_much(accuracy: Accuracy) -> str:
    return f"{accuracy.precision} loses too much: {', '.join(accuracy.excesses())}"
