"""Decoding untrusted photographs: one decoder (Pillow), a fixed list of formats, limits checked before decoding.

Every file gives an upright sRGB picture or an ImageRejected, never another exception. Of an animation or a multi-page
file the first picture is taken. Old photographs are often scanned to 16-bit grey, so grey keeps its depth in a plane
of its own. Everything else becomes 8-bit sRGB.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin

from ..errors import ImageRejected
from .icc import colour_transform, grey_curve
from .rows import stripes

FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM")
FORMATS_IN_WORDS = "JPEG, PNG, TIFF, WebP, AVIF, JPEG 2000, GIF, BMP or PPM"

# The background behind transparent parts: the middle of the encoded range, in 8 and in 16 bits.
BACKDROP = 128
BACKDROP_16 = 128 * 257

# What Pillow's decoders raise on damaged files (found by fuzzing); rarer errors derive from these.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
    RuntimeError,
    EOFError,
    BufferError,
    MemoryError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
)

# Pillow's pixel limit and Python's warning filters belong to the whole process. Decoding one picture at a time also
# bounds the memory.
_ONE_AT_A_TIME = threading.Lock()

_TAG_BITS, _TAG_PHOTOMETRIC, _TAG_SAMPLE_FORMAT, _TAG_ORIENTATION = 258, 262, 339, 274

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

    `grey16` is set when the picture is grey with more than 8 bits. `rgb` is then its rounded copy.
    """

    rgb: NDArray[np.uint8]
    grey16: NDArray[np.uint16] | None


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


def decode_bytes(data: bytes, name: str, max_megapixels: float) -> Pixels:
    """Decode a file held in memory. Error messages call it `name`. Raises as `decode_file` does."""
    return decode_stream(io.BytesIO(data), name, max_megapixels)


def decode_stream(stream: BinaryIO, name: str, max_megapixels: float) -> Pixels:
    """Decode an open, seekable binary file from its start; it stays open. Raises as `decode_file` does."""
    try:
        stream.seek(0)
        is_empty = not stream.read(1)
        stream.seek(0)
    except (OSError, ValueError) as error:
        raise ImageRejected(f"{name} cannot be read: {_reason(error)}; open the photograph again") from error
    if is_empty:
        raise ImageRejected(f"{name} is empty; copy or export the photograph again")
    limit_pixels = int(max_megapixels * 1e6)
    with _ONE_AT_A_TIME, _pillow_limited_to(limit_pixels), _quiet_c_libraries():
        try:
            return _decode(stream, name, limit_pixels)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            raise _too_large(name, int(found[1]) if found else None, limit_pixels) from error
        except Image.UnidentifiedImageError as error:
            message = f"{name} is not a picture in a known format; give a {FORMATS_IN_WORDS} file"
            raise ImageRejected(message) from error
        except MemoryError as error:
            raise ImageRejected(f"{name} needs more memory than there is; reduce the picture") from error
        except DECODER_ERRORS as error:
            message = f"{name} is damaged or incomplete ({_reason(error)}); copy or export it again"
            raise ImageRejected(message) from error


def _decode(stream: BinaryIO, name: str, limit_pixels: int) -> Pixels:
    with Image.open(stream, formats=available_formats()) as image:
        width, height = image.size
        if width * height > limit_pixels:
            raise _too_large(name, width * height, limit_pixels)
        if width < 1 or height < 1:
            raise ImageRejected(f"{name} is {width} × {height} pixels; give a picture of at least 1 × 1")
        # Read the header first: load() may close the file and the tags with it.
        profile = image.info.get("icc_profile")
        deep = _DeepGrey.of(image)
        image.load()
        orientation = _orientation(image)
        grey16 = _grey_plane(image, deep, profile)
        rgb = _rgb_of_grey(grey16) if grey16 is not None else _rgb_plane(image, profile)
    upright = _UPRIGHT.get(orientation, np.ascontiguousarray)
    return Pixels(upright(rgb), None if grey16 is None else upright(grey16))


