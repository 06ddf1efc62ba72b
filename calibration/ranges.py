"""Activation ranges for INT8: histograms of every tensor over many photographs, in constant memory.

Each tensor has one signed histogram. Its span doubles when a larger value arrives: neighbouring bins are added, so
only resolution is lost. A range is read from it by one of three methods: min-max, a percentile, or the clipping value
that loses the least information (Kullback-Leibler, as Migacz 2017 describes it for TensorRT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from ..engine.errors import ConfigError
from ..engine.files import atomic_write, decode_text

SCHEMA = 1
# Counts changes of how samples become inputs. 2: histograms as global hints are those of the run time.
INPUTS = 2
METHODS = ("minmax", "percentile", "entropy")
PERCENTILE = 99.99
# Bins of a histogram over −span…span; even, so that zero is an edge.
BINS = 4096
# At most about this many values of one tensor of one sample enter its histogram. The extremes are always exact.
VALUES_PER_TENSOR = 1 << 16
LEVELS = 128

Feeds = Iterable[Mapping[str, NDArray[np.float32]]]
Range = tuple[float, float]


@dataclass
class Histogram:
    """A streaming histogram of one tensor: counts int64 [BINS] over −span…span, and the exact extremes."""

    span: float = 0.0
    low: float = 0.0
    high: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the values of one sample, thinned to VALUES_PER_TENSOR. Raises ConfigError for NaN and infinity."""
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(low + high):
            raise ConfigError("an activation is not finite; the model is damaged or overflows: check it in fp32")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(abs(low), abs(high)))
        if self.span == 0:
            return
        flat = values.reshape(-1)
        # An odd stride reads every column of maps whose width is a power of two; an even stride only a few of them.
        flat = flat[:: (flat.size // VALUES_PER_TENSOR) | 1]
        # float64: in float32 the division overflows for spans near the largest number and for denormal ones.
        index = ((flat.astype(np.float64) / self.span + 1) * (BINS // 2)).astype(np.int32)
        self.counts += np.bincount(np.minimum(index, BINS - 1), minlength=BINS)

    def _widen(self, largest: float) -> None:
        if self.span == 0 and largest > 0:
            self.span = 2.0 ** math.ceil(math.log2(largest))
        while largest > self.span:
            quarter = BINS // 4
            merged = np.zeros_like(self.counts)
            merged[quarter : 3 * quarter] = self.counts.reshape(-1, 2).sum(1)
            self.counts, self.span = merged, self.span * 2

    def range(self, method: str) -> Range:
        """The range (low, high) by one of METHODS. It always contains 0 and is never wider than the extremes."""
        if method == "minmax" or not self.counts.any():
            return self.low, self.high
        if method == "percentile":
            low, high = self._percentile()
        elif method == "entropy":
            clip = self._entropy()
            low, high = -clip, clip
        else:
            raise ConfigError(f"method {method!r} is unknown; expected one of {', '.join(METHODS)}")
        return float(max(self.low, min(low, 0.0))), float(min(self.high, max(high, 0.0)))

    def _percentile(self) -> Range:
        edges = np.linspace(-self.span, self.span, BINS + 1)
        shares = np.cumsum(self.counts) / self.counts.sum()
        cut = (1 - PERCENTILE / 100) / 2 if self.low < 0 < self.high else 1 - PERCENTILE / 100
        first = int(np.searchsorted(shares, cut)) if self.low < 0 else BINS // 2
        last = int(np.searchsorted(shares, 1 - cut)) if self.high > 0 else BINS // 2 - 1
        return float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1])

    def _entropy(self) -> float:
        """The clipping value of |x| for which 128 levels have the smallest KL divergence from the counts."""
        half = BINS // 2
        magnitudes = (self.counts[half:] + self.counts[:half][::-1]).astype(np.float64)
        # Exact zeros (after a ReLU) quantise without loss; counted, they would outweigh everything else.
        magnitudes[0] = magnitudes[1]
        best, clip = np.inf, self.span
        for bins in range(LEVELS, half + 1, LEVELS // 4):
            loss = _divergence(magnitudes, bins)
            if loss < best:
                best, clip = loss, self.span * bins / half
        return clip


def _divergence(magnitudes: NDArray[np.float64], bins: int) -> float:
    """KL divergence between the first `bins` bins (the rest clipped into the last one) and their 128-level version."""
    reference = magnitudes[:bins].copy()
    kept = reference.copy()
    reference[-1] += magnitudes[bins:].sum()
    group = np.arange(bins) * LEVELS // bins
    filled = kept > 0
    totals = np.bincount(group, kept, LEVELS)
    numbers = np.bincount(group, filled, LEVELS)
    spread = np.where(filled, (totals / np.maximum(numbers, 1))[group], 0)
    if spread.sum() == 0 or reference.sum() == 0:
        return np.inf
    p, q = reference / reference.sum(), spread / spread.sum()
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-10))))


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How ranges were measured: everything that is needed to reproduce them."""

    model: str
    stages: dict[str, str]  # stage: SHA-256 of the ONNX file
    samples: int
    photographs: int
    photographs_sha256: str
    seed: int
    livetint: str
    onnxruntime: str
    percentile: float = PERCENTILE
    inputs: int = 1


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The best settings on held-out photographs: the method, and the layers that stay unquantised.

    lost_db, mean_ab: what each method costs with every layer quantised, as dB of PSNR and as mean |Δab| in CIELAB
    units. held_out: how many photographs were compared.
    """

    method: str
    keep: list[str]
    lost_db: dict[str, float]
    held_out: int
    mean_ab: dict[str, float] = {}


