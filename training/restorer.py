"""Train the restorer of a `touch` bundle: the encoder should see in an old print's restored L what the clean L shows.

The encoder stays as it is. Photographs are aged while training; a part of them stays clean, and there the restorer
learns to change nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..build_engine.networks.restorer import Restorer
from ..build_engine.networks.touch import TouchNetwork
from ..build_engine.touch_bundle import network_of
from ..engine.errors import ConfigError
from ..engine.models import find_model
from .aging import HEAVY, LIGHT, age
from .config import Config, Stage
from .data import Batch
from .draws import Draws
from .tasks import hints_of_batch

# Of a batch: the share that stays clean, with its weight in the loss, and the share of the aged ones with few traces.
CLEAN_SHARE, CLEAN_WEIGHT, LIGHT_SHARE = 0.3, 4.0, 0.3
# Every aged photograph of a batch is aged as often, because what the encoder sees in its clean L is then computed once.
AGED_TIMES = 2
# How much the distance in each map counts. Queries and keys decide where the colours of hints go.
MAP_WEIGHTS = {"features": 1.0, "query": 2.0, "key": 2.0, "base": 1.0, "mood": 0.5}
# The content of a query; what follows it depends on the place alone.
QUERY_CONTENT = 32
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
            terms["maps"] = weights.maps * self._distance(restored, clean, source)
        return terms

    def _distance(self, restored: Tensor, clean: Tensor, source: Tensor) -> Tensor:
        """The weighted mean squared distance of the maps, in units of their spread."""
        with torch.no_grad():
            wanted = self._maps(clean)
        if not self._scales:
            self._scales = {name: _spread(name, values) for name, values in wanted.items()}
        found = self._maps(restored)
        weight = torch.where(source < _clean_count(len(clean)), CLEAN_WEIGHT, 1.0)
        total = restored.new_zeros(())
        for name, share in MAP_WEIGHTS.items():
            difference = (found[name] - wanted[name][source]) / self._scales[name]
            total = total + share * ((difference**2).flatten(1).mean(1) * weight).mean()
        return total

    def _maps(self, L: Tensor) -> dict[str, Tensor]:
        touch = self._on(L.device)
        features = touch.encoder(L.contiguous(memory_format=torch.channels_last))
        maps = touch.attention.maps(features)
        query = maps.query[:, :, :QUERY_CONTENT]
        found = {"features": features, "query": query, "key": maps.key, "base": maps.base, "mood": maps.mood}
        return {name: values.float() for name, values in found.items()}

    def _on(self, device: torch.device) -> TouchNetwork:
        self._touch = self._touch.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._touch

    def predict(self, network: nn.Module, batch: Batch) -> NDArray[np.float32]:
        """ab of the photographs as old prints, restored by `network`."""
        touch = self._on(batch.device)
        old = age(batch.L, Draws(batch.device, HELD_OUT_SEED), HEAVY)
        maps = touch(network(old))
        return touch.attention.colours(maps, hints_of_batch(batch), batch.global_hints)[0].cpu().numpy()


def aged_versions(L: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """L [B, 1, S, S] → L itself, versions of it [V, 1, S, S], and the index [V] in L of each version.

    The first photographs stay clean and come once. The others come AGED_TIMES, the first of them with few traces of
    age, the others with many.
    """
    clean = _clean_count(len(L))
    kept = torch.arange(clean, device=L.device)
    source = torch.arange(clean, len(L), device=L.device).repeat(AGED_TIMES)
    light = round(LIGHT_SHARE * len(source))
    parts = [L[kept], age(L[source[:light]], draws, LIGHT), age(L[source[light:]], draws, HEAVY)]
    return L, torch.cat(parts), torch.cat([kept, source])


def _clean_count(photographs: int) -> int:
    return round(CLEAN_SHARE * photographs)


def _spread(name: str, values: Tensor) -> Tensor:
    """The standard deviation of every channel of a map over photographs and places, to divide the map by."""
    over = (0, 3) if name == "query" else (0, *range(2, values.dim()))
    return values.std(over, keepdim=True).clamp(min=1e-3)
