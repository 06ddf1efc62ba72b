"""What a precision costs: the same photographs and hints through the fp32 graphs and through the converted ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from ..engine.runners.onnx import OnnxRunner
from ..engine.runners.sessions import session_options
from .half_arithmetic import EmulatedRunner
from .limits import FAULT_AB, FAULT_FACTOR, FAULT_MAP, Limits, limits_of

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
    worst_map, map_error: the encoder's map with the largest error, and that rms error over the map's spread; "" and 0
    for models without maps. limits: what is allowed.
    """

    precision: str
    photographs: int
    max_ab: float
    mean_ab: float
    delta_e: float
    psnr_fp32: float
    psnr: float
    lost_db: float
    worst_map: str
    map_error: float
    limits: Limits

    @property
    def within(self) -> bool:
        return not self.excesses()

    def excesses(self) -> list[str]:
        """What is beyond its limit, in words; empty if nothing is."""
        limits, found = self.limits, []
        if not self.lost_db <= limits.lost_db:
            found.append(f"{self.lost_db:+.3f} dB lost (limit {limits.lost_db})")
        if not self.mean_ab <= limits.mean_ab:
            found.append(f"mean |Δab| is {self.mean_ab:.3f} (limit {limits.mean_ab})")
        if not self.map_error <= limits.map_error:
            found.append(
                f"map {self.worst_map!r} is off by {self.map_error:.3f} of its spread (limit {limits.map_error})"
            )
        return found

    def is_fault(self, expected: Accuracy) -> bool:
        """Whether this is more than rounding can do, so that the back end answers wrongly.

        expected: the same precision in ONNX Runtime. The errors are beyond the limits, beyond half of what the smallest
        planted fault shows, and a multiple of `expected` (limits.py).
        """
        if self.within:
            return False
        by_ab = self.mean_ab > max(FAULT_AB, FAULT_FACTOR * expected.mean_ab)
        return by_ab or self.map_error > max(FAULT_MAP, FAULT_FACTOR * expected.map_error)

    def sentence(self) -> str:
        """One line to show."""
        limits = self.limits
        maps = f"map {self.worst_map!r} off by {self.map_error:.3f} of its spread (limit {limits.map_error}), "
        return (
            f"{self.precision}: {self.lost_db:+.3f} dB lost (limit {limits.lost_db}), "
            f"mean |Δab| {self.mean_ab:.3f} (limit {limits.mean_ab}), {maps if self.worst_map else ''}"
            f"max {self.max_ab:.1f}, ΔE {self.delta_e:.3f}, on {self.photographs} photographs with hints"
        )


@dataclass(frozen=True)
class Answer:
    """What a model gives for a case: ab float32 [2, H, W], and the encoder's maps by name; {} if not asked for."""

    ab: NDArray[np.float32]
    maps: Mapping[str, NDArray[np.float32]]


class StrictRunner(OnnxRunner):
    """ONNX Runtime without graph optimisation, for graphs that are meant for TensorRT.

    The optimiser harms fp16 Q/DQ graphs (ONNX Runtime 1.32: 15 times the error of the same graph without it). Without
    optimisation the arithmetic of the graph itself is measured.
    """

    def _session(self, data: bytes, threads: int, *, spin_on: bool = True) -> ort.InferenceSession:
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


def answers(runner: Runner, cases: Sequence[Case], maps: bool = True) -> list[Answer]:
    """The answer to every case. maps: whether the encoder's maps are wanted too; they take 13 MB for each case."""
    local = runner.bundle.manifest.input.local
    found = []
    for case in cases:
        features = runner.encode(case.L)
        ab = runner.colorize(features, case.hints if local else ())
        found.append(Answer(ab, runner.feature_maps(features) if maps else {}))
    return found


def compare(
    precision: str, cases: Sequence[Case], reference: Sequence[Answer], found: Sequence[Answer], arithmetic: str = ""
) -> Accuracy:
    """The differences of two sets of answers to the same cases. arithmetic: of `limits_of`."""
    differences = [
        np.nan_to_num(np.abs(a.ab - b.ab), nan=np.inf, posinf=np.inf) for a, b in zip(reference, found, strict=True)
    ]
    labs = [[_lab(case, answer.ab) for case, answer in zip(cases, some, strict=True)] for some in (reference, found)]
    scores = [
        float(np.mean([_psnr(case, answer.ab) for case, answer in zip(cases, some, strict=True)]))
        for some in (reference, found)
    ]
    mean_delta_e = float(np.mean([delta_e(a, b).mean() for a, b in zip(*labs, strict=True)]))
    worst, error = max(map_errors(reference, found).items(), key=lambda item: item[1], default=("", 0.0))
    return Accuracy(
        precision=precision,
        photographs=len(cases),
        max_ab=round(float(max(d.max() for d in differences)), 4),
        mean_ab=round(float(np.mean([d.mean() for d in differences])), 5),
        delta_e=round(mean_delta_e, 5),
        psnr_fp32=round(scores[0], 4),
        psnr=round(scores[1], 4),
        lost_db=round(scores[0] - scores[1], 4),
        worst_map=worst,
        map_error=round(error, 5),
        limits=limits_of(precision, arithmetic),
    )


def map_errors(reference: Sequence[Answer], found: Sequence[Answer]) -> dict[str, float]:
    """Map → its rms error over its spread, which is how much the map differs from photograph to photograph.

    The spread is the rms over the map of the standard deviation over the photographs. What is the same for every
    photograph, such as the channels of position in `query`, does not count. {} for fewer than two photographs, or
    without maps.
    """
    errors = {}
    for name in reference[0].maps if len(reference) > 1 else ():
        right = np.stack([answer.maps[name] for answer in reference])
        wrong = np.stack([answer.maps[name] for answer in found])
        spread = float(np.sqrt(right.var(0, ddof=1, dtype=np.float64).mean()))
        error = float(np.sqrt(np.square(wrong - right, dtype=np.float64).mean()))
        errors[name] = error / spread if spread > 0 else float(error > 0)
    return {name: error if np.isfinite(error) else np.inf for name, error in errors.items()}


def reference_answers(
    bundle: Bundle, cases: Sequence[Case], threads: int | None = None, maps: bool = True
) -> list[Answer]:
    """The answers of the bundle's own fp32 graphs."""
    with OnnxRunner(bundle, threads) as runner:
        return answers(runner, cases, maps)


def measure_accuracy(
    reference: Sequence[Answer], converted: Bundle, precision: str, dialect: str, cases: Sequence[Case]
) -> Accuracy:
    """`reference`, the answers in fp32, against `converted` in ONNX Runtime on the CPU."""
    on_cpu = dialect == "onnxruntime"
    with (OnnxRunner if on_cpu else StrictRunner)(converted) as runner:
        found = answers(runner, cases)
    return compare(precision, cases, reference, found, dialect if on_cpu else "")


def measure_emulated(reference: Sequence[Answer], half: Bundle, cases: Sequence[Case]) -> Accuracy:
    """`reference` against `half`, a bundle at fp16 in the dialect "tensorrt", in a GPU's fp16 arithmetic, emulated."""
    with EmulatedRunner(half) as runner:
        found = answers(runner, cases)
    return compare("fp16", cases, reference, found, "emulated")


def _psnr(case: Case, ab: NDArray[np.float32]) -> float:
    """PSNR in dB of the coloured case, at most 100; 0 for ab that is not finite."""
    return min(psnr(compose(case.L, ab), case.rgb), 100.0) if np.isfinite(ab).all() else 0.0


def _lab(case: Case, ab: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([case.L[..., None], ab.transpose(1, 2, 0)], 2)
