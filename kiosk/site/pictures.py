"""The files of one photograph in a published site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...engine.bundle import Bundle
from ...engine.colour.global_hints import histogram_of
from ...engine.image.compose import fitted
from ...engine.image.encode import encode_rgb
from ...engine.image.metadata import Metadata, with_metadata
from ...engine.image.photo import Photo
from ...engine.next_touch import next_touches
from ...engine.runners.onnx import OnnxRunner
from ..engine.photo_state import mood_jpeg, reference_ab
from ..server.exhibition import GalleryPicture
from ..server.labels import label_of
from ..server.shrinking import grey_jpeg
from .features import features_of, no_features, pack_features, pack_histogram
from .heads import check_form

# Longer sides in pixels: of a thumbnail, and of what the page paints on.
THUMBNAIL_PX, PAINTED_PX = 480, 2048
THUMBNAIL, PAINTED, FULL_SIZE = f"{THUMBNAIL_PX}.jpg", f"{PAINTED_PX}.jpg", "full.jpg"
FEATURES, HISTOGRAM, MOOD = "features.bin", "histogram.bin", "mood.jpg"
# Saved pictures are made of these. With a quality of 97 their mean ΔE to the engine's is at most 0.4, half of it the
# rounding of L to a byte, on the bundled photographs; with 95 it is 0.5.
SAVED_QUALITY = 97
# Places to touch next that the page knows of a photograph.
NEXT_PLACES = 12
# Browsers have no canvas with longer sides.
MAX_CANVAS_PX = 32767
# Bytes of a PNG up to the end of its header chunk.
_PNG_HEADER_BYTES = 33


@dataclass(frozen=True)
class PictureOptions:
    """languages: of the labels in saved pictures. bits: of a feature. full_size: keep every pixel of photographs that
    are larger than what the page paints on. vivid: factor of the automatic colours."""

    languages: Sequence[str]
    bits: int
    full_size: bool
    vivid: float


class PictureFiles:
    """Makes the files of photographs, for one model. Raises ModelFileError for models of another form."""

    def __init__(self, bundle: Bundle, options: PictureOptions) -> None:
        self._bundle = bundle
        self._options = options
        check_form(bundle)
        self._runner = OnnxRunner(bundle)
        if not self._runner.gives_encoder_features:
            raise no_features(bundle)

    def of(self, picture: GalleryPicture, photo: Photo) -> Iterator[tuple[str, bytes]]:
        """(name, contents) of each file of a picture."""
        encoded = self._runner.encode(photo.working_L)
        features = features_of(self._runner, encoded)
        yield FEATURES, pack_features(features, photo.working_L, self._options.bits, self._bundle)
        yield THUMBNAIL, grey_jpeg(photo.L, THUMBNAIL_PX)
        yield PAINTED, grey_jpeg(photo.L, PAINTED_PX, SAVED_QUALITY)
        if self.keeps_full_size(photo):
            yield FULL_SIZE, grey_jpeg(photo.L, MAX_CANVAS_PX, SAVED_QUALITY)
        ab, automatic = reference_ab(photo, self._runner, encoded)
        yield HISTOGRAM, pack_histogram(histogram_of(ab), self._bundle)
        yield MOOD, mood_jpeg(photo, ab * np.float32(self._options.vivid if automatic else 1))
        size = photo.size if self.keeps_full_size(photo) else fitted(photo.size, PAINTED_PX)
        for language in self._options.languages:
            yield label_name(language), _label_chunks(picture, language, size)

    def next_places(self, photo: Photo) -> list[tuple[float, float]]:
        """Places (x, y in 0…1) where a colour helps most, the best first, each with regard to those before it."""
        found = next_touches(self._runner, self._runner.encode(photo.working_L), photo.working_L, count=NEXT_PLACES)
        return [(round(place.x, 4), round(place.y, 4)) for place in found]

    def keeps_full_size(self, photo: Photo) -> bool:
        """Whether a photograph has a file of its full size, beside the one that is painted on."""
        return self._options.full_size and PAINTED_PX < max(photo.size) <= MAX_CANVAS_PX


def label_name(language: str) -> str:
    """The file with the metadata of a saved picture."""
    return f"label-{language}.bin"


def _label_chunks(picture: GalleryPicture, language: str, size: tuple[int, int]) -> bytes:
    """The chunks of a PNG of `size` (width, height) that say what it is, as in the files that the kiosk saves.

    The page puts them behind the header of the PNG that the browser makes.
    """
    label = label_of(picture, language).for_file(with_line=False)
    blank = encode_rgb(np.zeros((1, 1, 3), np.uint8), ".png")
    png = with_metadata(blank, ".png", Metadata.of_texts(**label.fields), size, note=label.note)
    return png[_PNG_HEADER_BYTES : png.index(b"IDAT") - 4]
