"""Training tasks: how a network gets from a batch to its losses, and what it predicts."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..build_engine.networks.efficientnet_lite import DEFAULT_BACKBONE
from ..build_engine.networks.hint_attention import Hints, Maps, hints_from_inputs
from ..build_engine.networks.touch import TouchNetwork
from ..engine.colour import bins
from ..engine.inputs import AB_SCALE
from .config import Config, Stage
from .data import Batch
from .losses import cross_entropy, huber, picture_error


class Task(Protocol):
    """A network with its losses."""

    @property
    def network(self) -> nn.Module:
        """The network that is trained."""
        ...

    def losses(self, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        """The named terms of the loss; their sum is minimised."""
        ...

    def predict(self, network: nn.Module, batch: Batch, device: torch.device) -> NDArray[np.float32]:
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

    def losses(self, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        network, weights = self.network, self.config.losses
        true = torch.from_numpy(batch.ab).to(device)
        hints, global_hints = hint_tensors(batch, device)
        L = torch.from_numpy(batch.L).to(device).contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(not self.frozen):
            features = network.encoder(L)
        maps = network.attention.maps(features)
        maps = Maps(*(plane.float() for plane in maps))
        # A recoloured picture teaches how far hints reach, but not which colours objects have.
        natural = torch.from_numpy(batch.natural).to(device)[:, None, None, None]
        maps = maps._replace(base=torch.where(natural, maps.base, maps.base.detach()))
        with torch.autocast(device.type, enabled=False):
            fine, coarse = network.attention.colours(maps, hints, global_hints)
            whole = torch.from_numpy(batch.touched.min((1, 2, 3)) == 1).to(device)
            targets = self._targets(batch, maps, hints, global_hints, true, ~whole)
            coarse_true = torch.nn.functional.avg_pool2d(true, 4)
            terms = {
                "huber": weights.huber
                * huber(fine, targets, pixel_weights(batch.touched, weights.lone, weights.inside).to(device)),
                "coarse": weights.coarse * huber(coarse * AB_SCALE, torch.nn.functional.avg_pool2d(targets, 4)),
                "picture": weights.picture * picture_error(fine[whole], true[whole]),
            }
            terms["distribution"] = weights.distribution * self._distribution_loss(
                features.float(), maps, hints, global_hints, coarse_true, natural[..., 0]
            )
        return terms

    def _targets(
        self, batch: Batch, maps: Maps, hints: Hints, global_hints: Tensor, true: Tensor, lone: Tensor
    ) -> Tensor:
        """The ab [B, 2, S, S] to be learned: the true one, but in pictures with a lone region (`lone` bool [B]) what
        the network shows without hints, outside that region.

        These pictures have the Huber loss alone: their error is so small that a loss in dB would outweigh all others.
        """
        if not bool(lone.any()):
            return true
        their_maps, no_hints = Maps(*(plane[lone] for plane in maps)), Hints(*(field[lone, :1] for field in hints))
        with torch.no_grad():
            no_hints = no_hints._replace(valid=torch.zeros_like(no_hints.valid))
            automatic = self.network.attention.colours(their_maps, no_hints, global_hints[lone])[0]
        region = torch.from_numpy(batch.touched).to(true.device)[lone]
        targets = true.clone()
        targets[lone] = true[lone] * region + automatic * (1 - region)
        return targets

    def _distribution_loss(
        self, features: Tensor, maps: Maps, hints: Hints, global_hints: Tensor, true: Tensor, natural: Tensor
    ) -> Tensor:
        """Cross-entropy at random cells against the true ab [B, 2, H/4, W/4].

        Unless configured otherwise it trains only the head. The automatic distribution is trained only on natural
        pictures (natural bool [B, 1, 1]).
        """
        weights, attention = self.config.losses, self.network.attention
        if not weights.distribution_gradient:
            features = features.detach()
            maps = Maps(*(plane.detach() for plane in maps))
        batch, _, height, width = true.shape
        cells = torch.randint(height * width, (batch, weights.distribution_points), device=true.device)
        picked = torch.gather(features.flatten(2), 2, cells[:, None].expand(-1, features.shape[1], -1))
        logits = attention.bin_logits(picked[..., None])[..., 0].transpose(1, 2)
        logits = torch.where(natural, logits, logits.detach())
        row, column = cells // width, cells % width
        points = torch.stack([(column + 0.5) / width, (row + 0.5) / height], -1)
        mixed = attention.mix_distribution(maps, hints, global_hints, points, logits)
        colours = torch.gather(true.flatten(2), 2, cells[:, None].expand(-1, 2, -1)).transpose(1, 2)
        encoded = torch.from_numpy(bins.soft_encode(colours.cpu().numpy())).to(true.device)
        return cross_entropy(mixed, encoded)

    def predict(self, network: nn.Module, batch: Batch, device: torch.device) -> NDArray[np.float32]:
        hints, global_hints = hint_tensors(batch, device)
        maps = network(torch.from_numpy(batch.L).to(device))
        return network.attention.colours(maps, hints, global_hints)[0].cpu().numpy()  # type: ignore[operator, union-attr]


def pixel_weights(touched: NDArray[np.float32], lone: float, within: float) -> Tensor:
    """Weights of pixels in the Huber loss, [B, 1, S, S].

    touched [B, 1, S, S] in 0…1: the lone region of a picture; all 1 in other pictures, whose pixels have weight 1. A
    lone region has the part `within` of its picture's weight, however small the region is, and the rest of the picture
    has 1 − within. The weight of the whole picture is `lone` times that of another.
    """
    inside = torch.from_numpy(touched)
    share = inside.mean((2, 3), keepdim=True)
    both = within * inside / share + (1 - within) * (1 - inside) / (1 - share).clamp(min=1e-6)
    return torch.where(share < 1, lone * both, torch.ones_like(both))


def hint_tensors(batch: Batch, device: torch.device) -> tuple[Hints, Tensor]:
    """The hints of a batch as `touch` takes them, and the global hints [B, 316]."""
    fields = (batch.positions, batch.colours, batch.sizes, batch.valid)
    hints = hints_from_inputs(*(torch.from_numpy(field).to(device) for field in fields))
    return hints, torch.from_numpy(batch.global_hints).to(device)