@contextlib.contextmanager
def _pillow_limited_to(limit_pixels: int) -> Iterator[None]:
    """Make Pillow refuse, not just warn about, more than `limit_pixels`, and silence its other warnings."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limit_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def _quiet_c_libraries() -> Iterator[None]:
    """Keep libtiff's own messages off the terminal: Pillow gives no way to silence them.

    Descriptor 2 belongs to the whole process, so this is done in single-threaded programs alone (the command line).
    In a server these messages go to its log, where they do no harm.
    """
    if threading.active_count() > 1:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            terminal = os.dup(2)
        except OSError:  # descriptor 2 is closed, so there is nothing to silence
            yield
            return
        stack.callback(os.close, terminal)
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, 2)
        os.close(null_device)
        stack.callback(os.dup2, terminal, 2)
        yield


def available_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _too_large(name: str, pixels: int | None, limit_pixels: int) -> ImageRejected:
    found = "too many" if pixels is None else f"{pixels / 1e6:.1f}"
    return ImageRejected(
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


# Grey -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _DeepGrey:
    """How the header of a grey picture with more than 8 bits says that its numbers are encoded."""

    bits: int = 16
    unsigned: bool = True
    white_is_zero: bool = False

    @classmethod
    def of(cls, image: ImageFile.ImageFile) -> _DeepGrey:
        if not isinstance(image, TiffImagePlugin.TiffImageFile):
            return cls()

        def tag(number: int, default: int) -> int:
            value = image.tag_v2.get(number, default)
            value = value[0] if isinstance(value, tuple) and value else value
            return value if isinstance(value, int) else default

        return cls(tag(_TAG_BITS, 16), tag(_TAG_SAMPLE_FORMAT, 1) == 1, tag(_TAG_PHOTOMETRIC, 1) == 0)


def _grey_plane(image: Image.Image, deep: _DeepGrey, profile: bytes | None) -> NDArray[np.uint16] | None:
    """sRGB-encoded grey uint16 [H, W] where 8 bits would lose something, else None."""
    is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    if not is_deep and image.mode not in ("1", "L", "LA"):
        return None
    curve = grey_curve(profile)
    if is_deep:
        plane = _deep_values(image, deep)
        transparent_value = image.info.get("transparency")
        is_transparent = plane == transparent_value if isinstance(transparent_value, int) else None
        if curve is not None:
            plane = curve[plane]
        if is_transparent is not None:
            plane[is_transparent] = BACKDROP_16
        return plane
    if curve is None:
        return None
    if not image.has_transparency_data:
        return curve[::257][np.asarray(image.convert("L"))]
    grey_alpha = image.convert("LA")
    plane = curve[::257][np.asarray(grey_alpha.getchannel("L"))]
    alpha = np.asarray(grey_alpha.getchannel("A")).astype(np.uint32)
    return ((plane * alpha + BACKDROP_16 * (255 - alpha) + 127) // 255).astype(np.uint16)


def _deep_values(image: Image.Image, deep: _DeepGrey) -> NDArray[np.uint16]:
    """The numbers of a grey picture of 9 to 32 bits, scaled to 0..65535 (a new array)."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        top = (1 << deep.bits) - 1 if 9 <= deep.bits <= 16 else 65535
        plane = _scale_to_16_bits(values, 0, top) if top < 65535 else values.astype(np.uint16)
    elif image.mode == "I" and image.format in ("PNG", "PPM", "JPEG2000"):
        plane = _scale_to_16_bits(values, 0, 65535)  # Pillow scales these to 16 bits itself
    else:
        if image.mode == "I" and deep.bits == 32 and deep.unsigned:
            values = values.view(np.uint32)  # Pillow reads them as signed
        plane = _scale_to_16_bits(values, *_guess_range(values))
    return np.subtract(65535, plane, dtype=np.uint16) if deep.white_is_zero else plane


def _guess_range(values: NDArray) -> tuple[float, float]:
    """Black and white level of numbers whose range no header gives (32-bit integers and floats).

    The smallest usual range that holds them (0..1 for floats, 0..255, 0..65535), else their minimum and maximum.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    usual = (1.0, 255.0, 65535.0) if values.dtype.kind == "f" else (255.0, 65535.0)
    if low >= 0:
        for top in usual:
            if high <= top:
                return 0.0, top
    return low, high if high > low else low + 1


def _scale_to_16_bits(values: NDArray, low: float, high: float) -> NDArray[np.uint16]:
    """Map low..high to 0..65535, clipped and rounded. NaN becomes black."""
    plane = np.empty(values.shape, np.uint16)
    for rows in stripes(*values.shape):
        part = (values[rows].astype(np.float64) - low) / (high - low)
        plane[rows] = np.rint(np.clip(np.nan_to_num(part, nan=0.0), 0, 1) * 65535)
    return plane


def _rgb_of_grey(plane: NDArray[np.uint16]) -> NDArray[np.uint8]:
    rgb = np.empty((*plane.shape, 3), np.uint8)
    for rows in stripes(*plane.shape):
        rgb[rows] = ((plane[rows].astype(np.uint32) + 128) // 257).astype(np.uint8)[..., None]
    return rgb


# Colour -----------------------------------------------------------------------------------------------------


def _rgb_plane(image: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    """sRGB uint8 [H, W, 3] of a loaded picture of any mode, transparent parts over the backdrop."""
    width, height = image.size
    direct = image.mode if image.mode in ("CMYK", "LAB") else "RGB"
    is_grey = image.mode in ("1", "L", "LA", "La")  # an RGB profile does not apply to it
    transform = None if is_grey else colour_transform(direct, profile)
    rgb = np.empty((height, width, 3), np.uint8)
    for rows in stripes(height, width):
        stripe = image.crop((0, rows.start, width, rows.stop))
        alpha = None
        if stripe.has_transparency_data:
            stripe = (stripe.convert("LA") if stripe.mode == "La" else stripe).convert("RGBA")
            alpha = np.asarray(stripe.getchannel("A")).astype(np.uint16)[..., None]
        if direct == "RGB" or transform is None:
            stripe = stripe.convert("RGB")
        if transform is not None:
            stripe = ImageCms.applyTransform(stripe, transform) or stripe
        colours = np.asarray(stripe)
        if alpha is not None:
            colours = (colours * alpha + BACKDROP * (255 - alpha) + 127) // 255
        rgb[rows] = colours
    return rgb
