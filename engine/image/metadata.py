"""What a picture file says of its picture: read from a photograph, written into its coloured copy.

A copy keeps resolution, title, description, author, rights, dates and keywords (EXIF, XMP, IPTC). It says that it is
upright sRGB, that Livetint coloured it, and that it is a composite with trained algorithmic media. GPS coordinates,
serial numbers, previews and what held only for the source's pixels are not taken over.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, IptcImagePlugin, TiffImagePlugin

from . import exif, iptc, xmp
from .containers import Blocks, insert
from .formats import HEAD_BYTES, available_formats, is_tiff
from .pillow import DECODER_ERRORS
from .tiff import for_metadata

PROGRAM = "Livetint"
FIELDS = tuple(xmp.PROPERTIES)
_XMP_TAG, _PHOTOSHOP_TAG, _IIM_RESOURCE = 700, 34377, 0x0404
_UNIT_INCH, _UNIT_CM, _CM_PER_INCH = 2, 3, 2.54
# A JPEG segment holds no more. Larger packets are reduced to the descriptive fields.
_JPEG_XMP_BYTES = 65_502
# Text chunks of PNG
_PNG_TEXTS = {
    "Title": "title",
    "Description": "description",
    "Author": "author",
    "Copyright": "rights",
    "Creation Time": "created",
    "Source": "source",
    "Comment": "comment",
}


@dataclass(frozen=True)
class Metadata:
    """What is known of a picture.

    fields: texts by name (one of FIELDS), each a sequence. resolution: dots per inch of the upright picture, x and y,
    None if unknown. tags, packet, datasets: what EXIF, XMP and IPTC hold besides. turned: the source was not stored
    upright. keep_location: whether GPS coordinates are taken over.
    """

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None
    tags: exif.ExifTags = field(default_factory=exif.ExifTags)
    packet: bytes = b""
    datasets: Sequence[iptc.Dataset] = ()
    turned: bool = False
    keep_location: bool = False

    @classmethod
    def of_texts(cls, **texts: str | Sequence[str]) -> Metadata:
        """Metadata of a picture by its texts, named as in FIELDS. Empty ones are left out."""
        unknown = set(texts) - set(FIELDS)
        if unknown:
            raise ValueError(f"{sorted(unknown)} are no fields of a picture; use {', '.join(FIELDS)}")
        lists = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in texts.items()}
        return cls({name: kept for name, values in lists.items() if (kept := tuple(filter(None, values)))})


def read_metadata(source: str | Path | bytes | BinaryIO, *, keep_location: bool = False) -> Metadata:
    """The metadata of a picture file; empty where it has none, or none that can be read. Pixels are not decoded.

    source: a path, the file's content, or an open file (read from its start). keep_location: whether GPS coordinates
    are taken over. Raises nothing: `engine.image.decode` judges whether the picture is sound.
    """
    if isinstance(source, (str, Path)):
        with contextlib.suppress(OSError, ValueError), Path(source).open("rb") as file:
            return read_metadata(file, keep_location=keep_location)
        return Metadata()
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    with contextlib.suppress(*DECODER_ERRORS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
        if is_tiff(head):
            stream = for_metadata(stream)
        stream.seek(0)
        with Image.open(stream, formats=available_formats(head)) as image:
            return _of_image(image, keep_location)
    return Metadata()


def _of_image(image: Image.Image, keep_location: bool) -> Metadata:
    tags = image.getexif()
    packet = _packet(image)
    rdf = xmp.parse(packet)
    datasets = _datasets(image)
    fields: dict[str, Sequence[str]] = {}
    for found in (
        {} if rdf is None else xmp.texts(rdf),
        iptc.texts(datasets),
        exif.texts(tags),
        _texts_of_info(image.info),
    ):
        fields = {**found, **fields}
    orientation = tags.get(exif.ORIENTATION, 1)
    resolution = _resolution(image, tags)
    if resolution and orientation in (5, 6, 7, 8):
        resolution = resolution[1], resolution[0]
    return Metadata(
        fields,
        resolution,
        exif.kept_tags(tags, keep_location),
        b"" if rdf is None else packet,
        datasets,
        orientation != 1,
        keep_location,
    )


def _packet(image: Image.Image) -> bytes:
    for key in ("xmp", "XML:com.adobe.xmp"):
        value = image.info.get(key)
        if value:
            return value if isinstance(value, bytes) else str(value).encode()
    return _bytes_of(image.tag_v2.get(_XMP_TAG)) if isinstance(image, TiffImagePlugin.TiffImageFile) else b""


def _datasets(image: Image.Image) -> list[iptc.Dataset]:
    """The datasets of IPTC-IIM."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        found: dict[tuple[int, int], Any] = {}
        with contextlib.suppress(*DECODER_ERRORS):
            found = IptcImagePlugin.getiptcinfo(image) or {}
        lists = {key: value if isinstance(value, list) else [value] for key, value in found.items()}
        datasets = [(*key, value) for key, values in lists.items() for value in values if isinstance(value, bytes)]
        return datasets or iptc.parse(iptc.parse_resources(_bytes_of(image.tag_v2.get(_PHOTOSHOP_TAG))))
    resources = image.info.get("photoshop")
    if isinstance(resources, dict):
        return iptc.parse(_bytes_of(resources.get(_IIM_RESOURCE)))
    profile = image.info.get("Raw profile type iptc")
    if isinstance(profile, str):
        with contextlib.suppress(ValueError, IndexError):
            block = bytes.fromhex("".join(profile.split("\n")[3:]))
            return iptc.parse(iptc.parse_resources(block) or block)
    return []


