"""What a precision costs: the same photographs and hints through the fp32 graphs and through the converted ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..calibration.photographs import lab_of
from ..calibration.samples import squares
from ..calibration.visitor import gaussian_patches, reveal
from ..engine.bundle import Bundle
from ..engine.colour.metrics import delta_e, psnr
from ..engine.hints import Hint
from ..engine.image.compose import compose
from ..engine.runners.base import Runner
from ..engine.runners.onnx import OnnxRunner, session_options

# The most dB of PSNR that a precision may lose against fp32 on photographs with hints.
LIMITS_DB = {"fp32": 0.01, "fp16": 0.05, "int8": 0.3}
DEFAULT_HINTS = 10
# A photograph with a smaller mean chroma is grey and shows nothing of lost colour.
GREY_CHROMA = 4.0


@dataclass(frozen=True)
class Case:
    """A photograph with hints: rgb uint8 [H, W, 3], L float32 [H, W] in 0…100, hints in its true colours."""

    rgb: NDArray[np.uint8]
    L: NDArray[np.float32]
    hints: list[Hint]


class Accuracy(msgspec.Struct, frozen=True):
    """What a precision costs on photographs with hints.

    max_ab, mean_ab: |Δab| in CIELAB units. delta_e: mean CIE76. lost_db: mean PSNR of fp32 minus that of `precision`.
    """

    precision: str
    photographs: int
    max_ab: float
    mean_ab: float
    delta_e: float
    psnr_fp32: float
    psnr: float
    lost_db: float
    limit_db: float

    @property
    def within(self) -> bool:
        return self.lost_db <= self.limit_db

    def sentence(self) -> str:
        """One line to show."""
        return (
            f"{self.precision}: {self.lost_db:+.3f} dB lost (limit {self.limit_db}), mean |Δab| {self.mean_ab:.3f}, "
            f"max {self.max_ab:.1f}, ΔE {self.delta_e:.3f}, on {self.photographs} photographs with hints"
        )


class StrictRunner(OnnxRunner):
    """ONNX Runtime without graph optimisation, for graphs that are meant for TensorRT.

    The optimiser harms fp16 Q/DQ graphs (ONNX Runtime 1.32: 15 times the error of the same graph without it). Without
    optimisation the arithmetic of the graph itself is measured.
    """

    def _session(self, data: bytes, threads: int) -> ort.InferenceSession:
        options = session_options(threads, self.spin)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def example_photographs() -> Path:
    """The photographs that come with Livetint."""
    return Path(__file__).resolve().parent.parent / "photos"


def cases_of(photographs: Iterable[NDArray[np.uint8]], number: int = DEFAULT_HINTS, seed: int = 1) -> list[Case]:
    """A case for each colour photograph uint8 [H, W, 3], with `number` hints; grey photographs are left out."""
    rng = np.random.default_rng(seed)
    cases = []
    for rgb in photographs:
        lab = lab_of(rgb)
        ab = np.ascontiguousarray(lab[..., 1:].transpose(2, 0, 1))
        hints = reveal(ab, gaussian_patches(rng, number))
        if np.hypot(*ab).mean() >= GREY_CHROMA:
            cases.append(Case(rgb, np.ascontiguousarray(lab[..., 0]), hints))
    return cases


def example_cases() -> list[Case]:
    """The bundled colour photographs with hints. Every build is tried on them."""
    return cases_of(squares(example_photographs()))


def answers(runner: Runner, cases: Sequence[Case]) -> list[NDArray[np.float32]]:
    """ab float32 [2, H, W] of every case."""
    local = runner.bundle.manifest.input.local
    return [runner.colorize(runner.encode(case.L), case.hints if local else ()) for case in cases]


def compare(
    precision: str,
    cases: Sequence[Case],
    reference: Sequence[NDArray[np.float32]],
    found: Sequence[NDArray[np.float32]],
) -> Accuracy:
    """The differences of two sets of answers, ab float32 [2, H, W], to the same cases."""
    differences = [np.abs(a - b) for a, b in zip(reference, found, strict=True)]
    labs = [[_lab(case, ab) for case, ab in zip(cases, some, strict=True)] for some in (reference, found)]
    scores = [
        float(np.mean([min(psnr(compose(case.L, ab), case.rgb), 100.0) for case, ab in zip(cases, some, strict=True)]))
        for some in (reference, found)
    ]
    mean_delta_e = float(np.mean([delta_e(a, b).mean() for a, b in zip(*labs, strict=True)]))
    return Accuracy(
        precision=precision,
        photographs=len(cases),
        max_ab=round(float(max(d.max() for d in differences)), 4),
        mean_ab=round(float(np.mean([d.mean() for d in differences])), 5),
        delta_e=round(mean_delta_e, 5),
        psnr_fp32=round(scores[0], 4),
        psnr=round(scores[1], 4),
        lost_db=round(scores[0] - scores[1], 4),
        limit_db=LIMITS_DB[precision],
    )


def reference_answers(bundle: Bundle, cases: Sequence[Case], threads: int | None = None) -> list[NDArray[np.float32]]:
    """The answers of the bundle's own fp32 graphs."""
    with OnnxRunner(bundle, threads) as runner:
        return answers(runner, cases)


def measure_accuracy(
    bundle: Bundle, converted: Bundle, precision: str, dialect: str, cases: Sequence[Case], threads: int | None = None
) -> Accuracy:
    """fp32 against `converted` on `cases`, both in ONNX Runtime on the CPU."""
    kind = OnnxRunner if dialect == "onnxruntime" else StrictRunner
    with kind(converted, threads) as runner:
        found = answers(runner, cases)
    return compare(precision, cases, reference_answers(bundle, cases, threads), found)


def _lab(case: Case, ab: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([case.L[..., None], ab.transpose(1, 2, 0)], 2)
