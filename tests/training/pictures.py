"""Photographs and batches that tests of training share."""

from __future__ import annotations

import numpy as np
from livetint.engine.models import bundled_folder
from PIL import Image

from ..needs import import_or_skip

import_or_skip("torch")

from livetint.training.config import Augmentation  # noqa: E402
from livetint.training.data import draw_batch  # noqa: E402


def squares(n: int = 3, side: int = 96) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (n, 6, 6, 3), np.uint8)
    return small.repeat(side // 6, 1).repeat(side // 6, 2)


def coffee(side: int = 96) -> np.ndarray:
    return np.asarray(Image.open(bundled_folder().parent / "photos" / "coffee.jpg").convert("RGB").resize((side, side)))


def lone_batch(**settings):
    """A batch of 4 crops that have a few hints each, all in one recoloured region."""
    settings = Augmentation(crop_px=64, lone_region=1.0, recoloured=0.0, **settings)
    return draw_batch(np.stack([coffee()] * 3), 4, settings, np.random.default_rng(6))
