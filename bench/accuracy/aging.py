"""Old photographs for the accuracy bench: colour photographs whose L is aged, so that the true colours are known.

L gets what prints of 1900 to 1940 show when they are scanned as grey, in this order: blur of the lens, faded tones of
low contrast, stains of unevenly yellowed paper, grain, dust and scratches. Only the L that the network sees changes.
Hints, the truth and the L of the scored picture stay. Training ages photographs by other definitions, on purpose:
the bench must not measure what was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..measure import Result
from ..options import Option
from .curve import GREY, MODEL, measure
from .per_photo import mean, standard_error
from .protocols import Picture
from .run import Accuracy, AccuracyMeasure, Losses, Run

SEED = 1912
# Every photograph draws from these ranges, uniformly. Lengths are in pixels of a picture 256 wide.
BLUR_PX = (0.5, 1.1)
BLACK_L, WHITE_L, TONE = (8.0, 24.0), (74.0, 92.0), (0.8, 1.3)
STAIN_L, STAIN_CELLS = (2.0, 7.0), 4
GRAIN_L, GRAIN_PX = (1.5, 4.5), 0.6
DUST, DUST_PX, SCRATCHES = (8, 40), (0.5, 1.6), (1, 7)
MARK_L = (8.0, 30.0)

# L float32 [H, W] in 0…100, or what is added to it.
Plane = NDArray[np.float32]


def aged_pictures(photographs: Iterable[Picture], seed: int = SEED) -> Iterator[Picture]:
    """The same photographs with aged L. How one ages depends on the seed and its number alone."""
    for index, picture in enumerate(photographs):
        yield replace(picture, L=aged(picture.L, np.random.default_rng([seed, index])))


def aged(L: Plane, rng: np.random.Generator) -> Plane:
    """L float32 [H, W] in 0…100 → L of an old print of it, of the same shape."""
    soft = cv2.GaussianBlur(L, (0, 0), rng.uniform(*BLUR_PX) * _scale(L))
    old = faded(np.asarray(soft, np.float32), rng) + stains(L.shape, rng) + grain(L.shape, rng)
    return np.clip(old + marks(L.shape, rng), 0, 100).astype(np.float32)


def faded(L: Plane, rng: np.random.Generator) -> Plane:
    """L with black lifted to grey, white lowered to the tone of paper, and other middle tones."""
    black, white, tone = (rng.uniform(*span) for span in (BLACK_L, WHITE_L, TONE))
    return (black + (white - black) * (L / 100) ** tone).astype(np.float32)


def stains(shape: tuple[int, ...], rng: np.random.Generator) -> Plane:
    """A smooth, uneven darkening [H, W] of at most STAIN_L, to be added to L (0 or less)."""
    cells = rng.uniform(0, 1, (STAIN_CELLS, STAIN_CELLS)).astype(np.float32)
    field = np.asarray(cv2.resize(cells, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)
    return -np.clip(field, 0, 1) * np.float32(rng.uniform(*STAIN_L))


def grain(shape: tuple[int, ...], rng: np.random.Generator) -> Plane:
    """Gaussian grain [H, W], a little wider than a pixel, with a standard deviation within GRAIN_L."""
    noise = np.asarray(cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), GRAIN_PX), np.float32)
    return noise / noise.std() * np.float32(rng.uniform(*GRAIN_L))


def marks(shape: tuple[int, ...], rng: np.random.Generator) -> Plane:
    """Light and dark specks of dust, and light scratches from top to bottom, [H, W] to be added to L."""
    height, width = shape
    plane = np.zeros(shape, np.float32)
    for _ in range(rng.integers(*DUST)):
        y, x, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(*DUST_PX) * width / 256
        rows, columns = np.ogrid[:height, :width]
        speck = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * size**2))
        plane += rng.choice([-1, 1]) * rng.uniform(*MARK_L) * speck.astype(np.float32)
    for _ in range(rng.integers(*SCRATCHES)):
        across, lean = rng.uniform(0, width), rng.uniform(-0.1, 0.1) * width
        start, end = np.sort(rng.uniform(0, 1, 2))
        path = [(across + lean * t, height * t) for t in np.linspace(start, end, 8) + rng.normal(0, 0.004, 8)]
        line = np.rint(np.array(path) * 16).astype(np.int32)
        scratch = np.zeros(shape, np.uint8)
        cv2.polylines(scratch, [line], False, 255, 1, cv2.LINE_AA, 4)
        plane += scratch.astype(np.float32) * np.float32(rng.uniform(*MARK_L) / 255)
    return plane


def _scale(L: Plane) -> float:
    return L.shape[1] / 256


TEXT = "the same points on L that is aged as prints of 1900 to 1940 are: what is lost against the clean L"


def as_table(clean: Accuracy, old: Accuracy) -> dict[str, Any]:
    """points → PSNR, gain over grey and loss against clean L in dB, with standard errors over photographs."""
    grey = old.tally.per_photo((GREY,))
    columns: dict[str, Any] = {}
    for method, column in (key for key in old.tally.names if key[0] == MODEL):
        values = old.tally.per_photo((method, column))
        gain, lost = values - grey, clean.tally.per_photo((method, column)) - values
        columns[column] = {"psnr": mean(values), "gain": mean(gain), "gain_standard_error": standard_error(gain)}
        columns[column] |= {"lost_db": mean(lost), "lost_db_standard_error": standard_error(lost)}
    return {"text": TEXT, "seed": SEED, "photos": old.photos, "points": columns}


def as_lines(table: dict[str, Any]) -> str:
    """For the terminal."""
    cells = [f"{n}: {row['gain']:.2f} (lost {row['lost_db']:.2f})" for n, row in table["points"].items()]
    return f"on {table['photos']} aged photographs, gain over grey in dB: " + ", ".join(cells)


class Aging(AccuracyMeasure):
    """The points of the curve again, on aged L."""

    key = "aged"
    options = (Option("--aged", "Also the same points on L that is aged like old prints."),)

    def measure(self, run: Run) -> Result:
        """Must come after the curve."""
        if run.clean is None:
            raise ValueError("aged photographs are compared with the curve; measure that first")
        plan = replace(run.plan, global_kinds=(), baselines=())
        photographs, tick = run.photographs("colouring old prints", plan.protocol)
        return {self.key: as_table(run.clean, measure(run.runner, aged_pictures(photographs), plan, tick))}

    @staticmethod
    def lines(part: Result) -> str:
        return as_lines(part)

    @staticmethod
    def losses(part: Result) -> Losses:
        lost = {n: (row["lost_db"], row["lost_db_standard_error"]) for n, row in part["points"].items()}
        return {"aged light": lost}
