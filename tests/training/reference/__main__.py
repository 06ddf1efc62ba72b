"""Time the batches of a training file, made by the reference and by the product, beside the product's steps:
`python -m tests.training.reference CONFIG.toml`, in the folder that holds its photographs."""

from __future__ import annotations

import sys

import numpy as np
import torch
from livetint.training.benchmark import SECONDS, benchmark, rate_of
from livetint.training.config import load_config
from livetint.training.loop import load_photos

from .data import draw_batch

config, cpu = load_config(sys.argv[1]), torch.device("cpu")
photos, rng = load_photos(config, cpu).numpy(), np.random.default_rng(0)
size = config.optimiser.batch
print(rate_of("reference's batches", lambda: draw_batch(photos, size, config.augmentation, rng), size, SECONDS, cpu))  # noqa: T201
for rate in benchmark(config):
    print(rate)  # noqa: T201