class Ranges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of ranges.json: stage → method → tensor → (low, high)."""

    made: Provenance
    stages: dict[str, dict[str, dict[str, Range]]]
    choice: Choice | None = None
    schema: int = SCHEMA

    def of(self, stage: str, method: str) -> dict[str, Range]:
        """Tensor → (low, high) of one stage by one method. Raises ConfigError if it was not measured."""
        try:
            return self.stages[stage][method]
        except KeyError:
            raise ConfigError(
                f"the ranges hold no {method} of stage {stage!r}; run `livetint calibrate` on this model"
            ) from None

    def fits(self, stages: Mapping[str, str]) -> bool:
        """Whether these ranges were measured on exactly these files (stage → SHA-256)."""
        return all(stages.get(stage) == digest for stage, digest in self.made.stages.items())


def measure(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    feeds: Feeds,
    threads: int = 2,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Histogram]:
    """Run `model` on every feed and count the values of each of `tensors`: tensor → histogram.

    Only the activations of one sample are in memory at a time. tick() is called after each sample.
    """
    histograms = {name: Histogram() for name in tensors}
    session = _session_with_outputs(model, tensors, threads)
    wanted = {node.name for node in session.get_inputs()}
    inputs = wanted & set(tensors)
    names = [name for name in tensors if name not in inputs]
    for feed in feeds:
        given = {name: feed[name] for name in wanted}
        for name in inputs:
            histograms[name].add(given[name])
        for name, values in zip(names, session.run(names, given), strict=True):
            histograms[name].add(np.asarray(values))
        tick()
    return histograms


def _session_with_outputs(model: onnx.ModelProto, tensors: Sequence[str], threads: int) -> ort.InferenceSession:
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    present = {o.name for o in extended.graph.output} | {i.name for i in extended.graph.input}
    extended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in present)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(extended.SerializeToString(), options, providers=["CPUExecutionProvider"])


def all_methods(histograms: Mapping[str, Histogram]) -> dict[str, dict[str, Range]]:
    """Method → tensor → range."""
    return {method: {name: h.range(method) for name, h in histograms.items()} for method in METHODS}


def encode(ranges: Ranges) -> bytes:
    """The contents of ranges.json."""
    return msgspec.json.format(msgspec.json.encode(ranges), indent=1) + b"\n"


def decode(data: bytes, name: str = "ranges.json") -> Ranges:
    """Parse ranges.json. Raises ConfigError with what is wrong."""
    try:
        ranges = msgspec.json.decode(decode_text(data), type=Ranges)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} holds no ranges: {error}; make it with `livetint calibrate`") from error
    if ranges.schema != SCHEMA:
        raise ConfigError(f"{name} has schema {ranges.schema}, this version reads {SCHEMA}; calibrate again")
    return ranges


def load_ranges(path: str | Path) -> Ranges:
    """Read ranges.json from a path. Raises ConfigError."""
    try:
        return decode(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check the path") from error


def save_ranges(path: str | Path, ranges: Ranges) -> None:
    """Write ranges.json whole or not at all."""
    atomic_write(path, encode(ranges))
