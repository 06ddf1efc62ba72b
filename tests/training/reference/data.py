"""Batches: crops of photographs in memory, with hints of a simulated visitor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from livetint.calibration import visitor
from livetint.calibration.photographs import lab_of
from livetint.engine.colour.cielab import lab_to_srgb
from livetint.engine.colour.global_hints import VECTOR_LENGTH, histogram_of, saturation_of
from livetint.training.config import Augmentation
from livetint.training.data import INSIDE_REGION, MAX_IN_REGION
from numpy.typing import NDArray

from .aging import age
from .recolour import recolour, recolour_one


@dataclass
class Batch:
    """B crops of side S with at most N hints each; all float32.

    L [B, 1, S, S] in 0…100; ab [B, 2, S, S] in CIELAB units; positions [B, N, 2] as x, y in 0…1;
    colours [B, N, 2] in CIELAB units; sizes [B, N] in working pixels of 256; valid [B, N] in {0, 1};
    global_hints [B, 316]; natural [B]: False for pictures with recoloured regions, whose colours L does not predict;
    touched [B, 1, S, S] in 0…1: where ab is to be learned. In a picture whose hints all lie in one recoloured region it
    is that region; elsewhere the automatic colours should stay.
    """

    L: NDArray[np.float32]
    ab: NDArray[np.float32]
    positions: NDArray[np.float32]
    colours: NDArray[np.float32]
    sizes: NDArray[np.float32]
    valid: NDArray[np.float32]
    global_hints: NDArray[np.float32]
    natural: NDArray[np.bool_]
    touched: NDArray[np.float32]


def draw_crop(rgb: NDArray[np.uint8], crop: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random square of `rgb` [n, n, 3], at least `min_crop` of its side, resized to crop_px, often mirrored."""
    side = rgb.shape[0]
    taken = int(rng.integers(int(side * crop.min_crop), side + 1))
    y, x = rng.integers(0, side - taken + 1, 2)
    method = cv2.INTER_AREA if taken > crop.crop_px else cv2.INTER_LINEAR
    square = cv2.resize(rgb[y : y + taken, x : x + taken], (crop.crop_px, crop.crop_px), interpolation=method)
    square = square[:, ::-1] if rng.random() < 0.5 else square
    return np.ascontiguousarray(square, np.uint8)


def draw_batch(squares: NDArray[np.uint8], size: int, settings: Augmentation, rng: np.random.Generator) -> Batch:
    """`size` random photographs of `squares` [n, s, s, 3] as a Batch."""
    many = rng.random() < settings.uniform_counts
    drawn = [
        _draw(draw_crop(squares[chosen], settings, rng), settings, many, rng)
        for chosen in rng.integers(0, len(squares), size)
    ]
    vectors = np.stack([one.vector for one in drawn])
    batch = make_batch(np.stack([one.lab.transpose(2, 0, 1) for one in drawn]), [one.patches for one in drawn], vectors)
    for index, one in enumerate(drawn):
        batch.natural[index] = one.natural
        if one.region is not None:
            batch.touched[index, 0] = one.region
        if rng.random() < settings.aged:
            batch.L[index, 0] = age(batch.L[index, 0], rng)
    return batch


@dataclass
class _Sample:
    """One picture of a batch: CIELAB [S, S, 3], the patches of its hints, its global hints, its lone region if any."""

    lab: NDArray[np.float32]
    patches: visitor.Patches
    vector: NDArray[np.float32]
    natural: bool
    region: NDArray[np.float32] | None = None


def _draw(rgb: NDArray[np.uint8], settings: Augmentation, many: bool, rng: np.random.Generator) -> _Sample:
    kind = rng.random()
    lone = recolour_one(rgb, rng) if kind < settings.lone_region else None
    if lone is not None:
        patches = visitor.patches_within(rng, lone[1] > INSIDE_REGION, int(rng.integers(1, MAX_IN_REGION + 1)))
        return _Sample(lone[0], patches, np.zeros(VECTOR_LENGTH, np.float32), False, lone[1])
    natural = kind >= settings.lone_region + settings.recoloured
    lab = lab_of(rgb) if natural else recolour(rgb, rng)
    count = visitor.mixed_count(rng, float(many), settings.max_hints, settings.geometric_p)
    patches = visitor.gaussian_patches(rng, count, whole=False)
    return _Sample(lab, patches, _global_vector(lab, settings.global_share, rng), natural)


def _global_vector(lab: NDArray[np.float32], share: float, rng: np.random.Generator) -> NDArray[np.float32]:
    ab = lab[..., 1:].transpose(2, 0, 1)
    hints = visitor.global_hints(rng, histogram_of(ab), saturation_of(lab_to_srgb(lab)), share)
    return hints.vector()


def make_batch(
    planes: NDArray[np.float32],
    patches: list[visitor.Patches],
    vectors: NDArray[np.float32],
) -> Batch:
    """A Batch of natural pictures from Lab planes [B, 3, S, S], the patches of each, and global hints [B, 316].

    A hint has the mean ab under its patch.
    """
    number = max(1, *map(len, patches)) if patches else 1
    shape = (len(planes), number)
    positions, colours = np.zeros((*shape, 2), np.float32), np.zeros((*shape, 2), np.float32)
    sizes, valid = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    for index, patch in enumerate(patches):
        count = len(patch)
        positions[index, :count] = patch.centres()
        colours[index, :count] = visitor.mean_colours(planes[index, 1:], patch)
        sizes[index, :count] = patch.size
        valid[index, :count] = 1
    L = np.ascontiguousarray(planes[:, :1])
    ab, natural, touched = np.ascontiguousarray(planes[:, 1:]), np.ones(len(planes), np.bool_), np.ones_like(L)
    return Batch(L, ab, positions, colours, sizes, valid, vectors, natural, touched)
