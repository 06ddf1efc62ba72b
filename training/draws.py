"""The random numbers of one batch: what decides shapes is drawn on the CPU, everything else on the training device.

No number comes back from the device, so the CPU never waits for it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Draws:
    """Random numbers that depend on `seed` and, for those of the device, on its kind.

    host: for small decisions, such as how many pictures are recoloured. generator: on `device`, for all else.
    """

    def __init__(self, device: torch.device, *seed: int) -> None:
        sequence = np.random.SeedSequence(seed)
        self.device, self.host = device, np.random.default_rng(sequence)
        self.generator = torch.Generator(device)
        self.generator.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """float32 of this shape, uniform in [low, high)."""
        return torch.empty(shape, device=self.device).uniform_(low, high, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """float32 of this shape, normal with mean 0 and deviation 1."""
        return torch.empty(shape, device=self.device).normal_(generator=self.generator)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 of this shape, from `low` to `high` inclusive."""
        return torch.randint(low, high + 1, shape, device=self.device, generator=self.generator)

    def chosen(self, weights: Tensor) -> Tensor:
        """An index [M] for each row of weights [M, n] ≥ 0, with probabilities in proportion to them."""
        waits = torch.empty(weights.shape, device=self.device).exponential_(generator=self.generator)
        return (weights / waits).argmax(1)

    def share_of(self, count: int, share: float) -> int:
        """About `share` of `count`: rounded up or down at random, so that the mean is exact."""
        return int(np.floor(count * share + self.host.random()))

    def sent(self, numbers: NDArray) -> Tensor:
        """Numbers that were drawn on the CPU, on the device."""
        tensor = torch.from_numpy(numbers)
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)
