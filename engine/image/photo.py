"""A photograph: its pixels, and its L at full resolution and at the size that networks take."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..colour.cielab import XYZ_FROM_RGB, decode_gamma, lab_f, srgb_to_lab
from ..errors import ImageRejected
from .compose import fitted
from .convert import uncovered
from .decode import Pixels, decode_bytes, decode_file, decode_stream
from .rows import stripes

MAX_MEGAPIXELS = 64
WORKING_SIZE = 256


class Photo:
    """One photograph, upright. All arrays are read-only.

    `L`: float32 [H, W], CIELAB lightness in 0..100 at full resolution (16-bit scans keep their 16 bits).
    `rgb`: uint8 [H, W, 3], the original in sRGB; its colours serve only as a reference.
    `working_L`: float32 [256, 256], the L of the picture squashed to the networks' size.
    `alpha`: uint8 [H, W], or None where nothing is transparent. `L`, `rgb` and `working_L` lie over mid-grey.
    `width`, `height`: in pixels. `notes`: sentences about what the file did not say and had to be assumed.
    """

    def __init__(self, pixels: Pixels) -> None:
        """Use `Photo.open`, `Photo.from_bytes`, `Photo.from_stream` or `Photo.from_rgb`."""
        self._pixels = pixels
        self.rgb, self.notes, self.alpha = pixels.rgb, pixels.notes, pixels.alpha
        self.height, self.width = pixels.rgb.shape[:2]
        self._squashed_rgb = _squash(pixels.rgb)
        if pixels.grey16 is None:
            self.L = lightness_of_rgb(pixels.rgb)
            self.working_L = lightness_of_rgb(self._squashed_rgb)
        else:
            self.L = _lightness_of_grey(pixels.grey16)
            self.working_L = _lightness_of_grey(_squash(pixels.grey16))
        for plane in (self.rgb, self.L, self.working_L):
            plane.setflags(write=False)

    @classmethod
    def open(cls, path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
        """Open a file: JPEG, PNG, TIFF, WebP, AVIF, JPEG 2000, GIF, BMP or PPM; HEIC with the extra `heif`.

        Of an animation the first picture is taken, of several pages the largest that is not marked as a reduced copy.

        EXIF rotation is applied, ICC profiles are converted to sRGB, transparent parts are laid over mid-grey.
        Raises ImageRejected when the file is missing, is not an undamaged picture, or is larger than
        `max_megapixels` (checked in its header, before decoding).
        """
        return cls(decode_file(path, check_limit(max_megapixels)))

    @classmethod
    def from_bytes(cls, data: bytes, max_megapixels: float = MAX_MEGAPIXELS, name: str = "the picture") -> Photo:
        """As `open`, for a file held in memory (an upload). Error messages call it `name`."""
        return cls(decode_bytes(data, name, check_limit(max_megapixels)))

    @classmethod
    def from_stream(cls, stream: BinaryIO, max_megapixels: float = MAX_MEGAPIXELS, name: str = "the picture") -> Photo:
        """As `open`, for an open, seekable binary file. It is read from its start, whatever its position,
        and stays open. Error messages call it `name`."""
        return cls(decode_stream(stream, name, check_limit(max_megapixels)))

    @classmethod
    def from_rgb(cls, rgb: NDArray[np.uint8]) -> Photo:
        """From sRGB pixels uint8 [H, W, 3] (copied). Raises ImageRejected for other shapes or types."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise ImageRejected(f"pixels are {rgb.dtype} {list(rgb.shape)}; give sRGB as uint8 [height, width, 3]")
        return cls(Pixels(np.array(rgb, order="C"), None))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def working_ab(self) -> NDArray[np.float32]:
        """The original colours, float32 [2, 256, 256] in CIELAB units: the ground truth of benches."""
        lab = srgb_to_lab(self._squashed_rgb.astype(np.float32) / np.float32(255))
        return np.ascontiguousarray(lab[..., 1:].transpose(2, 0, 1))

    @cached_property
    def uncovered_lightness(self) -> NDArray[np.float32]:
        """`L` of the colours themselves, not over mid-grey: what a picture with the same alpha needs. As `L`."""
        if self.alpha is None:
            return self.L
        if self._pixels.grey16 is None:
            L = lightness_of_rgb(uncovered(self._pixels.rgb, self.alpha))
        else:
            L = _lightness_of_grey(uncovered(self._pixels.grey16, self.alpha))
        L.setflags(write=False)
        return L

    def shrunk(self, side_px: int) -> Photo:
        """The photograph with at most `side_px` pixels along its longer side, for screens; it takes less memory.

        A pixel is the mean of those that it stands for. Networks get the same as before: `working_L` and `working_ab`
        are those of the full size. A photograph that is not larger is returned itself.
        """
        size = fitted(self.size, side_px)
        if size == self.size:
            return self
        rgb, grey16, alpha = (
            None if plane is None else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
            for plane in (self.rgb, self._pixels.grey16, self.alpha)
        )
        assert rgb is not None
        photo = Photo(replace(self._pixels, rgb=rgb, grey16=grey16, alpha=alpha))
        photo.working_L, photo._squashed_rgb = self.working_L, self._squashed_rgb
        return photo


def lightness_of_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB lightness float32 [H, W], 0..100, of sRGB uint8 [H, W, 3]; as `srgb_to_lab`, by tables."""
    linear = decode_gamma(np.linspace(0, 1, 256))
    red, green, blue = (linear * XYZ_FROM_RGB[1, :, None]).astype(np.float32)
    lightness = np.empty(rgb.shape[:2], np.float32)
    for rows in stripes(*rgb.shape[:2]):
        part = rgb[rows]
        lightness[rows] = _lightness(red[part[..., 0]] + green[part[..., 1]] + blue[part[..., 2]])
    return lightness


def _lightness_of_grey(grey: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The same of sRGB-encoded grey uint16 [H, W]."""
    return _lightness(decode_gamma(np.linspace(0, 1, 65536)).astype(np.float32))[grey]


def _lightness(luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    """L in 0..100 of linear luminance in 0..1."""
    lightness = lab_f(luminance)
    lightness *= 116
    lightness -= 16
    return np.clip(lightness, 0, 100, out=lightness)


def _squash(plane: NDArray) -> NDArray:
    """Resize to 256 × 256 whatever the aspect ratio: bilinear, on gamma-encoded values, without smoothing.

    The paper's released code does the same.
    """
    return cv2.resize(plane, (WORKING_SIZE, WORKING_SIZE), interpolation=cv2.INTER_LINEAR)


def check_limit(max_megapixels: float) -> float:
    """`max_megapixels`, if it can be a limit. Raises ImageRejected."""
    if not 0 < max_megapixels < float("inf"):
        raise ImageRejected(f"the limit of {max_megapixels} megapixels is not usable; give a positive number")
    return max_megapixels
