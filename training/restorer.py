"""Train the restorer of a `touch` bundle: the encoder should see in an old print's restored L what the clean L shows.

The encoder stays as it is. Photographs are aged while training; a part of them stays clean, and there the restorer
learns to change nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..build_engine.networks.hint_attention import KEY, Hints, Maps
from ..build_engine.networks.restorer import Restorer
from ..build_engine.networks.touch import TouchNetwork
from ..build_engine.touch_bundle import network_of
from ..engine.errors import ConfigError
from ..engine.inputs import AB_SCALE
from ..engine.models import find_model
from .aging import HEAVY, LIGHT, age
from .config import Config, Stage
from .data import Batch
from .draws import Draws
from .tasks import hints_of_batch

# Of a batch: the share that stays clean, with its weight in the loss, and the share of the aged ones with few traces.
CLEAN_SHARE, CLEAN_WEIGHT, LIGHT_SHARE = 0.3, 4.0, 0.15
# Every aged photograph of a batch is aged as often, because what the encoder sees in its clean L is then computed once.
AGED_TIMES = 2
# How much the distance in each map counts. Queries and keys decide where the colours of hints go.
MAP_WEIGHTS = {"features": 1.0, "query": 2.0, "key": 2.0, "null": 1.0, "gate": 1.0, "base": 1.0, "mood": 0.5}
# Channels of a map that hardly vary count as if they varied by this share of the map's mean.
MIN_SPREAD = 0.3
# The held-out photographs all get the same traces, so that curves of different runs can be compared.
HELD_OUT_SEED = 1937


class RestorerTask:
    """A restorer for the encoder of a bundle that stays as it is: mean squared distance of maps, and of L."""

    def __init__(self, config: Config) -> None:
        bundle = find_model(config.encoder_of)
        if bundle.manifest.network != "touch":
            raise ConfigError(f"{bundle.folder} is a {bundle.manifest.network}; a restorer is for bundles of touch")
        self.config, self.bundle = config, bundle
        self.restorer = Restorer()
        self._touch = network_of(bundle).requires_grad_(False)
        self._scales: dict[str, Tensor] = {}

    @property
    def network(self) -> Restorer:
        return self.restorer

    def set_stage(self, stage: Stage | None) -> None:
        """A restorer is trained in one stage."""

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(self.restorer.parameters()), 1.0)]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        weights = self.config.losses
        clean, old, source = aged_versions(batch.L, batch.draws)
        restored = self.restorer(old.contiguous(memory_format=torch.channels_last)).float()
        terms = {"lightness": weights.lightness * F.mse_loss(restored, clean[source])}
        if weights.maps:
            with torch.no_grad():
                wanted = self._seen(clean)
            found = self._seen(restored)
            weight = torch.where(source < _clean_count(len(clean)), CLEAN_WEIGHT, 1.0)
            terms["maps"] = weights.maps * self._distance(found, wanted, source, weight)
            terms["answer"] = weights.answer * self._difference(found.maps, wanted.maps, batch, source, weight)
        return terms

    def _distance(self, found: Seen, wanted: Seen, source: Tensor, weight: Tensor) -> Tensor:
        """The weighted mean squared distance of the maps, in units of their spread."""
        compared, target = found.compared(), wanted.compared()
        if not self._scales:
            self._scales = {name: spread(name, values) for name, values in target.items()}
        total = weight.new_zeros(())
        for name, share in MAP_WEIGHTS.items():
            difference = (compared[name] - target[name][source]) / self._scales[name]
            total = total + share * ((difference**2).flatten(1).mean(1) * weight).mean()
        return total

    def _difference(self, found: Maps, wanted: Maps, batch: Batch, source: Tensor, weight: Tensor) -> Tensor:
        """The weighted mean squared difference of the coarse ab that hints of the batch give, in CIELAB units."""
        attention, hints, vector = self._touch.attention, hints_of_batch(batch), batch.global_hints
        with torch.autocast(weight.device.type, enabled=False):
            with torch.no_grad():
                target = attention.colours(wanted, hints, vector)[1][source]
            again = Hints(*(field[source] for field in hints))
            coarse = attention.colours(found, again, vector[source])[1]
        return (((coarse - target) * AB_SCALE) ** 2).mean((1, 2, 3)).mul(weight).mean()

    def _seen(self, L: Tensor) -> Seen:
        touch = self._on(L.device)
        features = touch.encoder(L.contiguous(memory_format=torch.channels_last))
        maps = Maps(*(plane.float() for plane in touch.attention.maps(features)))
        return Seen(features.float(), maps)

    def _on(self, device: torch.device) -> TouchNetwork:
        self._touch = self._touch.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._touch

    def predict(self, network: nn.Module, batch: Batch) -> NDArray[np.float32]:
        """ab of the photographs as old prints, restored by `network`."""
        touch = self._on(batch.device)
        old = age(batch.L, Draws(batch.device, HELD_OUT_SEED), HEAVY)
        maps = touch(network(old))
        return touch.attention.colours(maps, hints_of_batch(batch), batch.global_hints)[0].cpu().numpy()


class Seen(NamedTuple):
    """What the encoder sees in a photograph: its features [B, C, H/4, W/4] and maps, all float32."""

    features: Tensor
    maps: Maps

    def compared(self) -> dict[str, Tensor]:
        """The parts that should not change with age; of a query its content and the null logit, not its place."""
        maps = self.maps
        content, null = maps.query[:, :, :KEY], maps.query[:, :, -1:]
        return {"features": self.features, "query": content, "null": null, "key": maps.key, "gate": maps.gate,
                "base": maps.base, "mood": maps.mood}  # fmt: skip


def aged_versions(L: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """L [B, 1, S, S] → L itself, versions of it [V, 1, S, S], and the index [V] in L of each version.

    The first photographs stay clean and come once. The others come AGED_TIMES, the first of them with few traces of
    age, the others with many.
    """
    clean = _clean_count(len(L))
    kept = torch.arange(clean, device=L.device)
    source = torch.arange(clean, len(L), device=L.device).repeat(AGED_TIMES)
    light = round(LIGHT_SHARE * len(source))
    old = [age(L[rows], draws, wear) for rows, wear in ((source[:light], LIGHT), (source[light:], HEAVY)) if len(rows)]
    return L, torch.cat([L[kept], *old]), torch.cat([kept, source])


def _clean_count(photographs: int) -> int:
    return round(CLEAN_SHARE * photographs)


def spread(name: str, values: Tensor) -> Tensor:
    """The standard deviation of every channel of a map over photographs and places, to divide the map by.

    Channels have at least MIN_SPREAD of the map's root mean square of them.
    """
    over = (0, 3) if name in ("query", "null") else (0, *range(2, values.dim()))
    found = values.std(over, keepdim=True)
    return found.clamp(min=MIN_SPREAD * float(found.square().mean().sqrt()))
