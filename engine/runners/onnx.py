"""The runner that needs no GPU: ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..bundle import Bundle
from ..colour import bins
from ..colour.global_hints import GlobalHints
from ..distribution import distribution_at
from ..errors import ModelFileError, RunnerError
from ..files import sha256_of
from ..hints import Hint, rasterise
from ..match_hints import match_hints
from .base import NO_GLOBAL_HINTS, check_hints, distribution_table
from .subgraph import extract_outputs, split_ahead

MAX_THREADS = 8
# What changes from touch to touch; all else that a stage takes comes from the photograph.
LATE = ("positions", "colours", "sizes", "valid", "global_hints", "points")
# It narrows the weights of layers that an INT8 graph leaves wide on purpose, by a cruder scale (ONNX Runtime 1.32).
LEFT_OUT = ["WeightBiasQuantization"]


@dataclass(frozen=True)
class OnnxFeatures:
    """What one photograph leaves behind: the encoder's maps, or for plane networks the normalised L plane; and what
    stages compute from them once, ahead of all touches, by the SHA-256 of the graph that does."""

    maps: dict[str, NDArray[np.float32]]
    ahead: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stage:
    """A stage's graph in two: what runs once per photograph, with its SHA-256, and the rest."""

    ahead: tuple[str, ort.InferenceSession] | None
    rest: ort.InferenceSession


