"""ICC profiles of photographs: tables and transforms that convert their pixels to sRGB.

Little CMS (in Pillow) reads the profiles. Broken profiles and those for another kind of picture are ignored, as
browsers do.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ..colour.cielab import GAMMA, GAMMA_OFFSET, GAMMA_SLOPE, GAMMA_THRESHOLD

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
    """A minimal ICC profile for grey with sRGB's curve (ICC.1: header, white point, parametric curve)."""

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    d50 = fixed(0.9642, 1.0, 0.8249)
    top = 1 + GAMMA_OFFSET
    numbers = fixed(GAMMA, 1 / top, GAMMA_OFFSET / top, 1 / GAMMA_SLOPE, GAMMA_THRESHOLD)
    curve = b"para" + struct.pack(">IHH", 0, 3, 0) + numbers
    tags = {b"wtpt": b"XYZ " + bytes(4) + d50, b"kTRC": curve}
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    kind = struct.pack(">4sI4s4s4s", bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header = struct.pack(">I", start + len(body)) + kind + bytes(12) + b"acsp" + bytes(28) + d50
    return header.ljust(128, b"\0") + table + body


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
