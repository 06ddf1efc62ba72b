"""Decoding untrusted photographs: a fixed list of formats, limits checked before decoding.

Every file gives an upright sRGB picture or an ImageRejected, never another exception. Pillow is the decoder; what it
misreads or refuses of TIFF, JPEG 2000 and JPEG is read by the modules of those names. Of an animation the first picture
is taken, of several pages the largest that is not marked as a reduced copy (the first of equals). Old photographs are
often scanned to 16-bit grey, so grey keeps its depth in a plane of its own. Everything else becomes 8-bit sRGB.
"""

from __future__ import annotations

import io
import math
import re
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ..errors import ImageRejected, ImageTooLarge
from . import jpeg, jpeg2000, png, tiff
from .convert import (
    WHITE_16,
    Deep,
    GreyHeader,
    alpha_plane,
    grey_of_deep,
    grey_plane,
    image_of_deep,
    rgb_of_grey,
    rgb_plane,
    to_8_bits,
)
from .formats import HEAD_BYTES, available_formats, is_tiff, refusal
from .icc import gamma_profile
from .pillow import DECODER_ERRORS, pillow_limited_to, quiet_c_libraries

# Pillow's pixel limit and Python's warning filters belong to the whole process. Decoding one picture at a time also
# bounds the memory.
_ONE_AT_A_TIME = threading.Lock()

_TAG_ORIENTATION = 274

