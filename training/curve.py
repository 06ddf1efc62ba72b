"""A quick held-out curve for the log: dB gained over grey at a few numbers of points.

The figures to quote come from `livetint bench accuracy`, which follows the protocol to the letter.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from ..calibration import visitor
from ..calibration.photographs import lab_of
from ..engine.colour.global_hints import VECTOR_LENGTH
from ..engine.colour.metrics import psnr
from ..engine.image.compose import compose
from .data import Batch, make_batch
from .tasks import Task

COUNTS = (0, 1, 10, 100)
PATCH_PX = 6
# The points do not depend on the run's seed, so that curves of different runs can be compared.
POINTS_SEED = 2017


def held_out_curve(
    task: Task, weights: dict[str, torch.Tensor], squares: NDArray[np.uint8], device: torch.device
) -> dict[str, float]:
    """Number of points → mean gain of PSNR over grey in dB, of `weights` on `squares` uint8 [n, s, s, 3]."""
    network = copy.deepcopy(task.network)
    network.load_state_dict(weights)
    network.eval()
    gains: dict[str, list[float]] = {str(count): [] for count in COUNTS}
    with torch.no_grad():
        for index, square in enumerate(squares):
            lab = lab_of(square).transpose(2, 0, 1)
            grey = psnr(square, compose(lab[0], np.zeros_like(lab[1:])))
            for count in COUNTS:
                rng = np.random.default_rng([POINTS_SEED, index, count])
                batch = _one(lab, visitor.gaussian_patches(rng, count, (PATCH_PX, PATCH_PX))).to(device)
                ab = task.predict(network, batch)[0]
                gains[str(count)].append(psnr(square, compose(lab[0], ab)) - grey)
    return {count: round(float(np.mean(values)), 3) for count, values in gains.items()}


def _one(lab: NDArray[np.float32], patches: visitor.Patches) -> Batch:
    return make_batch(np.ascontiguousarray(lab[None]), [patches], np.zeros((1, VECTOR_LENGTH), np.float32))
