"""A new backbone for a trained `touch`: its lateral layers start with what the old ones gave, by least squares.

The rest of the network then gets nearly the maps that it knows, and training starts warm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..build_engine.networks.efficientnet_lite import TAP_STRIDES, fold_released_weights, taps_of
from ..build_engine.networks.touch import TouchNetwork
from ..calibration.photographs import lab_of
from ..engine.errors import ConfigError, ModelFileError

BATCH = 8
# Added to the correlations' diagonal: channels that are always the same, or copies of each other, stay solvable.
RIDGE = 1e-9
# The smallest number of cells at stride 32 for each unknown of a lateral layer.
MIN_CELLS = 2


def read_released_weights(path: Path, backbone: str) -> dict[str, Tensor]:
    """The released weights of a backbone in a safetensors file, with BatchNorms folded: float32, by our names.

    Raises ModelFileError for a file that cannot be read, ConfigError for weights of another backbone.
    """
    try:
        released = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path} is not a readable safetensors file: {error}") from error
    return fold_released_weights({name: weight.float() for name, weight in released.items()}, backbone)


def with_backbone(
    network: TouchNetwork, backbone: str, weights: Mapping[str, Tensor], squares: NDArray[np.uint8]
) -> tuple[TouchNetwork, dict[int, float]]:
    """`network` with another backbone, and the share of the old lateral layers' variance that the new ones explain.

    weights: of the new backbone, as `read_released_weights` gives them. squares: photographs uint8 [n, S, S, 3], S a
    multiple of 32. Raises ConfigError if they are too few to fit the layers.
    """
    cells = len(squares) * (squares.shape[1] // 32) * (squares.shape[2] // 32)
    needed = MIN_CELLS * (taps_of(backbone)[32] + 1)
    if cells < needed:
        photos = -(-needed * len(squares) // cells)
        raise ConfigError(f"{len(squares)} photographs are too few to fit a new backbone; give at least {photos}")
    new = TouchNetwork(backbone).eval()
    kept = {k: v for k, v in network.state_dict().items() if not k.startswith(("encoder.backbone.", "encoder.lateral"))}
    new.load_state_dict(kept | {f"encoder.backbone.{name}": weight for name, weight in weights.items()}, strict=False)
    sums = _normal_equations(network.eval(), new, squares)
    explained = {}
    for stride, fit in sums.items():
        layer, (weight, bias) = _lateral(new, stride), fit.solve()
        with torch.no_grad():
            layer.weight.copy_(weight[..., None, None])
            layer.bias.copy_(bias)  # type: ignore[union-attr]
        explained[stride] = fit.explained(weight, bias)
    return new, explained


class _Fit:
    """Sums of one least-squares problem: inputs x [n, C] with a constant 1, outputs y [n, D]; float64."""

    def __init__(self) -> None:
        self.xx = self.xy = self.yy = torch.zeros(())

    def add(self, x: Tensor, y: Tensor) -> None:
        """Maps [B, C, H, W] and [B, D, H, W] of the same cells."""
        rows = x.movedim(1, -1).reshape(-1, x.shape[1]).double()
        rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], 1)
        wanted = y.movedim(1, -1).reshape(-1, y.shape[1]).double()
        self.xx, self.xy = self.xx + rows.T @ rows, self.xy + rows.T @ wanted
        self.yy = self.yy + (wanted**2).sum(0)

    def solve(self) -> tuple[Tensor, Tensor]:
        """Weight [D, C] and bias [D] of the least-squares answer, float32."""
        count, x, y = self.xx[-1, -1], self.xx[-1, :-1] / self.xx[-1, -1], self.xy[-1] / self.xx[-1, -1]
        covariance = self.xx[:-1, :-1] - count * x[:, None] * x
        spread = covariance.diagonal().clamp(min=0).sqrt()
        scale = torch.where(spread > 0, spread, 1)
        correlation = covariance / (scale[:, None] * scale) + RIDGE * torch.eye(len(scale), dtype=torch.float64)
        solution = torch.linalg.solve(correlation, (self.xy[:-1] - count * x[:, None] * y) / scale[:, None])
        weight = (solution / scale[:, None]).T
        return weight.float(), (y - weight @ x).float()

    def explained(self, weight: Tensor, bias: Tensor) -> float:
        """The share of the variance of y that weight [D, C] and bias [D] explain."""
        solution = torch.cat([weight.T, bias[None]]).double()
        rest = self.yy - 2 * (solution * self.xy).sum(0) + (solution * (self.xx @ solution)).sum(0)
        variance = self.yy - self.xy[-1] ** 2 / self.xx[-1, -1]
        return float(1 - rest.sum() / variance.sum())


@torch.no_grad()
def _normal_equations(old: TouchNetwork, new: TouchNetwork, squares: NDArray[np.uint8]) -> dict[int, _Fit]:
    """For every stride, the new backbone's maps as inputs, and what the old lateral layer gives as outputs."""
    fits = {stride: _Fit() for stride in TAP_STRIDES}
    for start in range(0, len(squares), BATCH):
        L = torch.from_numpy(lab_of(squares[start : start + BATCH])[..., 0])[:, None]
        known, inputs = old.encoder.backbone_maps(L), new.encoder.backbone_maps(L)
        for stride, fit in fits.items():
            fit.add(inputs[stride], _lateral(old, stride)(known[stride]))
    return fits


def _lateral(network: TouchNetwork, stride: int) -> nn.Conv2d:
    return getattr(network.encoder, f"lateral{stride}")
