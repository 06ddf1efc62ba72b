"""Augmentation: the lightness of a photograph as that of an old print, for a whole batch on the training device.

Only L is changed; the colours to be learned stay those of the scene. The bench measures on aged pictures that are made
by other rules (`bench/accuracy/aging.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .draws import Draws

MAX_SCRATCHES = 5
SPECKS, SPECK_PX, SPECK_L = 4, (0.5, 1.6), (8.0, 30.0)
STAIN_L, MAX_STAIN_CELLS = 8.0, 4
# Half the width of the blur's kernel in pixels, enough for a standard deviation of 1.5.
BLUR_RADIUS = 5


@dataclass(frozen=True)
class Wear:
    """The probability of each trace of age. With 0 for stains and specks nothing is drawn for them."""

    blur: float
    fading: float
    grain: float
    scratches: float
    stains: float = 0.0
    specks: float = 0.0


LIGHT = Wear(blur=0.5, fading=0.6, grain=0.7, scratches=0.4)
HEAVY = Wear(blur=0.95, fading=0.97, grain=0.98, scratches=0.8, stains=0.85, specks=0.8)


def age(L: Tensor, draws: Draws, wear: Wear = LIGHT) -> Tensor:
    """L [M, 1, S, S] in 0…100 → L of old prints, on which each trace of age shows with its probability of `wear`."""
    count = len(L)

    def happens(share: float) -> Tensor:
        return draws.uniform(0, 1, count, 1, 1, 1) < share

    def between(low: float, high: float) -> Tensor:
        return draws.uniform(low, high, count, 1, 1, 1)

    aged = torch.where(happens(wear.blur), blurred(L, between(0.4, 1.5)), L)
    black, white = between(0, 25), between(75, 100)
    faded = black + (white - black) * (aged.clamp(0, 100) / 100) ** between(0.7, 1.4)
    aged = torch.where(happens(wear.fading), faded, aged)
    if wear.stains:
        aged = torch.where(happens(wear.stains), aged - _stains(L, draws), aged)
    noise = blurred(draws.normal(*L.shape), between(0.3, 0.9))
    grain = noise / noise.std((2, 3), keepdim=True).clamp(min=1e-6) * between(1, 6)
    aged = torch.where(happens(wear.grain), aged + grain, aged)
    if wear.specks:
        aged = torch.where(happens(wear.specks), aged + _specks(L, draws), aged)
    return torch.where(happens(wear.scratches), _scratched(aged, draws), aged).clamp(0, 100)


def blurred(planes: Tensor, sigma: Tensor) -> Tensor:
    """Planes [M, 1, H, W] blurred by Gaussians with standard deviations sigma [M, 1, 1, 1] in pixels."""
    count, radius = len(planes), BLUR_RADIUS
    steps = torch.arange(-radius, radius + 1, device=planes.device)
    kernel = torch.exp(-(steps**2) / (2 * sigma.reshape(count, 1) ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = F.pad(planes.transpose(0, 1), (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel.reshape(count, 1, 1, -1), groups=count)
    return F.conv2d(rows, kernel.reshape(count, 1, -1, 1), groups=count).transpose(0, 1)


def _stains(L: Tensor, draws: Draws) -> Tensor:
    """How much darker uneven paper is, a smooth plane for each picture [M, 1, S, S] of at most about STAIN_L."""
    cells = int(draws.host.integers(2, MAX_STAIN_CELLS + 1))
    field = draws.uniform(0, 1, len(L), 1, cells, cells)
    smooth = F.interpolate(field, L.shape[2:], mode="bicubic", align_corners=False)
    return smooth * draws.uniform(0, STAIN_L, len(L), 1, 1, 1)


def _specks(L: Tensor, draws: Draws) -> Tensor:
    """SPECKS round specks of dust, light or dark, to be added to each picture: [M, 1, S, S]."""
    count, side = len(L), L.shape[-1]
    pixels = torch.arange(side, device=L.device) + 0.5
    plane = torch.zeros_like(L)
    for _ in range(SPECKS):
        y, x = draws.uniform(0, side, 2, count, 1, 1, 1)
        size, height = draws.uniform(*SPECK_PX, count, 1, 1, 1), draws.uniform(*SPECK_L, count, 1, 1, 1)
        sign = torch.where(draws.uniform(0, 1, count, 1, 1, 1) < 0.5, -1.0, 1.0)
        plane = plane + sign * height * torch.exp(-((pixels - x) ** 2 + (pixels[:, None] - y) ** 2) / (2 * size**2))
    return plane


def _scratched(L: Tensor, draws: Draws) -> Tensor:
    """1 to 5 thin straight lines on each picture, light or dark."""
    count, side = len(L), L.shape[-1]
    x1, y1, x2, y2 = draws.uniform(0, side, 4, count, MAX_SCRATCHES, 1, 1)
    pixels = torch.arange(side, device=L.device) + 0.5
    x, y = pixels[None, :], pixels[:, None]
    along_x, along_y = x2 - x1, y2 - y1
    length = (along_x**2 + along_y**2).clamp(min=1e-6)
    along = (((x - x1) * along_x + (y - y1) * along_y) / length).clamp(0, 1)
    distance = ((x - x1 - along * along_x) ** 2 + (y - y1 - along * along_y) ** 2).sqrt()
    number = draws.integers(1, MAX_SCRATCHES, count, 1, 1, 1)
    drawn = torch.arange(MAX_SCRATCHES, device=L.device)[:, None, None] < number
    cover = (1 - distance).clamp(0, 1) * drawn
    light = draws.uniform(0, 1, count, MAX_SCRATCHES, 1, 1) < 0.7
    shade = draws.uniform(0, 25, count, MAX_SCRATCHES, 1, 1) + light * 75
    for index in range(MAX_SCRATCHES):
        line = slice(index, index + 1)
        L = torch.lerp(L, shade[:, line].expand_as(L), cover[:, line])
    return L
