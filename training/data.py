"""Batches for training, made on the training device: crops of photographs, with hints of a simulated visitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..calibration import visitor as one_visitor
from ..engine.hints import WORKING_PX
from .aging import age
from .config import Augmentation
from .draws import Draws
from .lab import srgb_to_lab
from .recolour import recolour
from .visitor import counts_of_hints, gaussian_patches, global_hints, mean_colours, patches_within

# A single region gets a few hints, at most this many, where its soft mask is above this value.
MAX_IN_REGION = 5
INSIDE_REGION = 0.95


@dataclass
class Batch:
    """B crops of side S with at most N hints each: float32 tensors on one device.

    L [B, 1, S, S] in 0…100; ab [B, 2, S, S] in CIELAB units; positions [B, N, 2] as x, y in 0…1;
    colours [B, N, 2] in CIELAB units; sizes [B, N] in working pixels of 256; valid [B, N] in {0, 1};
    global_hints [B, 316]; natural bool [B]: False for pictures with recoloured regions, whose colours L does not
    predict; touched [M, 1, S, S] in 0…1: where ab is to be learned in the first M pictures, all of it in the others.
    In a picture whose hints all lie in one recoloured region it is that region; elsewhere the automatic colours should
    stay. draws: random numbers of this batch, for what else its losses need.
    """

    L: Tensor
    ab: Tensor
    positions: Tensor
    colours: Tensor
    sizes: Tensor
    valid: Tensor
    global_hints: Tensor
    natural: Tensor
    touched: Tensor
    draws: Draws

    @property
    def device(self) -> torch.device:
        return self.L.device

    def to(self, device: torch.device) -> Batch:
        """This batch on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved, draws=Draws(device, 0))

    def lone(self) -> Tensor:
        """Which of the first M pictures have all their hints in one recoloured region: bool [M]."""
        return self.touched.amin((1, 2, 3)) < 1


def draw_batch(photos: Tensor, size: int, settings: Augmentation, draws: Draws, crop_px: int = 0) -> Batch:
    """`size` random photographs of `photos` uint8 [n, s, s, 3] as a Batch on their device.

    crop_px: side of the crops; 0 for that of the settings. A batch depends only on the seed of `draws`. The
    first pictures have recoloured regions, the last are aged; which photographs these are is random.
    """
    single, clustered = draws.share_of(size, settings.lone_region), draws.share_of(size, settings.recoloured)
    changed, aged = min(size, single + clustered), draws.share_of(size, settings.aged)
    counts = counts_of_hints(size, settings, draws.host)
    few = draws.host.integers(1, MAX_IN_REGION + 1, single)
    number = max(1, int(counts.max(initial=0)), MAX_IN_REGION if single else 0)
    chosen = draws.sent(draws.host.integers(0, len(photos), size))
    rgb = crops(photos, chosen, crop_px or settings.crop_px, settings.min_crop, draws)
    lab = srgb_to_lab(rgb)
    natural = torch.arange(size, device=rgb.device) >= changed
    touched = rgb.new_ones(single, 1, *rgb.shape[2:])
    if changed:
        recoloured = recolour(rgb[:changed], lab[:changed], single, draws)
        rgb = torch.cat([recoloured.rgb, rgb[changed:]])
        lab = torch.cat([recoloured.lab, lab[changed:]])
        touched = recoloured.touched
    corner, sides = gaussian_patches(draws, size, number)
    count, vector = draws.sent(counts), global_hints(rgb, lab[:, 1:], settings.global_share, draws)
    if single:
        lone = touched.amin((1, 2, 3)) < 1
        placed, placed_sides = patches_within(touched, INSIDE_REGION, MAX_IN_REGION, draws)
        corner = _replaced(corner, placed, lone)
        sides = _replaced(sides, placed_sides, lone)
        count = _replaced(count, draws.sent(few), lone)
        vector = _replaced(vector, torch.zeros_like(vector[:single]), lone)
    L, ab = lab[:, :1], lab[:, 1:].contiguous()
    if aged:
        L = torch.cat([L[: size - aged], age(L[size - aged :], draws)])
    valid = (torch.arange(number, device=rgb.device) < count[:, None]).float()
    positions = (corner + sides[..., None] / 2) / WORKING_PX * valid[..., None]
    colours = mean_colours(ab, corner, sides) * valid[..., None]
    sides = torch.where(valid > 0, sides, 1.0)
    return Batch(L.contiguous(), ab, positions, colours, sides, valid, vector, natural, touched, draws)


