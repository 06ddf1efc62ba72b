"""What a network is trained to do: from a batch to its loss, and from photographs to its curve."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
        """What is trained."""
        ...

    def losses(self, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        """Named terms; their sum is minimised."""
        ...

    def predict(self, network: nn.Module, batch: Batch, device: torch.device) -> NDArray[np.float32]:
        """ab [B, 2, S, S] in CIELAB units."""
        ...

    def enter(self, stage: Stage | None) -> None:
        """Told before every step which stage of the run it belongs to."""
        ...

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters and the share of the learning rate they get."""
        ...


class TouchTask:
    """`touch`: Huber on ab before and after convex upsampling, cross-entropy on the mixed distribution."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.touch = TouchNetwork()
        rates = config.optimiser
        self.touch.encoder.requires_grad_(rates.encoder_rate > 0)
        self.touch.encoder.backbone.requires_grad_(rates.backbone_rate > 0)

    @property
    def network(self) -> TouchNetwork:
        return self.touch

    @property
    def frozen(self) -> bool:
        """Whether nothing in the encoder learns."""
        return not any(weight.requires_grad for weight in self.touch.encoder.parameters())

    def enter(self, stage: Stage | None) -> None:
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
        # A recoloured picture teaches how far hints reach, not what colour things have by themselves.
        natural = torch.from_numpy(batch.natural).to(device)[:, None, None, None]
        maps = maps._replace(base=torch.where(natural, maps.base, maps.base.detach()))
        with torch.autocast(device.type, enabled=False):
            fine, coarse = network.attention.colours(maps, hints, global_hints)
            whole = torch.from_numpy(batch.touched.min((1, 2, 3)) == 1).to(device)
            wanted = self._wanted(batch, maps, hints, global_hints, true, ~whole)
            target = torch.nn.functional.avg_pool2d(true, 4)
            terms = {
                "huber": weights.huber
                * huber(fine, wanted, pixel_weights(batch.touched, weights.lone, weights.inside).to(device)),
                "coarse": weights.coarse * huber(coarse * AB_SCALE, torch.nn.functional.avg_pool2d(wanted, 4)),
                "picture": weights.picture * picture_error(fine[whole], true[whole]),
            }
            terms["distribution"] = weights.distribution * self._distribution_loss(
                features.float(), maps, hints, global_hints, target, natural[..., 0]
            )
        return terms

    def _wanted(
        self, batch: Batch, maps: Maps, hints: Hints, global_hints: Tensor, true: Tensor, lone: Tensor
    ) -> Tensor:
        """The true ab [B, 2, S, S]; outside the region of the pictures `lone` bool [B], what was there before the
        touch. Their loss in dB would outweigh all others, being nearly met: Huber's alone teaches them."""
        if not bool(lone.any()):
            return true
        some, nothing = Maps(*(plane[lone] for plane in maps)), Hints(*(field[lone, :1] for field in hints))
        with torch.no_grad():
            nothing = nothing._replace(valid=torch.zeros_like(nothing.valid))
            before = self.network.attention.colours(some, nothing, global_hints[lone])[0]
        touched = torch.from_numpy(batch.touched).to(true.device)[lone]
        wanted = true.clone()
        wanted[lone] = true[lone] * touched + before * (1 - touched)
        return wanted

    def _distribution_loss(
        self, features: Tensor, maps: Maps, hints: Hints, global_hints: Tensor, target: Tensor, natural: Tensor
    ) -> Tensor:
        """Cross-entropy at random cells. Unless configured otherwise, only the head learns from it; the automatic
        distribution learns from natural pictures alone (natural [B, 1, 1])."""
        weights, attention = self.config.losses, self.network.attention
        if not weights.distribution_gradient:
            features = features.detach()
            maps = Maps(*(plane.detach() for plane in maps))
        batch, _, height, width = target.shape
        cells = torch.randint(height * width, (batch, weights.distribution_points), device=target.device)
        picked = torch.gather(features.flatten(2), 2, cells[:, None].expand(-1, features.shape[1], -1))
        logits = attention.bin_logits(picked[..., None])[..., 0].transpose(1, 2)
        logits = torch.where(natural, logits, logits.detach())
        row, column = cells // width, cells % width
        points = torch.stack([(column + 0.5) / width, (row + 0.5) / height], -1)
        mixed = attention.mix_distribution(maps, hints, global_hints, points, logits)
        colours = torch.gather(target.flatten(2), 2, cells[:, None].expand(-1, 2, -1)).transpose(1, 2)
        encoded = torch.from_numpy(bins.soft_encode(colours.cpu().numpy())).to(target.device)
        return cross_entropy(mixed, encoded)

    def predict(self, network: nn.Module, batch: Batch, device: torch.device) -> NDArray[np.float32]:
        hints, global_hints = hint_tensors(batch, device)
        maps = network(torch.from_numpy(batch.L).to(device))
        return network.attention.colours(maps, hints, global_hints)[0].cpu().numpy()  # type: ignore[operator, union-attr]


def pixel_weights(touched: NDArray[np.float32], lone: float, within: float) -> Tensor:
    """Weights of pixels [B, 1, S, S]: 1 in pictures that are wanted whole. The inside of a lone region counts `within`,
    however small it is, the outside the rest, and both `lone` times as much as the pixels of other pictures.

    touched [B, 1, S, S] in 0…1, all 1 in those other pictures."""
    inside = torch.from_numpy(touched)
    share = inside.mean((2, 3), keepdim=True)
    both = within * inside / share + (1 - within) * (1 - inside) / (1 - share).clamp(min=1e-6)
    return torch.where(share < 1, lone * both, torch.ones_like(both))


def hint_tensors(batch: Batch, device: torch.device) -> tuple[Hints, Tensor]:
    """The hints of a batch as `touch` takes them, and the global hints [B, 316]."""
    fields = (batch.positions, batch.colours, batch.sizes, batch.valid)
    hints = hints_from_inputs(*(torch.from_numpy(field).to(device) for field in fields))
    return hints, torch.from_numpy(batch.global_hints).to(device)
