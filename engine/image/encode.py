"""Encoding pictures and writing them to files. The extension chooses the format."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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


def check_output(path: str | Path, inputs: Iterable[Path | None] = (), advice: str = "choose another name") -> Path:
    """Check early that a picture can be written to `path`, and return it.

    Raises OutputError for an extension without an encoder, and as `check_writable` does.
    """
    path = Path(path)
    if path.suffix.lower() not in _ENCODERS:
        found = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise OutputError(f"{path} has {found}; name the picture with one of {', '.join(EXTENSIONS)}")
    check_writable(path, inputs, advice)
    return path


def encode_rgb(rgb: NDArray[np.uint8], extension: str, metadata: Metadata | None = None, note: str = "") -> bytes:
    """sRGB pixels uint8 [H, W, 3] → the contents of a file in the format of `extension` (".png", ...).

    The file has an sRGB profile and `metadata`. note: how it was coloured, for its history (`with_metadata`). The
    same input always gives the same bytes. Raises OutputError for an unknown
    extension and for a picture larger than the format allows (WebP 16,383 pixels a side, JPEG 65,535).
    """
    options = _ENCODERS.get(extension.lower())
    if options is None:
        raise OutputError(f"pictures cannot be written as {extension!r}; use one of {', '.join(EXTENSIONS)}")
    buffer = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, icc_profile=_srgb_profile(), **options)
    except (OSError, ValueError, OverflowError, KeyError) as error:
        height, width = rgb.shape[:2]
        raise OutputError(
            f"{width} × {height} pixels cannot be written as {options['format']} ({error}); use .png or .tiff"
        ) from error
    data = buffer.getvalue()
    if metadata is None:
        return data
    return with_metadata(data, extension, metadata, (rgb.shape[1], rgb.shape[0]), note=note)


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
