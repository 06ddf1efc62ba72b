"""The runner for the CPU, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..colour import bins
from ..colour.global_hints import GlobalHints
from ..distribution import distribution_at
from ..errors import ModelFileError
from ..files import sha256_of
from ..hints import Hint
from ..inputs import normalise_lightness, planes_input, touch_input
from ..match_hints import match_hints
from .base import AUTOMATIC_MAPS, FEATURES, INFLUENCE_CELLS, Features, Runner, distribution_table
from .restorer import load_restorer
from .sessions import Session, default_threads, first_line, make_session, run_graph
from .share import share_graph, share_inputs, share_map
from .subgraph import split_precomputed, stage_graph

# Inputs that change from touch to touch. All other inputs of a stage come from the photograph.
TOUCH_INPUTS = ("positions", "colours", "sizes", "valid", "global_hints", "points")


class OnnxFeatures(Features):
    """One photograph encoded on the CPU.

    encoded: the encoder's outputs by name; for networks of planes the normalised plane of L, float32 [1, 1, H, W],
    under `light`. maps: the same, with the maps of the automatic colours multiplied by `vivid`. precomputed: the
    tensors that stages compute once per photograph, by the SHA-256 of their graph.
    """

    def __init__(
        self, runner: OnnxRunner, L: NDArray[np.float32], encoded: dict[str, NDArray[np.float32]], vivid: float
    ) -> None:
        super().__init__(runner, L, vivid)
        self.encoded = self.maps = encoded
        if vivid != 1:
            self.maps = {**encoded, **{name: encoded[name] * np.float32(vivid) for name in AUTOMATIC_MAPS}}
        self.precomputed: dict[str, dict[str, NDArray[np.float32]]] = {}


@dataclass(frozen=True)
class _Stage:
    """A stage's graph in two parts.

    once: runs once per photograph, with its SHA-256. rest: runs at every touch.
    """

    once: tuple[str, Session] | None
    rest: Session


class OnnxRunner(Runner[OnnxFeatures]):
    """Runs a bundle with ONNX Runtime.

    threads: None for `default_threads`. spin: whether threads poll for work, also for a while after a touch. Polling
    threads answer sooner on an idle machine. Without it, other programs get the cores and the machine stays cooler. A
    stage is loaded when it is first needed, so a distribution that nobody asks for costs nothing.
    """

    runs_on = "CPU"

    def __init__(self, bundle: Bundle, threads: int | None = None, spin: bool = True) -> None:
        super().__init__(bundle)
        self.spin = spin
        self.threads = threads or default_threads()
        self._stages: dict[str, _Stage] = {}
        self._restore = load_restorer(bundle, self.threads, spin)
        self._stage("encoder" if self._staged else "colour")

    @property
    def _staged(self) -> bool:
        return self.bundle.manifest.input.kind == "hints"

    def _encode(self, L: NDArray[np.float32], vivid: float) -> OnnxFeatures:
        plane = {"light": normalise_lightness(self._restore(L), self.bundle.manifest.input)[None, None]}
        encoded = run_graph(self._stage("encoder").rest, plane) if self._staged else plane
        return self._features(L, encoded, vivid)

    def _with_vivid(self, features: OnnxFeatures, vivid: float) -> OnnxFeatures:
        return self._features(features.L, features.encoded, vivid)

    def _features(self, L: NDArray[np.float32], encoded: dict[str, NDArray[np.float32]], vivid: float) -> OnnxFeatures:
        features = OnnxFeatures(self, L, encoded, vivid)
        if self._staged:
            self._precomputed("touch", features)
        return features

    def _colorize(
        self, features: OnnxFeatures, hints: Sequence[Hint], global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        ab = self.network_ab(features, hints, global_hints)
        return match_hints(ab, hints) if self._staged else ab

    def network_ab(
        self, features: OnnxFeatures, hints: Sequence[Hint], global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        """ab as the network gives it, before `match_hints`; unchecked, for measuring. Shape and units of `colorize`."""
        stage = "touch" if self._staged else "colour"
        ab = self._run(stage, features, self._inputs(features, hints, global_hints))[0]
        if self.bundle.manifest.output.ab_scale != 1:
            ab = ab * self.bundle.manifest.output.ab_scale
        return ab

    def _distribution(
        self,
        features: OnnxFeatures,
        hints: Sequence[Hint],
        global_hints: GlobalHints,
        points: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        table = distribution_table(self.bundle)
        inputs = self._inputs(features, hints, global_hints)
        if table.gives == "probabilities":
            inputs["points"] = points[None]
            probabilities = self._run("distribution", features, inputs)[0]
            return bins.temper(probabilities, table.temperature_scale)
        logits = self._run("distribution", features, inputs)[0]
        return distribution_at(logits, points, table.temperature_scale)

    def _feature_maps(self, features: OnnxFeatures) -> dict[str, NDArray[np.float32]]:
        return {name: values for name, values in features.maps.items() if name != FEATURES} if self._staged else {}

    @property
    def gives_encoder_features(self) -> bool:
        return self._staged and any(value.name == FEATURES for value in self._stage("encoder").rest.get_outputs())

    def _encoder_features(self, features: OnnxFeatures) -> NDArray[np.float32] | None:
        return features.encoded[FEATURES][0] if FEATURES in features.encoded else None

    def _influence(
        self, features: OnnxFeatures, hints: Sequence[Hint], indices: Sequence[int], global_hints: GlobalHints
    ) -> NDArray[np.float32]:
        if self._shares is None:
            return super()._influence(features, hints, indices, global_hints)
        inputs = share_inputs(features.maps, hints, global_hints, INFLUENCE_CELLS)
        shares = next(iter(run_graph(self._shares, inputs).values()))
        return share_map(shares, indices, INFLUENCE_CELLS)

    @cached_property
    def _shares(self) -> Session | None:
        """The graph of shares, cut at the first question; None for bundles without shares."""
        graph = share_graph(self.bundle)
        return self._session(graph, self.threads) if graph else None

    def _close(self) -> None:
        self._stages.clear()
        vars(self).pop("_shares", None)

    def _inputs(
        self, features: OnnxFeatures, hints: Sequence[Hint], global_hints: GlobalHints
    ) -> dict[str, NDArray[np.float32]]:
        if self._staged:
            return {**features.maps, **touch_input(hints, global_hints)}
        return planes_input(features.maps["light"], hints, global_hints, self.bundle.manifest.input)

    def _run(self, stage: str, features: OnnxFeatures, inputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        inputs = {**inputs, **self._precomputed(stage, features)}
        return next(iter(run_graph(self._stage(stage).rest, inputs).values()))

    def _precomputed(self, stage: str, features: OnnxFeatures) -> dict[str, NDArray[np.float32]]:
        """The tensors that a stage computes from the photograph's maps alone, computed once per photograph."""
        once = self._stage(stage).once
        if once is None:
            return {}
        digest, graph = once
        if digest not in features.precomputed:
            features.precomputed[digest] = run_graph(graph, features.maps)
        return features.precomputed[digest]

    def _stage(self, stage: str) -> _Stage:
        if stage not in self._stages:
            self._stages[stage] = self._load(stage)
        return self._stages[stage]

    def _load(self, stage: str) -> _Stage:
        data = stage_graph(self.bundle, stage, (FEATURES,))
        try:
            is_split = self._staged and stage != "encoder"
            once, rest = split_precomputed(data, TOUCH_INPUTS) if is_split else (None, data)
            first = (sha256_of(once), self._session(once, 1)) if once else None
            return _Stage(first, self._session(rest, self.threads, spin_on=stage != "encoder"))
        except Exception as error:  # onnxruntime's errors have no common base class
            raise ModelFileError(
                f"the {stage} stage of model {self.bundle.name} cannot be loaded: {first_line(error)}"
            ) from error

    def _session(self, data: bytes, threads: int, *, spin_on: bool = True) -> Session:
        """A graph, ready to run. spin_on: of `make_session`. A subclass may run it with other options."""
        return make_session(data, threads, self.spin, spin_on=spin_on)
