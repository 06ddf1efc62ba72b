"""The restorer: a small U-Net that makes the L of an old print like that of a good photograph.

It is trained so that the encoder of `touch` gives on the restored L what it gives on the clean L
(`training/restorer.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 48, 64)
CONTEXT = 64
# L enters as (L − 50) / SPREAD, and what the network adds to L leaves multiplied by SPREAD.
SPREAD = 25.0
# Sides of L must be multiples of this.
STRIDE = 8
# A photograph whose L would change by less than the first (root mean square, in units of L) has little to restore and
# is left as it is; from the second on it gets the whole change.
LITTLE, WORN = 2.0, 4.0


class Block(nn.Module):
    """Two convolutions beside an identity: [B, width, H, W] → the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Restorer(nn.Module):
    """L [B, 1, H, W] in 0…100 → restored L of the same shape, about 0…100. H and W are multiples of STRIDE.

    Three scales: 1/2, 1/4 and 1/8 of the sides. The mean and the spread of the coarsest maps over the whole picture
    say how faded it is. With the initial weights the answer is L itself.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.enter, self.fine = nn.Conv2d(4, fine, 3, padding=1), Block(fine)
        self.down, self.middle = nn.Conv2d(fine, middle, 3, 2, padding=1), Block(middle)
        self.down2, self.coarse = nn.Conv2d(middle, coarse, 3, 2, padding=1), Block(coarse)
        self.context = nn.Sequential(nn.Linear(2 * coarse, CONTEXT), nn.ReLU(), nn.Linear(CONTEXT, coarse))
        self.up2, self.middle_up = nn.Conv2d(coarse, middle, 1), Block(middle)
        self.up, self.fine_up = nn.Conv2d(middle, fine, 1), Block(fine)
        self.leave = nn.Conv2d(fine, 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, L: Tensor) -> Tensor:
        fine = self.fine(F.relu(self.enter(F.pixel_unshuffle((L - 50) / SPREAD, 2))))
        middle = self.middle(F.relu(self.down(fine)))
        coarse = F.relu(self.down2(middle))
        mean = coarse.mean((2, 3))
        spread = ((coarse - mean[..., None, None]) ** 2).mean((2, 3)).add(1e-5).sqrt()
        whole = self.context(torch.cat([mean, spread], 1))
        coarse = self.coarse(coarse + whole[..., None, None])
        middle = self.middle_up(F.relu(middle + _doubled(self.up2(coarse))))
        fine = self.fine_up(F.relu(fine + _doubled(self.up(middle))))
        return L + SPREAD * F.pixel_shuffle(self.leave(fine), 2)


class RestorerStage(nn.Module):
    """L [1, 1, H, W] → the L that the encoder gets: restored, or L itself where there is little to restore."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, L: Tensor) -> Tensor:
        change = self.restorer(L) - L
        size = (change**2).mean((1, 2, 3), keepdim=True).sqrt()
        return L + change * ((size - LITTLE) / (WORN - LITTLE)).clamp(0, 1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
