"""What a cell shows: skin, hair, plants, a vehicle's glass, wheels or paint, or something else.

A face keeps its colour when the collar below it is touched, and glass when the bonnet before it is. The encoder's
features know faces and vehicles well; the products of queries and keys, learned from colours alone, do not say it
strongly enough. So skin, hair and plants are guarded against hints on something else, and everything but paint is
guarded against hints on paint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The first is anything else. Glass and wheels have kinds of their own only to be told from paint.
KINDS = ("other", "skin", "hair", "plants", "glass", "wheels", "paint")
GUARDED = 4
HIDDEN = 64


class Kinds(nn.Module):
    """Features [B, width, H, W] → logits [B, len(KINDS), H, W] of what cells show. Initialised as "cannot tell"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Conv2d(width, HIDDEN, 1), nn.Conv2d(HIDDEN, len(KINDS), 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return self.out(F.leaky_relu(self.hidden(features), 0.1))

    def guarded(self, features: Tensor) -> Tensor:
        """Probabilities [B, GUARDED, H, W] of what is guarded against hints on something else: skin, hair, plants, and
        everything but paint."""
        logits = self(features)
        weights = torch.exp(logits - logits.amax(1, keepdim=True))
        shares = weights / weights.sum(1, keepdim=True)
        return torch.cat([shares[:, 1:GUARDED], 1 - shares[:, -1:]], 1)