def _replaced(values: Tensor, first: Tensor, where: Tensor) -> Tensor:
    """`values` [B, N, ...] with those of the first pictures and hints replaced by `first` [M, n, ...], where bool [M]
    holds. Also for [B] and [M]."""
    part = (slice(len(first)), *([slice(first.shape[1])] if first.dim() > 1 else []))
    values = values.clone()
    values[part] = torch.where(where.reshape(-1, *[1] * (first.dim() - 1)), first, values[part])
    return values


def crops(photos: Tensor, chosen: Tensor, side: int, min_crop: float, draws: Draws) -> Tensor:
    """Random squares of photographs, half of them mirrored: float32 RGB [B, 3, side, side] in 0…1.

    photos uint8 [n, s, s, 3], chosen int64 [B]. The squares have at least `min_crop` of the photograph's side. They are
    averaged over areas when they are reduced and interpolated when they are enlarged, by two matrix products.
    """
    count, whole = len(chosen), photos.shape[1]
    least = int(whole * min_crop)
    taken = draws.uniform(least, whole + 1, count).floor().clamp(max=whole)
    first = (draws.uniform(0, 1, 2, count) * (whole - taken + 1)).floor()
    rows, columns = _resampling(first[0], taken, whole, side), _resampling(first[1], taken, whole, side)
    mirrored = draws.uniform(0, 1, count, 1, 1) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns) / 255
    pixels = photos[chosen].to(torch.float32)
    reduced = (rows @ pixels.flatten(2)).reshape(count, side, whole, 3)
    reduced = reduced.permute(0, 3, 1, 2).reshape(count, 3 * side, whole)
    return (reduced @ columns.mT).reshape(count, 3, side, side)


def _resampling(first: Tensor, taken: Tensor, whole: int, side: int) -> Tensor:
    """Weights [B, side, whole] of the `taken` pixels from `first` on, both [B], in `side` new pixels; rows sum to 1."""
    pixels = torch.arange(whole, device=first.device)
    scale, first = (taken / side)[:, None, None], first[:, None, None]
    low = first + torch.arange(side, device=first.device)[:, None] * scale
    area = (torch.minimum(low + scale, pixels + 1) - torch.maximum(low, pixels)).clamp(min=0) / scale
    middle = torch.minimum(torch.maximum(low + scale / 2 - 0.5, first), first + taken[:, None, None] - 1)
    linear = (1 - (middle - pixels).abs()).clamp(min=0)
    return torch.where(scale > 1, area, linear)


def make_batch(
    planes: NDArray[np.float32], patches: Sequence[one_visitor.Patches], vectors: NDArray[np.float32]
) -> Batch:
    """A Batch on the CPU of natural pictures from Lab planes [B, 3, S, S], the patches of each, and global hints
    [B, 316].

    A hint has the mean ab under its patch.
    """
    number = max(1, *map(len, patches)) if patches else 1
    corner, size = np.zeros((len(planes), number, 2), np.float32), np.ones((len(planes), number), np.float32)
    valid = np.zeros_like(size)
    for index, patch in enumerate(patches):
        count = len(patch)
        corner[index, :count] = np.stack([patch.left, patch.top], 1)
        size[index, :count], valid[index, :count] = patch.size, 1
    L, ab = torch.from_numpy(planes).split((1, 2), 1)
    at, sides, there = (torch.from_numpy(array) for array in (corner, size, valid))
    return Batch(
        L.contiguous(), ab.contiguous(), (at + sides[..., None] / 2) / WORKING_PX * there[..., None],
        mean_colours(ab, at, sides) * there[..., None], sides, there, torch.from_numpy(vectors),
        torch.ones(len(planes), dtype=torch.bool), L[:0], Draws(L.device, 0),
    )  # fmt: skip


class BatchMaker:
    """The batches of a run: number k depends only on the seed and k, so a resumed run gets those it would have got.

    photos: uint8 [n, s, s, 3] on the training device. A CPU makes them with one thread: the operations are small, and
    threads that wait for each other after each cost more than they save, above all on a busy machine.
    """

    def __init__(self, photos: Tensor, size: int, settings: Augmentation, seed: int) -> None:
        self._photos, self._size, self._settings, self._seed = photos, size, settings, seed

    @torch.no_grad()
    def batch(self, number: int, crop_px: int = 0) -> Batch:
        """Batch `number`, with crops of another side if `crop_px` is not 0."""
        draws = Draws(self._photos.device, self._seed, number)
        if self._photos.device.type != "cpu":
            return draw_batch(self._photos, self._size, self._settings, draws, crop_px)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return draw_batch(self._photos, self._size, self._settings, draws, crop_px)
        finally:
            torch.set_num_threads(threads)
