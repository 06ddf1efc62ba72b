"""Training tasks: how a network gets from a batch to its losses, and what it predicts."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..build_engine.networks.efficientnet_lite import DEFAULT_BACKBONE
from ..build_engine.networks.hint_attention import Hints, Maps, hints_from_inputs
from ..build_engine.networks.touch import TouchNetwork
from ..engine.inputs import AB_SCALE
from .config import Config, Stage
from .data import Batch
from .losses import cross_entropy, huber, picture_error
from .soft_bins import soft_bins


class Task(Protocol):
    """A network with its losses."""

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        ...

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The named terms of the loss of a batch on the network's device; their sum is minimised."""
        ...

    def predict(self, network: nn.Module, batch: Batch) -> NDArray[np.float32]:
        """ab [B, 2, S, S] in CIELAB units."""
        ...

    def set_stage(self, stage: Stage | None) -> None:
        """Called before every step with the stage of the run to which the step belongs."""
        ...

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Groups of parameters, each with its share of the learning rate."""
        ...


class TouchTask:
    """`touch`: Huber on ab before and after convex upsampling, cross-entropy on the mixed distribution."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.touch = TouchNetwork(config.backbone or DEFAULT_BACKBONE)
        rates = config.optimiser
        self.touch.encoder.requires_grad_(rates.encoder_rate > 0)
        self.touch.encoder.backbone.requires_grad_(rates.backbone_rate > 0)

    @property
    def network(self) -> TouchNetwork:
        return self.touch

    @property
    def frozen(self) -> bool:
        """Whether no weight of the encoder is trained."""
        return not any(weight.requires_grad for weight in self.touch.encoder.parameters())

    def set_stage(self, stage: Stage | None) -> None:
        """`touch` is trained in one stage."""

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        rates, encoder = self.config.optimiser, self.network.encoder
        backbone = list(encoder.backbone.parameters())
        known = {id(p) for p in backbone}
        rest = [p for p in encoder.parameters() if id(p) not in known]
        attention = list(self.network.attention.parameters())
        return [(attention, 1.0), (rest, rates.encoder_rate), (backbone, rates.backbone_rate)]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        network, weights, device = self.network, self.config.losses, batch.device
        hints = hints_of_batch(batch)
        with torch.set_grad_enabled(not self.frozen):
            features = network.encoder(batch.L.contiguous(memory_format=torch.channels_last))
        maps = Maps(*(plane.float() for plane in network.attention.maps(features)))
        # A recoloured picture teaches how far hints reach, but not which colours objects have.
        natural = batch.natural[:, None, None, None]
        maps = maps._replace(base=torch.where(natural, maps.base, maps.base.detach()))
        with torch.autocast(device.type, enabled=False):
            fine, coarse = network.attention.colours(maps, hints, batch.global_hints)
            targets = self._targets(batch, maps, hints)
            whole = 1 - F.pad(batch.lone().float(), (0, len(fine) - len(batch.touched)))
            terms = {
                "huber": weights.huber * huber(fine, targets, self._pixel_weights(batch)),
                "coarse": weights.coarse * huber(coarse * AB_SCALE, F.avg_pool2d(targets, 4)),
                "picture": weights.picture * picture_error(fine, batch.ab, whole),
            }
            terms["distribution"] = weights.distribution * self._distribution_loss(batch, features.float(), maps, hints)
        return terms

    def _pixel_weights(self, batch: Batch) -> Tensor | None:
        """Weights of pixels in the Huber loss [B, 1, S, S]; None for equal ones."""
        first, settings = len(batch.touched), self.config.losses
        if not first:
            return None
        weights = pixel_weights(batch.touched, settings.lone, settings.inside)
        return torch.cat([weights, torch.ones_like(batch.L[first:])])

    def _targets(self, batch: Batch, maps: Maps, hints: Hints) -> Tensor:
        """The ab [B, 2, S, S] to be learned: the true one, but in pictures with a lone region what the network shows
        without hints, outside that region.

        These pictures have the Huber loss alone: their error is so small that a loss in dB would outweigh all others.
        """
        first, region = len(batch.touched), batch.touched
        if not first:
            return batch.ab
        with torch.no_grad():
            no_hints = Hints(*(field[:first, :1] for field in hints))
            no_hints = no_hints._replace(valid=torch.zeros_like(no_hints.valid))
            their_maps = Maps(*(plane[:first] for plane in maps))
            automatic = self.network.attention.colours(their_maps, no_hints, batch.global_hints[:first])[0]
        return torch.cat([batch.ab[:first] * region + automatic * (1 - region), batch.ab[first:]])

    def _distribution_loss(self, batch: Batch, features: Tensor, maps: Maps, hints: Hints) -> Tensor:
        """Cross-entropy at random cells against the true ab.

        Unless configured otherwise it trains only the head. The automatic distribution is trained only on natural
        pictures.
        """
        weights, attention = self.config.losses, self.network.attention
        if not weights.distribution_gradient:
            features = features.detach()
            maps = Maps(*(plane.detach() for plane in maps))
        true = F.avg_pool2d(batch.ab, 4)
        count, _, height, width = true.shape
        cells = batch.draws.integers(0, height * width - 1, count, weights.distribution_points)
        picked = torch.gather(features.flatten(2), 2, cells[:, None].expand(-1, features.shape[1], -1))
        logits = attention.bin_logits(picked[..., None])[..., 0].transpose(1, 2)
        logits = torch.where(batch.natural[:, None, None], logits, logits.detach())
        row, column = cells // width, cells % width
        points = torch.stack([(column + 0.5) / width, (row + 0.5) / height], -1)
        mixed = attention.mix_distribution(maps, hints, batch.global_hints, points, logits)
        colours = torch.gather(true.flatten(2), 2, cells[:, None].expand(-1, 2, -1)).transpose(1, 2)
        return cross_entropy(mixed, soft_bins(colours))

    def predict(self, network: nn.Module, batch: Batch) -> NDArray[np.float32]:
        maps = network(batch.L)
        hints = hints_of_batch(batch)
        return network.attention.colours(maps, hints, batch.global_hints)[0].cpu().numpy()  # type: ignore[operator, union-attr]


def pixel_weights(touched: Tensor, lone: float, within: float) -> Tensor:
    """Weights of pixels in the Huber loss, [M, 1, S, S].

    touched [M, 1, S, S] in 0…1: the lone region of a picture; all 1 in other pictures, whose pixels have weight 1. A
    lone region has the part `within` of its picture's weight, however small the region is, and the rest of the picture
    has 1 − within. The weight of the whole picture is `lone` times that of another.
    """
    share = touched.mean((2, 3), keepdim=True)
    both = within * touched / share + (1 - within) * (1 - touched) / (1 - share).clamp(min=1e-6)
    return torch.where(share < 1, lone * both, torch.ones_like(both))


def hints_of_batch(batch: Batch) -> Hints:
    """The hints of a batch as `touch` takes them."""
    return hints_from_inputs(batch.positions, batch.colours, batch.sizes, batch.valid)
