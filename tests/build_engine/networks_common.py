"""Weights and inputs for several tests of the paper's networks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnxruntime as ort
from livetint.build_engine.networks import TOPOLOGIES
from livetint.engine.runners.sessions import session_options

from ..golden import recipe

SEED = 20170731


@lru_cache(2)
def recipe_weights(network: str, seed: int = SEED) -> dict[str, np.ndarray]:
    """All weights of a network by the golden recipe, which gives every BatchNorm different numbers."""
    return {key: recipe.weight(key, shape, seed) for key, shape in TOPOLOGIES[network]().shapes().items()}


def planes(seed: int, size: tuple[int, int], mask: tuple[float, float] = (0.0, 1.0), hints: int = 6) -> np.ndarray:
    """Network input float32 [1, 4, H, W]: noise for L and `hints` random patches."""
    rng = np.random.default_rng([seed, hints])
    height, width = size
    values = np.zeros((1, 4, height, width), np.float32)
    values[:, 0] = rng.uniform(-0.5, 0.5, size)
    values[:, 3] = mask[0]
    for _ in range(hints):
        y, x, p = rng.integers(0, height - 9), rng.integers(0, width - 9), rng.integers(1, 10)
        values[:, 1:3, y : y + p, x : x + p] = rng.uniform(-0.7, 0.7, (2, 1, 1))
        values[:, 3, y : y + p, x : x + p] = mask[1]
    return values


def session(data: bytes) -> ort.InferenceSession:
    """An ONNX Runtime session with the engine's own options."""
    return ort.InferenceSession(data, session_options(2), providers=["CPUExecutionProvider"])


def answer(run: ort.InferenceSession, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of a session by name."""
    return [np.asarray(value) for value in run.run(names, inputs)]


def softened(logits: np.ndarray) -> np.ndarray:
    """softmax(0.2 · logits) over the classes of [classes, h, w]."""
    scaled = np.exp(0.2 * (logits - logits.max(0)))
    return scaled / scaled.sum(0)
