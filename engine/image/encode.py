"""Encoding pictures and writing them to files. The extension chooses the format."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ..errors import OutputError
from ..files import atomic_write, check_writable
from .metadata import Metadata, with_metadata

# JPEG without chroma subsampling, which would blur the colours.
_JPEG: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}
_TIFF: dict[str, Any] = {"format": "TIFF", "compression": "tiff_lzw"}
_ENCODERS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": {"format": "WEBP", "quality": 95},
    ".tif": _TIFF,
    ".tiff": _TIFF,
}
EXTENSIONS = tuple(_ENCODERS)
_DEEP = frozenset({".png", ".tif", ".tiff"})
_WITH_ALPHA = _DEEP | {".webp"}
_TIFF_LZW = 5


def check_output(
    path: str | Path, inputs: Iterable[Path | None] = (), advice: str = "choose another name", depth: int = 8
) -> Path:
    """Check early that a picture of `depth` bits can be written to `path`, and return it.

    Raises OutputError for an extension without an encoder, and as `check_writable` does.
    """
    path = Path(path)
    if path.suffix.lower() not in _ENCODERS:
        found = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise OutputError(f"{path} has {found}; name the picture with one of {', '.join(EXTENSIONS)}")
    if not takes_depth(path.suffix, depth):
        raise OutputError(f"{path} would have 8 bits; name a picture of {depth} bits .png or .tiff")
    check_writable(path, inputs, advice)
    return path


def takes_depth(extension: str, depth: int) -> bool:
    """Whether pictures of `depth` bits can be written in the format of `extension`."""
    return extension.lower() in (_ENCODERS if depth == 8 else _DEEP)


def takes_alpha(extension: str) -> bool:
    """Whether the format of `extension` has an alpha channel."""
    return extension.lower() in _WITH_ALPHA


def encode_rgb(
    rgb: NDArray[np.uint8 | np.uint16], extension: str, metadata: Metadata | None = None, note: str = ""
) -> bytes:
    """sRGB pixels [H, W, 3], or [H, W, 4] with alpha → the contents of a file in the format of `extension` (".png", …).

    uint8, or uint16 for PNG and TIFF; alpha for PNG, TIFF and WebP. The file has an sRGB profile and `metadata`. note:
    how it was coloured, for its history (`with_metadata`). The same input always gives the same bytes. Raises
    OutputError for what the format cannot hold: an unknown extension, 16 bits, alpha, or too large a picture (WebP
    16,383 pixels a side, JPEG 65,535).
    """
    extension = extension.lower()
    options = _ENCODERS.get(extension)
    if options is None:
        raise OutputError(f"pictures cannot be written as {extension!r}; use one of {', '.join(EXTENSIONS)}")
    is_deep = rgb.dtype == np.uint16
    if is_deep and extension not in _DEEP:
        raise OutputError(f"{options['format']} has 8 bits; for 16 use .png or .tiff")
    if rgb.shape[2] == 4 and extension not in _WITH_ALPHA:
        raise OutputError(f"{options['format']} has no alpha; use .png, .tiff or .webp")
    size = rgb.shape[1], rgb.shape[0]
    if is_deep:
        data = _encode_deep(rgb, extension)
        return with_metadata(data, extension, metadata or Metadata(), size, note=note, profile=_srgb_profile())
    buffer = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, icc_profile=_srgb_profile(), **options)
    except (OSError, ValueError, OverflowError, KeyError) as error:
        raise OutputError(
            f"{size[0]} × {size[1]} pixels cannot be written as {options['format']} ({error}); use .png or .tiff"
        ) from error
    data = buffer.getvalue()
    return data if metadata is None else with_metadata(data, extension, metadata, size, note=note)


def _encode_deep(pixels: NDArray[Any], extension: str) -> bytes:
    """Pixels uint16 [H, W, 3 or 4] → a PNG or TIFF without metadata. Pillow writes no 16-bit colours."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    options = [cv2.IMWRITE_PNG_COMPRESSION, 6] if extension == ".png" else [cv2.IMWRITE_TIFF_COMPRESSION, _TIFF_LZW]
    done, data = cv2.imencode(extension, cv2.cvtColor(np.ascontiguousarray(pixels), order), options)
    if not done:
        raise OutputError(f"{pixels.shape[1]} × {pixels.shape[0]} pixels cannot be written with 16 bits; use 8")
    return data.tobytes()


def save_rgb(path: str | Path, rgb: NDArray[np.uint8], metadata: Metadata | None = None, note: str = "") -> None:
    """Write sRGB pixels uint8 [H, W, 3] to `path`, whole or not at all. `metadata`, `note`: as in `encode_rgb`.

    Raises OutputError as `check_output` and `encode_rgb` do, and when the disk is full.
    """
    path = check_output(path)
    atomic_write(path, encode_rgb(rgb, path.suffix, metadata, note))


@functools.cache
def _srgb_profile() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # its date, which would make the files differ
    return bytes(profile)
