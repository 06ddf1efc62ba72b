"""Protocols of accuracy: which points are revealed, at which size pictures are compared, and how.

zhang17: the sweep over numbers of points of Zhang et al. 2017 (Figure 6), as in the authors' released code.
icolorit: the protocol of iColoriT (Yun et al., WACV 2023). Their columns must never be mixed: size, patches,
positions and rounding all differ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...calibration.photographs import squashed
from ...calibration.visitor import gaussian_patches, reveal
from ...engine.colour.cielab import lab_to_srgb, srgb_to_lab
from ...engine.colour.metrics import psnr
from ...engine.hints import WORKING_PX, Hint

# A perfect picture scores as one with a single 8-bit value off by one, so that means stay finite.
PERFECT_DB = 20 * np.log10(255) + 10 * np.log10(3 * WORKING_PX**2)


@dataclass(frozen=True)
class Picture:
    """A photograph with its truth.

    rgb: uint8 [S, S, 3] at the side at which it is scored. lab: CIELAB of it, float64 [S, S, 3].
    L: float32 [N, N] in 0…100 at the network's own side.
    """

    rgb: NDArray[np.uint8]
    lab: NDArray[np.float64]
    L: NDArray[np.float32]

    @property
    def ab(self) -> NDArray[np.float32]:
        """The true ab float32 [2, S, S] in CIELAB units."""
        return np.ascontiguousarray(self.lab[..., 1:].transpose(2, 0, 1), np.float32)


class Protocol(ABC):
    """A way of drawing hints from the truth and of scoring a colouring."""

    name: str
    side: int
    text: str

    def picture(self, data: bytes, network_side: int) -> Picture:
        """Decode the bytes of a photograph. Raises OSError if they are no picture."""
        rgb = squashed(data, self.side)
        lab = srgb_to_lab(rgb / 255).astype(np.float64)
        seen = lab if network_side == self.side else srgb_to_lab(squashed(data, network_side) / 255)
        return Picture(rgb, lab, seen[..., 0].astype(np.float32))

    @abstractmethod
    def hints(self, rng: np.random.Generator, ab: NDArray[np.float32], count: int) -> list[Hint]:
        """`count` hints that reveal the true ab [2, S, S] under their patches; not projected into the gamut."""

    @abstractmethod
    def psnr(self, picture: Picture, ab: NDArray[np.float32]) -> float:
        """PSNR in dB over all pixels and channels of sRGB, of ab float32 [2, h, w] on the true L."""

    def rgb(self, picture: Picture, ab: NDArray[np.float32]) -> NDArray[np.float64]:
        """ab float32 [2, h, w] on the true L → sRGB float64 [S, S, 3], clipped into 0…1."""
        if ab.shape[1:] != picture.lab.shape[:2]:
            planes = [cv2.resize(plane, (self.side, self.side), interpolation=cv2.INTER_LINEAR) for plane in ab]
            ab = np.stack(planes)
        lab = np.concatenate([picture.lab[..., :1], ab.transpose(1, 2, 0)], -1)
        return lab_to_srgb(lab).astype(np.float64)


class Zhang17(Protocol):
    """256 × 256, squashed; patches of 6 × 6; Gaussian places; 8 bits by truncation."""

    name = "zhang17"
    side = WORKING_PX
    patch_px = 6
    text = (
        "256 × 256 (PIL bilinear, aspect ratio not kept); points reveal the mean ab of 6 × 6 patches at Gaussian "
        "places (standard deviation a quarter of the side), drawn afresh for every count; result on the true L, "
        "truncated to 8 bits; PSNR over all pixels and channels of every picture, then the mean"
    )

    def hints(self, rng: np.random.Generator, ab: NDArray[np.float32], count: int) -> list[Hint]:
        return reveal(ab, gaussian_patches(rng, count, (self.patch_px, self.patch_px)))

    def psnr(self, picture: Picture, ab: NDArray[np.float32]) -> float:
        """The result is truncated to 8 bits, as the authors do it; nothing else in Livetint truncates."""
        return min(psnr((self.rgb(picture, ab) * 255).astype(np.uint8), picture.rgb), PERFECT_DB)


class IColoriT(Protocol):
    """224 × 224; cells of 2 × 2 drawn uniformly with replacement; floating point, at most 50 dB."""

    name = "icolorit"
    side = 224
    cell_px = 2
    min_error = 1e-5
    text = (
        "scored at 224 × 224 (PIL bilinear, aspect ratio not kept); points reveal the mean ab of 2 × 2 cells drawn "
        "uniformly with replacement, afresh for every count; PSNR of sRGB in 0…1 without rounding, mean squared "
        "error at least 1e-5 (50 dB) in every picture, then the mean"
    )

    def hints(self, rng: np.random.Generator, ab: NDArray[np.float32], count: int) -> list[Hint]:
        """A hint's size is in working pixels: 2 · 256 / 224, rounded to 2."""
        cells = rng.integers(0, self.side // self.cell_px, (count, 2))
        size = round(self.cell_px * WORKING_PX / self.side)
        hints = []
        for row, column in cells:
            top, left = row * self.cell_px, column * self.cell_px
            a, b = ab[:, top : top + self.cell_px, left : left + self.cell_px].mean((1, 2), dtype=np.float64)
            x, y = ((edge + self.cell_px / 2) / self.side for edge in (left, top))
            hints.append(Hint(float(x), float(y), float(a), float(b), size))
        return hints

    def psnr(self, picture: Picture, ab: NDArray[np.float32]) -> float:
        error = np.mean((self.rgb(picture, ab) - picture.rgb / 255) ** 2)
        return float(-10 * np.log10(max(error, self.min_error)))


PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (Zhang17(), IColoriT())}
