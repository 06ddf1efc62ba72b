"""sRGB and CIELAB as torch operations on whole batches; the definitions are those of `engine/colour/cielab.py`.

Planes are float32 [B, 3, H, W]. Tests hold both implementations equal.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from ..engine.colour import cielab
from ..engine.colour.cielab import (
    GAMMA,
    GAMMA_OFFSET,
    GAMMA_SLOPE,
    GAMMA_THRESHOLD,
    INVERSE_LAB_THRESHOLD,
    LAB_OFFSET,
    LAB_SLOPE,
    LAB_THRESHOLD,
    LINEAR_THRESHOLD,
)


@functools.cache
def _matrix(name: str, device: torch.device) -> Tensor:
    """A matrix of `cielab` that is applied to a column of channels, kept on the device."""
    matrices = {
        "xyz": cielab.XYZ_FROM_RGB / cielab.WHITE[:, None],
        "rgb": cielab.RGB_FROM_XYZ * cielab.WHITE,
    }
    with torch.inference_mode(False):
        return torch.from_numpy(matrices[name].astype(np.float32)).to(device)


def _mixed(name: str, planes: Tensor) -> Tensor:
    return (_matrix(name, planes.device) @ planes.flatten(2)).reshape(planes.shape)


def srgb_to_lab(srgb: Tensor) -> Tensor:
    """Gamma-encoded sRGB [B, 3, H, W] in 0…1 → CIELAB [B, 3, H, W]."""
    curved = ((srgb.clamp(min=GAMMA_THRESHOLD) + GAMMA_OFFSET) / (1 + GAMMA_OFFSET)) ** GAMMA
    xyz = _mixed("xyz", torch.where(srgb > GAMMA_THRESHOLD, curved, srgb / GAMMA_SLOPE))
    root = xyz.clamp(min=LAB_THRESHOLD) ** (1 / 3)
    x, y, z = torch.where(xyz > LAB_THRESHOLD, root, LAB_SLOPE * xyz + LAB_OFFSET).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_srgb(lab: Tensor) -> Tensor:
    """CIELAB [B, 3, H, W] → gamma-encoded sRGB [B, 3, H, W], clipped into 0…1."""
    y = (lab[:, 0] + 16) / 116
    f = torch.stack([y + lab[:, 1] / 500, y, (y - lab[:, 2] / 200).clamp(min=0)], 1)
    linear = _mixed("rgb", torch.where(f > INVERSE_LAB_THRESHOLD, f**3, (f - LAB_OFFSET) / LAB_SLOPE)).clamp(0, 1)
    curved = (1 + GAMMA_OFFSET) * linear.clamp(min=LINEAR_THRESHOLD) ** (1 / GAMMA) - GAMMA_OFFSET
    return torch.where(linear > LINEAR_THRESHOLD, curved, linear * GAMMA_SLOPE)