def default_threads() -> int:
    """The CPUs this process may use, at most 8: a touch is too small to gain from more."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:
        usable = os.cpu_count() or 1
    return max(1, min(usable, MAX_THREADS))


class OnnxRunner:
    """Runs a bundle with ONNX Runtime. `threads` None: every CPU this process may use, at most 8.

    spin: whether threads watch for their next piece of work without rest, a while after a touch too. They answer
    sooner where nothing else runs; without, others have the CPU cores meanwhile and the machine stays cooler.
    Stages are made ready when first asked for: a bundle's distribution costs nothing to those who never ask.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, spin: bool = True) -> None:
        self.bundle = bundle
        self.spin = spin
        self.threads = threads or default_threads()
        self._stages: dict[str, _Stage] = {}
        self._closed = False
        self._stage("encoder" if self._staged else "colour")

    @property
    def _staged(self) -> bool:
        return self.bundle.manifest.input.kind == "hints"

    def encode(self, L: NDArray[np.float32]) -> OnnxFeatures:
        """Working L float32 [H, W] in 0…100, of the bundle's working size → features."""
        settings = self.bundle.manifest.input
        if L.shape != tuple(settings.working_size):
            raise RunnerError(f"L has shape {L.shape}; model {self.bundle.name} works at {settings.working_size}")
        offset, scale = settings.light
        plane = ((L.astype(np.float32) - offset) / scale)[None, None]
        if not self._staged:
            return OnnxFeatures({"light": plane})
        features = OnnxFeatures(answers(self._stage("encoder").rest, {"light": plane}))
        self._ahead("touch", features)
        return features

    def colorize(
        self, features: OnnxFeatures, hints: Sequence[Hint], global_hints: GlobalHints = NO_GLOBAL_HINTS
    ) -> NDArray[np.float32]:
        """ab float32 [2, H, W] in CIELAB units; the caller owns it."""
        check_hints(self.bundle, hints, global_hints)
        stage = "touch" if self._staged else "colour"
        ab = self._run(stage, features, self._inputs(features, hints, global_hints))[0]
        if self.bundle.manifest.output.ab_scale != 1:
            ab = ab * self.bundle.manifest.output.ab_scale
        return match_hints(ab, hints) if self._staged else ab

    def distribution(
        self,
        features: OnnxFeatures,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        points: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Probabilities float32 [P, bins] at points [P, 2] (x, y in 0…1), tempered as the bundle says."""
        check_hints(self.bundle, hints, global_hints)
        table = distribution_table(self.bundle)
        inputs = self._inputs(features, hints, global_hints)
        if table.gives == "probabilities":
            inputs["points"] = np.asarray(points, np.float32)[None]
            probabilities = self._run("distribution", features, inputs)[0]
            return bins.temper(probabilities, table.temperature_scale)
        logits = self._run("distribution", features, inputs)[0]
        return distribution_at(logits, np.asarray(points, np.float32), table.temperature_scale)

    def close(self) -> None:
        """Give back the sessions' memory; the runner cannot be used afterwards."""
        self._stages.clear()
        self._closed = True

    def __enter__(self) -> OnnxRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _inputs(
        self, features: OnnxFeatures, hints: Sequence[Hint], global_hints: GlobalHints
    ) -> dict[str, NDArray[np.float32]]:
        settings = self.bundle.manifest.input
        if self._staged:
            return {**features.maps, **hint_tensors(hints), "global_hints": global_hints.vector()[None]}
        inputs = {"planes": features.maps["light"]}
        if settings.local:
            ab, mask = rasterise(hints, (settings.working_size[0], settings.working_size[1]))
            low, high = settings.mask
            planes = [inputs["planes"], ab[None] / settings.ab_scale, (mask * (high - low) + low)[None]]
            inputs["planes"] = np.concatenate(planes, 1).astype(np.float32)
        if settings.takes_global:
            inputs["global"] = global_hints.vector()[None]
        return inputs

    def _run(self, stage: str, features: OnnxFeatures, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        session = self._stage(stage).rest
        given = {**inputs, **self._ahead(stage, features)}
        return next(iter(answers(session, given).values()))

    def _ahead(self, stage: str, features: OnnxFeatures) -> dict[str, NDArray[np.float32]]:
        """What a stage computes from the photograph's maps alone: once per photograph."""
        ahead = self._stage(stage).ahead
        if ahead is None:
            return {}
        digest, session = ahead
        if digest not in features.ahead:
            features.ahead[digest] = answers(session, features.maps)
        return features.ahead[digest]

    def _stage(self, stage: str) -> _Stage:
        if self._closed:
            raise RunnerError("this runner is closed; make a new one")
        if stage not in self._stages:
            self._stages[stage] = self._start(stage)
        return self._stages[stage]

    def _start(self, stage: str) -> _Stage:
        stages = self.bundle.manifest.stages
        data = self.bundle.stage(stage)
        if list(stages.values()).count(stages[stage]) > 1:
            data = extract_outputs(data, ["ab" if stage == "colour" else "logits"])
        try:
            first, rest = split_ahead(data, LATE) if self._staged and stage != "encoder" else (None, data)
            ahead = (sha256_of(first), self.load(first, 1)) if first else None
            return _Stage(ahead, self.load(rest, self.threads))
        except Exception as error:  # onnxruntime's own errors share no base class
            raise ModelFileError(
                f"the {stage} stage of model {self.bundle.name} cannot be loaded: {first_line(error)}"
            ) from error

    def load(self, data: bytes, threads: int) -> ort.InferenceSession:
        """A graph, ready to run; ONNX Runtime's own errors where it is none."""
        return ort.InferenceSession(
            data, session_options(threads, self.spin), providers=["CPUExecutionProvider"], disabled_optimizers=LEFT_OUT
        )


def answers(session: ort.InferenceSession, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The outputs of a graph by name, from those of `inputs` that it takes."""
    names = [value.name for value in session.get_outputs()]
    given = session.run(names, {value.name: inputs[value.name] for value in session.get_inputs()})
    return {name: np.asarray(values) for name, values in zip(names, given, strict=True)}


def hint_tensors(hints: Sequence[Hint]) -> dict[str, NDArray[np.float32]]:
    """Hints as `touch` takes them: positions [1, N, 2], colours [1, N, 2] in CIELAB units, sizes [1, N] px,
    valid [1, N]; without hints one that is not valid."""
    if not hints:
        zero, one = np.zeros((1, 1, 2), np.float32), np.ones((1, 1), np.float32)
        return {"positions": zero, "colours": zero, "sizes": one, "valid": one * 0}
    table = np.array([(h.x, h.y, h.a, h.b, h.size) for h in hints], np.float32)[None]
    return {
        "positions": np.ascontiguousarray(table[..., :2]),
        "colours": np.ascontiguousarray(table[..., 2:4]),
        "sizes": np.ascontiguousarray(table[..., 4]),
        "valid": np.ones(table.shape[:2], np.float32),
    }


def session_options(threads: int, spin: bool = True) -> ort.SessionOptions:
    """Options of every session here: `threads` within an operator, one operator at a time, quiet. spin: see
    `OnnxRunner`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return options


def first_line(error: Any) -> str:
    """The first line of an error's text: what fits in one line on a terminal."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
