"""The packed files with which a page computes touches itself."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...engine.bundle import Bundle
from ..site.features import FeatureEncoder, pack_features
from ..site.heads import check_form, pack_heads

# Features as fine as half floats: the page's colours are those of a saved picture.
BITS = 16


class PageFiles:
    """Makes the files of one model. Methods raise ModelFileError for a model whose touches a page cannot compute."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def heads(self) -> bytes:
        """The packed file of the heads."""
        return pack_heads(self._bundle)

    def features(self, L: NDArray[np.float32], features: NDArray[np.float32] | None) -> bytes:
        """The packed file of a photograph's features.

        L: working L float32 [256, 256] in 0…100. features: float32 [96, 64, 64] of the runner that painted the
        photograph; None where it does not give them, then they cost a run of the encoder on the CPU.
        """
        check_form(self._bundle)
        return pack_features(self._encoder(L) if features is None else features, L, BITS, self._bundle)

    @cached_property
    def _encoder(self) -> FeatureEncoder:
        return FeatureEncoder(self._bundle)
