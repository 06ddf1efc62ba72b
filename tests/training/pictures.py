"""Photographs, batches and settings that tests of training share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from livetint.engine.models import bundled_folder, find_model
from PIL import Image

from ..needs import import_or_skip

torch = import_or_skip("torch")

from livetint.build_engine.touch_bundle import backbone_of  # noqa: E402
from livetint.training.config import Augmentation  # noqa: E402
from livetint.training.data import Batch, draw_batch  # noqa: E402
from livetint.training.draws import Draws  # noqa: E402


def squares(n: int = 3, side: int = 96) -> np.ndarray:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (n, 6, 6, 3), np.uint8)
    return small.repeat(side // 6, 1).repeat(side // 6, 2)


def coffee(side: int = 96) -> np.ndarray:
    return np.array(Image.open(bundled_folder().parent / "photos" / "coffee.jpg").convert("RGB").resize((side, side)))


def photographs(side: int = 96) -> np.ndarray:
    """The bundled photographs that every test of training can decode fast."""
    folder = bundled_folder().parent / "photos"
    names = ("astronaut", "chelsea-the-cat", "coffee")
    return np.stack([np.asarray(Image.open(folder / f"{n}.jpg").convert("RGB").resize((side, side))) for n in names])


def batch_of(photos: np.ndarray, size: int, settings: Augmentation, *seed: int) -> Batch:
    """A batch on the CPU."""
    return draw_batch(torch.from_numpy(photos), size, settings, Draws(torch.device("cpu"), *seed))


def lone_batch(**settings) -> Batch:
    """A batch of 4 crops that have a few hints each, all in one recoloured region."""
    settings = Augmentation(crop_px=64, lone_region=1.0, recoloured=0.0, **settings)
    return batch_of(np.stack([coffee()] * 3), 4, settings, 6)


SETTINGS = """
output = "{folder}/run"
every = 2
threads = 1
[network]
name = "touch"
backbone = "{backbone}"
[card]
version = "0"
licence = "test"
data = "test pictures"
[data]
sources = ["{folder}/photos"]
held_out = ["{folder}/photos"]
side_px = 96
held_out_limit = 2
[augmentation]
crop_px = 64
max_hints = 12
[optimiser]
steps = {steps}
batch = 2
rate = 3e-4
warm_up_steps = 1
[losses]
distribution_points = 16
"""


def write_settings(folder: Path, steps: int, extra: str = "") -> Path:
    """A short run of `touch` on the photographs of the fixture `folder`."""
    path = folder / "run.toml"
    backbone = backbone_of(find_model("touch"))
    path.write_text(SETTINGS.format(folder=folder, steps=steps, backbone=backbone) + extra)
    return path
