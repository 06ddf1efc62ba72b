"""Training of the paper's three networks: planes of hints in, the paper's losses out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..build_engine.checkpoint import read_weights
from ..build_engine.networks.planes import DECODER, HEAD, PlanesNetwork
from ..build_engine.planes_bundle import planes_input_table, topology_of
from ..engine.bundle import InputTable
from ..engine.colour import bins
from ..engine.hints import MAX_SIZE_PX, MIN_SIZE_PX, WORKING_PX
from .config import Config, Stage
from .data import Batch
from .eccv16 import start_from_eccv16
from .losses import absolute, cross_entropy, grid_cross_entropy, huber
from .soft_bins import soft_bins
from .visitor import hint_planes


class PlanesTask:
    """siggraph17, siggraph17-hypercolumn or siggraph17-global, by `config.network`.

    As in the paper, the Huber loss trains trunk and decoder, and the head is trained on detached features. In a stage
    with leads = "classes" it is the other way round.
    """

    mask = "zero-one"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.planes = PlanesNetwork(topology_of(config.network))
        self.settings = planes_input_table(self.planes.topology, self.mask)
        self.stage: Stage | None = None
        initialise(self.planes)
        if config.eccv16:
            start_from_eccv16(self.planes, read_weights(Path(config.eccv16)))

    @property
    def network(self) -> PlanesNetwork:
        return self.planes

    def set_stage(self, stage: Stage | None) -> None:
        """Open and close the gradient stops for the stage."""
        self.stage = stage
        leads = stage.leads if stage else "colour"
        self.planes.stopped = frozenset({HEAD if leads == "colour" else DECODER})

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(self.planes.parameters()), 1.0)]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Huber (or L1) on ab, and cross-entropy for networks with a distribution head."""
        hinted = self.stage.hints if self.stage else True
        full_share = self.config.augmentation.full_reveal if hinted else 0.0
        answers = self._forward(self.planes, batch, hinted, full_share)
        true, settings = batch.ab, self.config.losses
        terms = {"colour": huber(answers["ab"], true) if settings.colour == "huber" else absolute(answers["ab"], true)}
        if "logits" in answers:
            terms["distribution"] = settings.distribution * distribution_loss(answers["logits"], true)
        return terms

    def predict(self, network: nn.Module, batch: Batch) -> NDArray[np.float32]:
        return self._forward(network, batch)["ab"].float().cpu().numpy()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The network's weights by state-dict key, for its bundle."""
        state = self.planes.state_dict()
        return {name: state[name].float().cpu().numpy() for name in self.planes.topology.shapes()}

    def _forward(
        self, network: nn.Module, batch: Batch, hinted: bool = True, full_share: float = 0.0
    ) -> dict[str, Tensor]:
        if self.settings.takes_global:
            return network(normalised(batch.L, self.settings), batch.global_hints)
        return network(input_planes(batch, self.settings, hinted, full_share))


def input_planes(batch: Batch, settings: InputTable, hinted: bool = True, full_share: float = 0.0) -> Tensor:
    """A batch as input of the networks: L, a, b and mask, float32 [B, 4, S, S], normalised by `settings` as by
    `engine.inputs`.

    The patches of hints are scaled with the crop. With probability `full_share` a picture is revealed whole. hinted:
    whether hints are given at all.
    """
    side = batch.L.shape[-1]
    size = (batch.sizes * side / WORKING_PX).round().clamp(MIN_SIZE_PX, MAX_SIZE_PX)
    corner = (batch.positions * side - size[..., None] / 2 + 0.5).floor()
    there = batch.valid if hinted else torch.zeros_like(batch.valid)
    ab, mask = hint_planes(batch.colours, corner.long(), size.long(), there, side)
    if full_share:
        revealed = batch.draws.uniform(0, 1, len(ab), 1, 1, 1) < full_share
        ab, mask = torch.where(revealed, batch.ab, ab), torch.where(revealed, 1.0, mask)
    low, high = settings.mask
    return torch.cat([normalised(batch.L, settings), ab / settings.ab_scale, mask * (high - low) + low], 1)


def normalised(L: Tensor, settings: InputTable) -> Tensor:
    """L in 0…100, of any shape, as input of the networks, as `engine.inputs.normalise_lightness` does it."""
    offset, scale = settings.light
    return (L - offset) / scale


def distribution_loss(logits: Tensor, true: Tensor) -> Tensor:
    """Cross-entropy of a head at quarter resolution against the true ab [B, 2, H, W].

    529 classes: the class of every fourth pixel, as in the released training. 313 classes: ab downsampled bilinearly
    to a quarter, then soft-encoded over ten neighbours, as in the paper.
    """
    if logits.shape[1] == len(bins.GRID_CENTRES):
        return grid_cross_entropy(logits, true[:, :, ::4, ::4])
    small = F.interpolate(true, scale_factor=0.25, mode="bilinear", align_corners=False)
    return cross_entropy(logits.float().softmax(1).movedim(1, -1), soft_bins(small.movedim(1, -1)))


def initialise(network: PlanesNetwork) -> None:
    """Initial weights: normal, scaled after He. The last layer, the global branch and the hypercolumn get small ones,
    so that the first colours are nearly grey.
    """
    for name, module in network.named_modules():
        if not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            continue
        hypercolumn = name.startswith("hypercolumn.conv")
        if hypercolumn or name.startswith(("global", "model_out", "model_class", "hypercolumn")):
            nn.init.normal_(module.weight, std=0.01)
        else:
            taps = module.kernel_size[0] ** 2 // (4 if isinstance(module, nn.ConvTranspose2d) else 1)
            nn.init.normal_(module.weight, std=(2 / (module.in_channels * taps)) ** 0.5)
        if module.bias is not None:
            nn.init.constant_(module.bias, 1.0 if hypercolumn else 0.0)