_UPRIGHT: dict[int, Callable[[NDArray], NDArray]] = {
    2: lambda plane: cv2.flip(plane, 1),
    3: lambda plane: cv2.rotate(plane, cv2.ROTATE_180),
    4: lambda plane: cv2.flip(plane, 0),
    5: cv2.transpose,
    6: lambda plane: cv2.rotate(plane, cv2.ROTATE_90_CLOCKWISE),
    7: lambda plane: cv2.rotate(cv2.transpose(plane), cv2.ROTATE_180),
    8: lambda plane: cv2.rotate(plane, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


@dataclass(frozen=True, eq=False)
class Pixels:
    """A decoded picture, upright, sRGB-encoded: `rgb` uint8 [H, W, 3], and `grey16` uint16 [H, W] or None.

    `grey16` is set when the picture is grey with more than 8 bits. `rgb` is then its rounded copy. `notes` are
    sentences about what the file did not say and had to be assumed. `alpha` is uint8 [H, W], or None where nothing is
    transparent; both pictures lie over the backdrop.
    """

    rgb: NDArray[np.uint8]
    grey16: NDArray[np.uint16] | None
    notes: tuple[str, ...] = ()
    alpha: NDArray[np.uint8] | None = None


def decode_file(path: str | Path, max_megapixels: float) -> Pixels:
    """Decode the file at `path`. Raises ImageRejected unless it is an undamaged picture within the limit."""
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageRejected(f"{path} is a folder; give the path of one photograph")
        if not stat.S_ISREG(status.st_mode):
            raise ImageRejected(f"{path} is not an ordinary file; give the path of one photograph")
        with path.open("rb") as stream:
            return decode_stream(stream, str(path), max_megapixels)
    except FileNotFoundError as error:
        raise ImageRejected(f"{path} does not exist; give the path of a photograph") from error
    except (OSError, ValueError) as error:
        raise ImageRejected(f"{path} cannot be read: {_reason(error)}; check its name and rights") from error


def decode_bytes(data: bytes, name: str, max_megapixels: float, jpeg_megapixels: float = math.inf) -> Pixels:
    """Decode a file held in memory. Error messages call it `name`. Raises as `decode_file` does.

    jpeg_megapixels: a JPEG with more is decoded at a half, a quarter or an eighth of its size, which saves memory.
    """
    return decode_stream(io.BytesIO(data), name, max_megapixels, jpeg_megapixels)


def decode_stream(stream: BinaryIO, name: str, max_megapixels: float, jpeg_megapixels: float = math.inf) -> Pixels:
    """Decode an open, seekable binary file from its start; it stays open. See `decode_bytes`."""
    try:
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise ImageRejected(f"{name} cannot be read: {_reason(error)}; open the photograph again") from error
    if not head:
        raise ImageRejected(f"{name} is empty; copy or export the photograph again")
    limit_pixels = int(max_megapixels * 1e6)
    with _ONE_AT_A_TIME, pillow_limited_to(limit_pixels), quiet_c_libraries():
        try:
            return _decode(stream, head, name, limit_pixels, jpeg_megapixels * 1e6)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            raise _too_large(name, int(found[1]) if found else None, limit_pixels) from error
        except Image.UnidentifiedImageError as error:
            raise ImageRejected(f"{name} {refusal(head)}") from error
        except MemoryError as error:
            raise ImageTooLarge(f"{name} needs more memory than there is; reduce the picture") from error
        except DECODER_ERRORS as error:
            message = f"{name} is damaged or incomplete ({_reason(error)}); copy or export it again"
            raise ImageRejected(message) from error


def _decode(stream: BinaryIO, head: bytes, name: str, limit_pixels: int, jpeg_pixels: float) -> Pixels:
    if is_tiff(head):
        page = tiff.picture_page(stream, name)
        if page is not None:
            _check_size(page.size, name, limit_pixels)
            if page.is_beyond_pillow:
                return _of_deep(tiff.read_deep(stream, page, name), page.profile, page.orientation)
            if page.index:
                stream = tiff.at_page(stream, page)
    stream.seek(0)
    with Image.open(stream, formats=available_formats(head)) as image:
        _check_size(image.size, name, limit_pixels)
        # Read the header first: load() may close the file and the tags with it.
        profile = _profile_of(image)
        if image.format == "JPEG2000":
            size = jpeg2000.read_size(stream)
            if size is not None and jpeg2000.is_deep(size):
                _check_size((size.width, size.height), name, limit_pixels)
                return _of_deep(jpeg2000.read_deep(stream, size, name), profile, _orientation(image))
        header = GreyHeader.of(image)
        _reduce_jpeg(image, jpeg_pixels)
        try:
            image.load()
        except OSError:
            whole = jpeg.with_end(stream) if image.format in ("JPEG", "MPO") else None
            if whole is None:
                raise
            return _decode(whole, head, name, limit_pixels, jpeg_pixels)
        if png.is_deep_grey_alpha(head):
            return _of_deep(png.read_deep(stream), profile, _orientation(image))
        return _of_image(image, header, profile)


def _profile_of(image: ImageFile.ImageFile) -> bytes | None:
    """The ICC profile of a picture, or one for what a PNG says in gAMA and cHRM. The chunk sRGB outranks these."""
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    if profile or image.format != "PNG" or "srgb" in image.info or not isinstance(gamma, float):
        return profile
    is_grey = image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16")
    return gamma_profile(gamma, image.info.get("chromaticity"), is_grey)


def _reduce_jpeg(image: ImageFile.ImageFile, jpeg_pixels: float) -> None:
    """Let libjpeg decode an unread JPEG at the largest scale that has at most `jpeg_pixels`."""
    width, height = image.size
    if image.format not in ("JPEG", "MPO") or width * height <= jpeg_pixels:
        return
    scale = next((scale for scale in (2, 4) if width * height <= jpeg_pixels * scale**2), 8)
    image.draft(None, (max(1, width // scale), max(1, height // scale)))


def _of_image(image: ImageFile.ImageFile, header: GreyHeader, profile: bytes | None) -> Pixels:
    """A picture that Pillow has loaded."""
    grey16, notes = grey_plane(image, header, profile)
    rgb = rgb_of_grey(grey16) if grey16 is not None else rgb_plane(image, profile)
    return _upright(rgb, grey16, _orientation(image), notes, alpha_plane(image))


def _of_deep(deep: Deep, profile: bytes | None, orientation: int) -> Pixels:
    """A picture with more bits than Pillow reads."""
    alpha = None if deep.alpha is None or deep.alpha.min() == WHITE_16 else to_8_bits(deep.alpha)
    if deep.space == "GRAY":
        grey16 = grey_of_deep(deep, profile)
        return _upright(rgb_of_grey(grey16), grey16, orientation, deep.notes, alpha)
    return _upright(rgb_plane(image_of_deep(deep), profile), None, orientation, deep.notes, alpha)


def _upright(
    rgb: NDArray[np.uint8],
    grey16: NDArray[np.uint16] | None,
    orientation: int,
    notes: tuple[str, ...],
    alpha: NDArray[np.uint8] | None,
) -> Pixels:
    turn = _UPRIGHT.get(orientation, np.ascontiguousarray)
    return Pixels(turn(rgb), None if grey16 is None else turn(grey16), notes, None if alpha is None else turn(alpha))


def _check_size(size: tuple[int, int], name: str, limit_pixels: int) -> None:
    width, height = size
    if width * height > limit_pixels:
        raise _too_large(name, width * height, limit_pixels)
    if width < 1 or height < 1:
        raise ImageRejected(f"{name} is {width} × {height} pixels; give a picture of at least 1 × 1")


def _too_large(name: str, pixels: int | None, limit_pixels: int) -> ImageTooLarge:
    found = "too many" if pixels is None else f"{pixels / 1e6:.1f}"
    return ImageTooLarge(
        f"{name} has {found} megapixels, more than the limit of {limit_pixels / 1e6:g}; "
        "reduce the picture or raise the limit (--max-megapixels)"
    )


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:120] or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8, 1 when absent or unreadable."""
    try:
        value = image.getexif().get(_TAG_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1
