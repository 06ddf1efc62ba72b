"""Deterministic stand-in weights for the siggraph17 network, and the inputs of the golden vectors.

The real checkpoint is 137 MB and cannot be kept here, so agreement with the reference network is shown
on weights that anyone can regenerate from a seed.  `golden/siggraph17.npz` holds what the reference
implementation (the authors' published PyTorch module) answers on them.
"""

from __future__ import annotations

import zlib

import numpy as np


def weight(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Value of state-dict entry `key` (float32, `shape`), a pure function of key, shape and seed.

    Convolutions are He-scaled normals, biases small normals; BatchNorm gets gammas in [0.6, 1.4],
    betas and running means near 0 and running variances in [0.5, 1.5].
    """
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    leaf = key.rsplit(".", 1)[1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        value = rng.uniform(0.5, 1.5, shape)
    elif leaf == "running_mean":
        value = rng.normal(0.0, 0.1, shape)
    elif leaf == "weight" and len(shape) == 1:
        value = rng.uniform(0.6, 1.4, shape)
    elif leaf == "bias":
        value = rng.normal(0.0, 0.05, shape)
    else:
        fan_in = int(np.prod(shape[1:])) if "up." not in key else shape[0] * 4
        value = rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)
    return value.astype(np.float32)


def inputs(seed: int, size: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L in [0, 100] (1, size, size); ab hints in [-110, 110] (2, size, size); mask in {0, 1} (1, size, size)."""
    rng = np.random.default_rng([seed, 7])
    L = rng.uniform(0, 100, (1, size, size)).astype(np.float32)
    ab = np.zeros((2, size, size), np.float32)
    mask = np.zeros((1, size, size), np.float32)
    for _ in range(6):
        y, x, p = rng.integers(0, size - 9), rng.integers(0, size - 9), rng.integers(1, 10)
        ab[:, y : y + p, x : x + p] = rng.uniform(-80, 80, (2, 1, 1))
        mask[:, y : y + p, x : x + p] = 1
    return L, ab, mask
