"""Runners with known results, and small sets of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from livetint.bench.latency import paired, samples, workloads
from livetint.bench.latency.energy import Energy
from livetint.bench.latency.measures import MEASURES
from livetint.bench.latency.memory import Memory
from livetint.bench.latency.paired import Relative
from livetint.bench.latency.run import LatencyMeasure, Run, measure_all
from livetint.bench.latency.stages import Stages
from livetint.bench.measure import Result, lines
from livetint.engine.bundle import Bundle, DistributionTable, InputTable, Manifest
from livetint.engine.colour.global_hints import GlobalHints
from livetint.engine.hints import Hint
from livetint.engine.runners.base import Features, Runner
from numpy.typing import NDArray
from PIL import Image


class ConstantRunner(Runner[Features]):
    """Answers every touch with one ab everywhere, and records the calls."""

    def __init__(self, ab: tuple[float, float] = (0.0, 0.0), max_hints: int = 128, local: bool = True) -> None:
        kind = "hints" if local else "planes"
        stages = {"encoder": "e", "touch": "t", "distribution": "d"} if local else {"colour": "e"}
        manifest = Manifest(
            name="constant",
            network="constant",
            version="1",
            licence="none",
            data="none",
            trained=False,
            input=InputTable(kind=kind, max_hints=max_hints, local=local, takes_global=True),
            stages=stages,
            files={"e": "00", "t": "11", "d": "22"},
            distribution=DistributionTable("in-gamut-313", "probabilities"),
        )
        super().__init__(Bundle(Path("constant"), manifest, {}))
        self.colour = ab
        self.L_planes: list[NDArray[np.float32]] = []
        self.asked: list[tuple[tuple[Hint, ...], GlobalHints]] = []

    def _encode(self, L: NDArray[np.float32], vivid: float) -> Features:
        self.L_planes.append(L)
        return Features(self, L, vivid)

    def _colorize(self, features: Features, hints: Sequence[Hint], global_hints: GlobalHints) -> NDArray[np.float32]:
        self.asked.append((tuple(hints), global_hints))
        ab = np.empty((2, 256, 256), np.float32)
        ab[0], ab[1] = self.colour
        return ab

    def _distribution(
        self, features: Features, hints: Sequence[Hint], global_hints: GlobalHints, points: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        return np.full((len(points), 313), 1 / 313, np.float32)

    def _close(self) -> None:
        """Nothing is held."""


def hasten(patch: Any) -> None:
    """Make a latency run take a moment: small pictures instead of 1080p and 4K, hardly any warm-up."""
    patch.setattr(workloads, "SIZES", {"1080p": (64, 36), "4k": (128, 72)})
    patch.setattr(samples, "WARM_UP_S", 0.001)
    patch.setattr(samples, "WARM_UP_RUNS", 1)
    patch.setattr(paired, "PART_S", 0.001)


def measured(runner: Runner, numbers: tuple[int, ...], *more: LatencyMeasure) -> tuple[Result, str]:
    """A latency run of eight touches on one thread, with further measures: the result, and lines for the terminal."""
    measures = [Stages(), *more, Energy(), Relative(), Memory()]
    result = measure_all(Run(runner, numbers, threads=1, touches=8), measures)
    return result, lines(MEASURES, result)


def gradient_photo(side: int = 300, tint: tuple[int, int, int] = (40, 0, -30)) -> NDArray[np.uint8]:
    """A grey ramp with a tint: every pixel's colour is known and close to one ab."""
    ramp = np.linspace(60, 200, side)
    return np.clip(ramp[None, :, None] + np.array(tint), 0, 255).repeat(side, 0).astype(np.uint8)


def write_photos(folder: Path, number: int = 2) -> Path:
    """A folder of small photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        Image.fromarray(gradient_photo(64, (40 - 10 * index, 0, -30))).save(folder / f"{index}.png")
    return folder
