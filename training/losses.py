"""The paper's losses: Huber on ab, cross-entropy against the soft-encoded colours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..engine.colour import bins
from ..engine.inputs import AB_SCALE
from .soft_bins import SoftBins

HUBER_DELTA = 1.0
L1_WEIGHT = 10.0


def huber(predicted: Tensor, true: Tensor, weights: Tensor | None = None) -> Tensor:
    """Smooth L1 on ab in CIELAB units, both [B, 2, H, W]: ½d² below d = 1, d − ½ above (Zhang et al. 2017, eq. 2),
    summed over the two channels, averaged over pixels and pictures so that rates do not depend on the size.

    weights [B, 1, H, W]: weights of the pixels, with mean 1; None for equal ones.
    """
    losses = F.huber_loss(predicted.float(), true.float(), delta=HUBER_DELTA, reduction="none")
    return 2 * (losses if weights is None else losses * weights).mean()


def picture_error(predicted: Tensor, true: Tensor, chosen: Tensor) -> Tensor:
    """10 log₁₀ of (1 + the mean squared error of ab) of each picture, averaged over the chosen pictures, in dB.

    predicted and true [B, 2, H, W] in CIELAB units; chosen [B] in {0, 1}. This is what a mean PSNR measures, since L is
    given. The Huber loss prefers the most likely colour; this one prefers the mean, and an error in a pale picture
    counts as much as one in a colourful picture.
    """
    squared = ((predicted.float() - true.float()) ** 2).mean((1, 2, 3))
    return 10 * (torch.log10(1 + squared) * chosen).sum() / chosen.sum().clamp(min=1)


def cross_entropy(probabilities: Tensor, target: SoftBins) -> Tensor:
    """−Σ z log p over the bins, averaged over the places. probabilities [..., bins]; z: the target, for [...]."""
    reached = probabilities.float().gather(-1, target.indices)
    return -(target.weights * torch.log(reached.clamp(min=1e-8))).sum(-1).mean()


def absolute(predicted: Tensor, true: Tensor) -> Tensor:
    """10 · |d| / 110 on ab in CIELAB units, summed over the two channels, averaged over pixels and pictures.

    The retrained release minimises it instead of the paper's Huber loss.
    """
    return 2 * L1_WEIGHT / AB_SCALE * F.l1_loss(predicted.float(), true.float())


def grid_cross_entropy(logits: Tensor, ab: Tensor) -> Tensor:
    """−log p of the class of ab, averaged: logits [B, 529, h, w], ab [B, 2, h, w] in CIELAB units.

    The classes are the cells of the 23 × 23 grid of step 10; a varies slowly and b fast.
    """
    first, last = float(bins.GRID_CENTRES.min()), float(bins.GRID_CENTRES.max())
    side = int((last - first) / bins.STEP) + 1
    cell = ((ab - first) / bins.STEP).round().clamp(0, side - 1).long()
    return F.cross_entropy(logits.float(), cell[:, 0] * side + cell[:, 1])
