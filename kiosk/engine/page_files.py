"""The packed files with which a page computes touches itself."""

from __future__ import annotations

from functools import cached_property

from ...engine.bundle import Bundle
from ...engine.image.photo import Photo
from ..site.features import FeatureEncoder, pack_features
from ..site.heads import pack_heads

# Features as fine as half floats: the page's colours are those of a saved picture.
BITS = 16


class PageFiles:
    """Makes the files of one model. Methods raise ModelFileError for a model whose touches a page cannot compute."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def heads(self) -> bytes:
        """The packed file of the heads."""
        return pack_heads(self._bundle)

    def features(self, photo: Photo) -> bytes:
        """The packed file of a photograph's features. It costs a run of the encoder."""
        return pack_features(self._encoder(photo.working_L), photo.working_L, BITS, self._bundle)

    @cached_property
    def _encoder(self) -> FeatureEncoder:
        return FeatureEncoder(self._bundle)