def _bytes_of(value: Any) -> bytes:
    """A value of bytes; Pillow gives a tuple of numbers for some types."""
    if isinstance(value, tuple) and all(isinstance(number, int) and 0 <= number < 256 for number in value):
        return bytes(value)
    return value if isinstance(value, bytes) else b""


def _texts_of_info(info: Mapping[Any, Any]) -> dict[str, tuple[str, ...]]:
    """The text chunks of a PNG, and the comment of a JPEG or GIF."""
    found = {name: (value,) for key, name in _PNG_TEXTS.items() if isinstance(value := info.get(key), str) and value}
    comment = info.get("comment")
    if isinstance(comment, bytes) and comment.strip(b"\0 "):
        found["comment"] = (comment.decode("utf-8", "replace").strip("\0 "),)
    return found


def _resolution(image: Image.Image, tags: Image.Exif) -> tuple[float, float] | None:
    """Dots per inch as stored (not turned), or None."""
    dpi = image.info.get("dpi")
    scale = {_UNIT_INCH: 1.0, _UNIT_CM: _CM_PER_INCH}.get(tags.get(exif.RESOLUTION_UNIT, 0))
    if dpi is None and scale:
        pair = tags.get(exif.X_RESOLUTION), tags.get(exif.Y_RESOLUTION)
        dpi = tuple(float(value) * scale for value in pair if value is not None)
    try:
        x, y = (float(value) for value in dpi or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if all(math.isfinite(value) and 1 <= value <= 1e5 for value in (x, y)) else None


def with_metadata(
    data: bytes, extension: str, metadata: Metadata, size: tuple[int, int], *, note: str = "", profile: bytes = b""
) -> bytes:
    """The encoded picture `data` (".jpg", ".png", ".tif", ".webp", ...) of `size` (width, height) with `metadata`.

    note: how it was coloured, for XMP's history; "" stands for "Colourised by Livetint VERSION". profile: an ICC
    profile to embed (PNG and TIFF) where the encoder wrote none. The same input always gives the same bytes.
    """
    version = importlib.metadata.version("livetint")
    software = f"{PROGRAM} {version}"
    note = note or f"Colourised by {software}"
    packet = xmp.serialise(
        xmp.parse(metadata.packet), metadata.fields, software, note,
        keep_location=metadata.keep_location, was_turned=metadata.turned,
    )  # fmt: skip
    is_jpeg = extension.lower() in (".jpg", ".jpeg")
    if is_jpeg and len(packet) > _JPEG_XMP_BYTES:
        packet = xmp.serialise(None, _shortened(metadata.fields), software, note)
    datasets = metadata.datasets or ([] if metadata.packet else iptc.from_texts(metadata.fields))
    blocks = Blocks(
        exif.directories(metadata.tags, metadata.fields, metadata.resolution, size, f"{software} (colourised)"),
        packet,
        iptc.serialise(datasets, PROGRAM, version) if datasets else b"",
        "".join(metadata.fields.get("comment", ())).encode()[:_JPEG_XMP_BYTES] if is_jpeg else b"",
        metadata.resolution,
        profile,
    )
    return insert(data, extension, blocks)


def _shortened(fields: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Fields that fit one segment of a JPEG."""
    share = _JPEG_XMP_BYTES // (8 * len(FIELDS))  # a character may take six bytes, escaped
    return {name: ["; ".join(values)[:share]] for name, values in fields.items()}
