"""ICC profiles of photographs: tables and transforms that convert their pixels to sRGB.

Little CMS (in Pillow) reads the profiles. Broken profiles and those for another kind of picture are ignored, as
browsers do.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ..colour.cielab import GAMMA, GAMMA_OFFSET, GAMMA_SLOPE, GAMMA_THRESHOLD

D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# x and y of sRGB's white, red, green and blue. A PNG that differs by less says the same.
SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
CHROMATICITY_STEP = 0.002
# The exponent of displays that stands for sRGB's curve, and how near to it a PNG's gAMA may be.
USUAL_GAMMA, GAMMA_STEP = 2.2, 0.02
MIN_GAMMA, MAX_GAMMA = 0.1, 4.0
_XYZ_TAGS, _CURVE_TAGS = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")

PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def grey_curve(profile: bytes | None) -> NDArray[np.uint16] | None:
    """A table uint16 [65536] from grey under an ICC grey profile to sRGB-encoded grey; None if nothing changes.

    For 8-bit grey, every 257th entry is used.
    """
    source = _open_profile(profile, "GRAY")
    if source is None:
        return None
    ramp = np.arange(65536, dtype=np.uint16)
    target = ImageCms.ImageCmsProfile(io.BytesIO(_grey_srgb_profile()))
    try:
        # Without optimisation: Little CMS would interpolate in a coarse table, with an error of 0.5 % in the shadows.
        exact = ImageCms.Flags.NOOPTIMIZE
        transform = ImageCms.buildTransform(source, target, "I;16", "I;16", flags=exact)
        mapped = ImageCms.applyTransform(Image.fromarray(ramp.reshape(256, 256)), transform)
    except PROFILE_ERRORS:
        return None
    curve = np.asarray(mapped).astype(np.uint16).ravel()
    unchanged = np.abs(curve.astype(np.int32) - ramp).max() <= 64  # a quarter of an 8-bit step
    return None if unchanged else curve


def _grey_srgb_profile() -> bytes:
    """A minimal ICC profile for grey with sRGB's curve."""
    top = 1 + GAMMA_OFFSET
    numbers = (GAMMA, 1 / top, GAMMA_OFFSET / top, 1 / GAMMA_SLOPE, GAMMA_THRESHOLD)
    return _profile("GRAY", {b"kTRC": _curve(3, *numbers)})


def gamma_profile(gamma: float, chromaticities: Sequence[float] | None, is_grey: bool) -> bytes | None:
    """A profile for what the chunks gAMA and cHRM of a PNG say; None where that is sRGB, or makes no sense.

    gamma: samples are light to this power. chromaticities: x and y of white, red, green and blue; None for sRGB's.
    """
    if not MIN_GAMMA <= gamma <= MAX_GAMMA:
        return None
    xy = np.asarray(chromaticities or SRGB_CHROMATICITIES, np.float64).reshape(-1, 2)
    is_usual = xy.shape == (4, 2) and np.abs(xy.ravel() - SRGB_CHROMATICITIES).max() < CHROMATICITY_STEP
    if abs(gamma * USUAL_GAMMA - 1) < GAMMA_STEP and (is_grey or is_usual):
        return None  # what encoders write for sRGB
    curve = _curve(0, 1 / gamma)
    if is_grey:
        return _profile("GRAY", {b"kTRC": curve})
    primaries = _primaries(xy) if xy.shape == (4, 2) else None
    if primaries is None:
        return None
    tags = {name: b"XYZ " + bytes(4) + _fixed(*colour) for name, colour in zip(_XYZ_TAGS, primaries, strict=True)}
    return _profile("RGB ", tags | dict.fromkeys(_CURVE_TAGS, curve))


def _primaries(xy: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Chromaticities [4, 2] of white and primaries → XYZ [3, 3] of red, green and blue, adapted to D50 (Bradford)."""
    if not (xy[:, 1] > 0).all():
        return None
    white, *primaries = np.c_[xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)] / xy[:, 1:]
    matrix = np.array(primaries).T
    if abs(np.linalg.det(matrix)) < 1e-6:
        return None
    matrix = matrix * np.linalg.solve(matrix, white)
    cones = (BRADFORD @ np.array(D50)) / (BRADFORD @ white)
    return (np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD @ matrix).T


def _profile(space: str, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC profile for a display (ICC.1: header, white point, `tags`). space: "GRAY" or "RGB "."""
    tags = {b"wtpt": b"XYZ " + bytes(4) + _fixed(*D50), **tags}
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    kind = struct.pack(">4sI4s4s4s", bytes(4), 0x02400000, b"mntr", space.encode(), b"XYZ ")
    header = struct.pack(">I", start + len(body)) + kind + bytes(12) + b"acsp" + bytes(28) + _fixed(*D50)
    return header.ljust(128, b"\0") + table + body


def _curve(kind: int, *numbers: float) -> bytes:
    """A parametric curve of ICC.1."""
    return b"para" + struct.pack(">IHH", 0, kind, 0) + _fixed(*numbers)


def _fixed(*values: float) -> bytes:
    """Numbers as s15Fixed16."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _open_profile(profile: bytes | None, space: str) -> ImageCms.ImageCmsProfile | None:
    """The embedded profile if it is valid and describes colours of `space` ("GRAY", "RGB", "CMYK")."""
    if not isinstance(profile, bytes) or not profile:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = getattr(opened.profile, "xcolor_space", "")
        return opened if found.strip() == space else None
    except PROFILE_ERRORS:
        return None


def colour_transform(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """The transform of pixels of `mode` (RGB, CMYK or LAB) to sRGB; None if nothing changes."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        if mode == "LAB":
            lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
            return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        source = _open_profile(profile, mode)
        if source is None:
            return None
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except PROFILE_ERRORS:
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether an RGB transform changes the colours of a 9 × 9 × 9 lattice by rounding alone: its source is sRGB."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(27, 27, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform)).astype(np.int16)
    return bool(np.abs(moved - lattice).max() <= 1)
